package wire_test

import (
	"cmp"
	"fmt"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/mysqltest"
	"stillpoint/internal/mysql/wire"
)

// Each way to sign in, by the socket and by TCP, with and without TLS. What does
// not work says what to do.
func TestWaysToSignIn(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	const (
		bySocket = "socket=SOCKET"
		byTCP    = "host=127.0.0.1\nport=PORT"
		plain    = byTCP + "\nskip-ssl"
		password = "pw-0f-a-way"
		line     = "password=" + password
		aKey     = "name the server's key by server-public-key-path"
	)
	type way struct {
		name string
		only string // a flavor
		// user follows CREATE USER x@host; "" leaves the one there is.
		user, file string
		name2      string // of the user; "" way
		want       string // of the error; "" none
		before     string // a statement of root's
	}
	by := " BY '" + password + "'"
	ways := []way{
		{name: "mysql_native_password by the socket", only: dialect.MariaDB, user: "IDENTIFIED" + by, file: bySocket + "\n" + line},
		{name: "mysql_native_password by TCP", only: dialect.MariaDB, file: byTCP + "\n" + line},
		{name: "a wrong password", file: bySocket + "\npassword=" + password + "x", want: "check user and password in the defaults file /"},
		{name: "a wrong password by TCP", file: byTCP + "\npassword=" + password + "x", want: "by TCP the user of that address counts"},
		{name: "no password where there is one", file: bySocket, want: "check user and password"},
		{name: "unix_socket, as another user of the system", only: dialect.MariaDB, user: "IDENTIFIED VIA unix_socket", file: bySocket, want: "connect by the socket, as the system user"},
		{name: "unix_socket or a password, by password", only: dialect.MariaDB, user: "IDENTIFIED VIA unix_socket OR mysql_native_password USING PASSWORD('" + password + "')", file: byTCP + "\n" + line},
		{name: "unix_socket, as this user of the system", only: dialect.MariaDB, name2: me.Username, before: "ALTER USER root@localhost IDENTIFIED VIA unix_socket", file: bySocket},
		{name: "unix_socket by TCP", only: dialect.MariaDB, user: "IDENTIFIED VIA unix_socket", file: byTCP, want: "connect by the socket, as the system user"},

		{name: "caching_sha2_password by the socket", only: dialect.MySQL, user: "IDENTIFIED" + by, file: bySocket + "\n" + line},
		{name: "the same again, from the server's cache", only: dialect.MySQL, file: bySocket + "\n" + line},
		{name: "caching_sha2_password by TCP with TLS", only: dialect.MySQL, user: "IDENTIFIED" + by, file: byTCP + "\n" + line},
		{name: "without TLS, from the server's cache", only: dialect.MySQL, file: plain + "\n" + line},
		{name: "without TLS, not cached", only: dialect.MySQL, user: "IDENTIFIED" + by, file: plain + "\n" + line, want: aKey},
		{name: "with the server's key", only: dialect.MySQL, file: plain + "\nserver-public-key-path=DATADIR/public_key.pem\n" + line},
		{name: "with the server's key, not cached", only: dialect.MySQL, user: "IDENTIFIED" + by, file: plain + "\nserver-public-key-path=DATADIR/public_key.pem\n" + line},
		{name: "with another key", only: dialect.MySQL, user: "IDENTIFIED" + by, file: plain + "\nserver-public-key-path=STRANGE\n" + line, want: "check user and password"},
		{name: "with a file that is no key", only: dialect.MySQL, file: plain + "\nserver-public-key-path=DATADIR/server-cert.pem\n" + line, want: "cannot use server-public-key-path"},
		{name: "with no such file", only: dialect.MySQL, file: plain + "\nserver-public-key-path=/none\n" + line, want: "cannot read server-public-key-path"},
		{name: "with whatever key it sends", only: dialect.MySQL, user: "IDENTIFIED" + by, file: plain + "\nget-server-public-key\n" + line},
		{name: "sha256_password by the socket", only: dialect.MySQL, user: "IDENTIFIED WITH sha256_password" + by, file: bySocket + "\n" + line},
		{name: "sha256_password with TLS", only: dialect.MySQL, user: "IDENTIFIED WITH sha256_password" + by, file: byTCP + "\n" + line},
		{name: "sha256_password without", only: dialect.MySQL, file: plain + "\n" + line, want: aKey},
		{name: "auth_socket, for this user of the system", only: dialect.MySQL, user: "IDENTIFIED WITH auth_socket AS '" + me.Username + "'", file: bySocket},
		{name: "auth_socket by TCP", only: dialect.MySQL, file: byTCP, want: "connect by the socket, as the system user"},
		{name: "auth_socket, as another user of the system", only: dialect.MySQL, user: "IDENTIFIED WITH auth_socket", file: bySocket, want: "connect by the socket, as the system user"},

		{name: "an expired password", user: "IDENTIFIED" + by + " PASSWORD EXPIRE", file: bySocket + "\n" + line, want: "has expired: set a new one"},
		{name: "a locked user", user: "IDENTIFIED" + by + " ACCOUNT LOCK", file: bySocket + "\n" + line, want: "ACCOUNT UNLOCK"},
		{name: "a user of another host", name2: "nobody", file: byTCP, want: "by TCP"},
		{name: "require_secure_transport", before: "SET GLOBAL require_secure_transport = ON", user: "IDENTIFIED" + by, file: plain + "\nget-server-public-key\n" + line, want: "ssl-mode=REQUIRED"},
		{name: "require_secure_transport, by the socket", file: bySocket + "\n" + line},
	}
	if mysqltest.Ed25519Dir() == "" {
		t.Log("no auth_ed25519.so of MariaDB's here (package mariadb-server): ed25519 is left out")
	} else {
		at := []way{
			{name: "ed25519 by the socket", only: dialect.MariaDB, user: "IDENTIFIED VIA ed25519 USING PASSWORD('" + password + "')", file: bySocket + "\n" + line},
			{name: "ed25519 by TCP without TLS", only: dialect.MariaDB, file: byTCP + "\n" + line},
			{name: "ed25519, a wrong password", only: dialect.MariaDB, file: byTCP + "\npassword=x", want: "check user and password"},
		}
		ways = append(at, ways...)
	}
	strange := filepath.Join(t.TempDir(), "strange.pem")
	writeRSAKey(t, strange)
	test := func(t *testing.T, srv *mysqltest.Server) {
		srv.ByTCP(t)
		root := srv.Root(t)
		rows, err := root.Query(t.Context(), "SELECT @@port AS port, @@datadir AS dir")
		if err != nil {
			t.Fatal(err)
		}
		var port int
		if _, err := fmt.Sscan(rows[0]["port"], &port); err != nil {
			t.Fatal(err)
		}
		for _, c := range ways {
			if c.only != "" && c.only != srv.Flavor {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				if c.before != "" {
					srv.MustRun(t, root, c.before)
				}
				if c.user != "" {
					for _, host := range []string{"localhost", "127.0.0.1"} {
						who := "'way'@'" + host + "'"
						srv.MustRun(t, root, "DROP USER IF EXISTS "+who, "CREATE USER "+who+" "+c.user)
					}
				}
				file := strings.NewReplacer("SOCKET", srv.Socket, "PORT", fmt.Sprint(port), "DATADIR", strings.TrimSuffix(rows[0]["dir"], "/"), "STRANGE", strange).Replace(c.file)
				_, err := signIn(t, "user="+cmp.Or(c.name2, "way"), file)
				switch {
				case c.want == "" && err != nil:
					t.Error(err)
				case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || errorIsOutOfReach(err)):
					t.Errorf("%v, want %q", err, c.want)
				}
				if err != nil && strings.Contains(err.Error(), password) {
					t.Errorf("the error has the password: %v", err)
				}
			})
		}
	}
	t.Run(dialect.MariaDB, func(t *testing.T) {
		test(t, mysqltest.Start(t, dialect.MariaDB, append(mysqltest.Listening(t), mysqltest.PluginOptions(t, dialect.MariaDB)...)...))
	})
	t.Run(dialect.MySQL, func(t *testing.T) {
		test(t, mysqltest.Start(t, dialect.MySQL, append(mysqltest.Listening(t), mysqltest.PluginOptions(t, dialect.MySQL)...)...))
	})
}

