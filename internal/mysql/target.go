package mysql

import (
	"cmp"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"strings"

	driver "github.com/go-sql-driver/mysql"
)

// target is where the server is and how to get in.
type target struct {
	// network is "unix" or "tcp".
	network  string
	addr     string
	user     string
	password string
	tls      tlsOptions
	// serverKey is the file with the server's RSA key; fetchKey believes the one
	// that the server sends. Both matter by TCP without TLS alone.
	serverKey string
	fetchKey  bool
}

// String names the server as errors do. It never holds a password.
func (t target) String() string { return "the database at " + t.addr }

// target puts the defaults file and the overriding fields together.
func (c Config) target() (target, error) {
	options := map[string]option{}
	if c.DefaultsFile != "" {
		var err error
		if options, err = readDefaults(c.DefaultsFile); err != nil {
			return target{}, err
		}
	}
	t, err := c.merge(options)
	if err != nil && c.DefaultsFile != "" {
		return target{}, fmt.Errorf("cannot use the defaults file %s: %w", c.DefaultsFile, err)
	}
	return t, err
}

// merge lets the overriding fields win over the file's options.
func (c Config) merge(options map[string]option) (target, error) {
	t := target{
		user:     cmp.Or(c.User, options["user"].value),
		password: cmp.Or(c.Password, options["password"].value),
	}
	if strings.ContainsRune(t.password, 0) {
		return target{}, fmt.Errorf("the password has a NUL character")
	}
	if t.user == "" {
		// As the clients do.
		u, err := user.Current()
		if err != nil {
			return target{}, fmt.Errorf("no user is given, and the running one has no name: %w", err)
		}
		t.user = u.Username
	}
	host, socket := cmp.Or(c.Host, options["host"].value), cmp.Or(c.Socket, options["socket"].value)
	port := c.Port
	if o := options["port"]; port == 0 && o.value != "" {
		n, err := strconv.ParseUint(o.value, 10, 16)
		if err != nil || n == 0 {
			return target{}, fmt.Errorf("line %d: port must be a number from 1 to 65535", o.line)
		}
		port = uint16(n)
	}
	tcp := isTCPHost(host)
	switch o := options["protocol"]; {
	case c.Socket != "":
		tcp = false // what is given on purpose wins over the file's host and protocol
	case o.value == "", c.Host != "":
	case strings.EqualFold(o.value, "tcp"):
		tcp = true
		host = cmp.Or(host, "localhost")
	case strings.EqualFold(o.value, "socket"):
		tcp = false
	default:
		return target{}, fmt.Errorf("line %d: protocol must be tcp or socket", o.line)
	}
	if tcp {
		if port == 0 {
			port = DefaultPort
		}
		t.network, t.addr = "tcp", net.JoinHostPort(host, strconv.Itoa(int(port)))
	} else {
		t.network, t.addr = "unix", cmp.Or(socket, DefaultSocket)
	}
	t.serverKey = options["server-public-key-path"].value
	t.fetchKey = switchOption(options, "get-server-public-key") == yes
	var err error
	t.tls, err = parseTLS(options)
	return t, err
}

// driverConfig is the driver's view of the target.
func (t target) driverConfig() (*driver.Config, error) {
	cfg := driver.NewConfig()
	cfg.User, cfg.Passwd = t.user, t.password
	cfg.Net, cfg.Addr = t.network, t.addr
	cfg.Timeout = dialTimeout
	// The driver logs broken connections to standard error: inside the window
	// that could be a frozen disk. Everything it says also comes as an error.
	cfg.Logger = &driver.NopLogger{}
	cfg.ConnectionAttributes = "program_name:stillpoint"
	var err error
	if cfg.TLS, cfg.AllowFallbackToPlaintext, err = t.tls.config(t.network, t.addr); err != nil || t.network != "tcp" {
		return cfg, err
	}
	switch {
	case t.serverKey != "":
		err = useServerKey(cfg, t.serverKey)
	case !t.fetchKey:
		cfg.DialFunc = guardedDial
	}
	return cfg, err
}
