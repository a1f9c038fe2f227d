package wire

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"strings"

	driver "github.com/go-sql-driver/mysql"
)

// Target is where the server is and how to get in.
type Target struct {
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
	// file is the defaults file, for what is said of it; "" for none.
	file string
}

// The clients' defaults.
const (
	DefaultSocket = "/run/mysqld/mysqld.sock"
	DefaultPort   = 3306
)

// Address says where the server is and how to get in: an option file and what
// wins over it.
type Address struct {
	// DefaultsFile is an option file as the clients read it, see readDefaults; "" for none.
	DefaultsFile string
	// What follows wins over the file; "" and 0 leave what the file says. Host
	// "localhost" means the socket, any other means TCP.
	Socket   string
	Host     string
	Port     uint16
	User     string
	Password string
}

// String names the server as errors do. It never holds a password.
func (t Target) String() string { return "the database at " + t.addr }

// Target puts the defaults file and what wins over it together. It reads the file
// each time that it is called.
func (a Address) Target() (Target, error) {
	if a.Socket != "" && isTCPHost(a.Host) {
		return Target{}, errors.New("cannot use mysql.socket together with mysql.host: leave one of them out")
	}
	options := map[string]option{}
	if a.DefaultsFile != "" {
		var err error
		if options, err = readDefaults(a.DefaultsFile); err != nil {
			return Target{}, err
		}
	}
	t, err := a.merge(options)
	if err != nil && a.DefaultsFile != "" {
		return Target{}, fmt.Errorf("cannot use the defaults file %s: %w", a.DefaultsFile, err)
	}
	return t, err
}

// merge lets the overriding fields win over the file's options.
func (a Address) merge(options map[string]option) (Target, error) {
	t := Target{
		file:     a.DefaultsFile,
		user:     cmp.Or(a.User, options["user"].value),
		password: cmp.Or(a.Password, options["password"].value),
	}
	if strings.ContainsRune(t.password, 0) {
		return Target{}, fmt.Errorf("the password has a NUL character")
	}
	if t.user == "" {
		// As the clients do.
		u, err := user.Current()
		if err != nil {
			return Target{}, fmt.Errorf("no user is given, and the running one has no name: %w", err)
		}
		t.user = u.Username
	}
	host, socket := cmp.Or(a.Host, options["host"].value), cmp.Or(a.Socket, options["socket"].value)
	port := a.Port
	if o := options["port"]; port == 0 && o.value != "" {
		n, err := strconv.ParseUint(o.value, 10, 16)
		if err != nil || n == 0 {
			return Target{}, fmt.Errorf("line %d: port must be a number from 1 to 65535", o.line)
		}
		port = uint16(n)
	}
	tcp := isTCPHost(host)
	switch o := options["protocol"]; {
	case a.Socket != "":
		tcp = false // what is given on purpose wins over the file's host and protocol
	case o.value == "", a.Host != "":
	case strings.EqualFold(o.value, "tcp"):
		tcp = true
		host = cmp.Or(host, "localhost")
	case strings.EqualFold(o.value, "socket"):
		tcp = false
	default:
		return Target{}, fmt.Errorf("line %d: protocol must be tcp or socket", o.line)
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

// isTCPHost says whether the clients would use TCP for this host.
func isTCPHost(host string) bool {
	return host != "" && !strings.EqualFold(host, "localhost")
}

// DriverConfig is the driver's view of the target.
func (t Target) DriverConfig() (*driver.Config, error) {
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