// A way that the driver lacks is named, whatever the server calls it: it is made
// up here by a server of a few bytes. (MariaDB's parsec is one: read, not run.)
func TestUnknownWay(t *testing.T) {
	for plugin, want := range map[string]string{
		"parsec":               "asks for authentication by parsec, which is not supported",
		"mysql_clear_password": "asks for the password in clear",
		"mysql_old_password":   "a way of authentication that is not supported",
	} {
		port := askFor(t, plugin, "12345678901234567890\x00")
		_, err := signIn(t, "host=127.0.0.1", fmt.Sprintf("port=%d", port), "user=u", "password=pw-0f-a-way")
		if err == nil || !strings.Contains(err.Error(), want) || errorIsOutOfReach(err) || strings.Contains(err.Error(), "pw-0f-a-way") {
			t.Errorf("%s: %v", plugin, err)
		}
	}
}

// A challenge that ends in a zero, which one in 256 of MariaDB's does.
func TestChallengeThatEndsInZero(t *testing.T) {
	port := askFor(t, "client_ed25519", strings.Repeat("c", 31)+"\x00", strings.Repeat("c", 31)+"\x00", strings.Repeat("c", 32))
	_, err := signIn(t, "host=127.0.0.1", fmt.Sprintf("port=%d", port), "user=u", "password=x")
	if wire.Code(err) != 1045 { // access denied
		t.Errorf("not answered at the third time: %v", err)
	}
}
