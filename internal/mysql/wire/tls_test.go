package wire_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/mysqltest"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
)

// signIn connects with a defaults file of these lines, and says in which version
// of TLS: "" for none.
func signIn(tb testing.TB, lines ...string) (version string, err error) {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "my.cnf")
	if err := os.WriteFile(file, []byte("[client]\n"+strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	at, err := wire.Address{DefaultsFile: file}.Target()
	if err != nil {
		return "", err
	}
	cfg, err := at.DriverConfig()
	if err != nil {
		return "", err
	}
	c, err := wire.Open(tb.Context(), cfg)
	if err != nil {
		return "", at.ConnectError(tb.Context(), err)
	}
	defer c.Quit()
	rows, err := c.Query(tb.Context(), "SHOW SESSION STATUS LIKE 'Ssl_version'")
	if err != nil || len(rows) != 1 {
		tb.Fatal(rows, err)
	}
	return rows[0]["value"], nil
}

// option file's spelling of the tests' password.
var passwordLine = `password="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(mysqltest.Password) + `"`

// Every way of asking for TLS, against a server with a certificate that is
// right, of another authority, for another host, expired or without names,
// and against one that has none.
func TestTLS(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	ours, others := mysqltest.NewAuthority(t, "ours"), mysqltest.NewAuthority(t, "others")
	right := ours.Issue(t, "right", soon, "127.0.0.1", "localhost")
	elsewhere := ours.Issue(t, "elsewhere", soon, "127.0.0.2", "db.example.com")
	expired := mysqltest.KeyPair{Cert: "expired"} // made below, since MySQL loads none that is
	nameless := ours.Issue(t, "127.0.0.1", soon)
	client, stranger := ours.Issue(t, "client", soon), others.Issue(t, "stranger", soon)
	with := func(p mysqltest.KeyPair) string { return "ssl-cert=" + p.Cert + "\nssl-key=" + p.Key }
	const (
		none    = "" // no TLS, and in
		any     = "TLS"
		wrong   = "does not prove by its certificate"
		without = "offers no TLS"
		v12     = "TLSv1.2"
		v13     = "TLSv1.3"
	)
	ca, otherCA := "ssl-ca="+ours.Path, "ssl-ca="+others.Path
	mysqltest.Each(t, func(t *testing.T, srv *mysqltest.Server) {
		addr := srv.ByTCP(t)
		plain, through := mysqltest.NewProxy(t, addr), mysqltest.NewProxy(t, addr)
		plain.NoTLS.Store(true)
		root, shown := srv.Root(t), mysqltest.KeyPair{}
		for _, c := range []struct {
			name string
			// shown is the server's certificate; the zero mysqltest.KeyPair: the server offers no TLS.
			shown mysqltest.KeyPair
			file  string
			want  string
			// require is what the user was created with; socket: not by TCP.
			require string
			socket  bool
		}{
			{name: "nothing said", shown: right, want: any},
			{name: "DISABLED", shown: right, file: "ssl-mode=DISABLED", want: none},
			{name: "PREFERRED", shown: elsewhere, file: "ssl-mode=PREFERRED", want: any},
			{name: "REQUIRED, expired", shown: expired, file: "ssl-mode=REQUIRED", want: any},
			{name: "VERIFY_CA, expired", shown: expired, file: "ssl-mode=VERIFY_CA\n" + ca, want: wrong},
			{name: "VERIFY_IDENTITY, expired", shown: expired, file: "ssl-mode=VERIFY_IDENTITY\n" + ca, want: wrong},
			{name: "REQUIRED with the wrong CA", shown: right, file: "ssl-mode=REQUIRED\n" + otherCA, want: any},
			{name: "VERIFY_CA", shown: right, file: "ssl-mode=VERIFY_CA\n" + ca, want: any},
			{name: "VERIFY_CA, another host", shown: elsewhere, file: "ssl-mode=VERIFY_CA\n" + ca, want: any},
			{name: "VERIFY_CA, wrong CA", shown: right, file: "ssl-mode=VERIFY_CA\n" + otherCA, want: wrong},
			{name: "VERIFY_CA, the system's authorities", shown: right, file: "ssl-mode=VERIFY_CA", want: wrong},
			{name: "VERIFY_IDENTITY", shown: right, file: "ssl-mode=VERIFY_IDENTITY\n" + ca, want: any},
			{name: "VERIFY_IDENTITY, another host", shown: elsewhere, file: "ssl-mode=VERIFY_IDENTITY\n" + ca, want: wrong},
			{name: "VERIFY_IDENTITY, wrong CA", shown: right, file: "ssl-mode=VERIFY_IDENTITY\n" + otherCA, want: wrong},
			{name: "VERIFY_IDENTITY, a common name alone", shown: nameless, file: "ssl-mode=VERIFY_IDENTITY\n" + ca, want: wrong},
			{name: "a CA alone verifies it", shown: right, file: otherCA, want: wrong},
			{name: "a CA alone does not look at the host", shown: elsewhere, file: ca, want: any},
			{name: "MariaDB's ssl", shown: right, file: "ssl", want: any},
			{name: "MariaDB's ssl=0", shown: right, file: "ssl=0", want: none},
			{name: "MariaDB's skip-ssl", shown: right, file: "skip-ssl", want: none},
			{name: "MariaDB's ssl-verify-server-cert", shown: right, file: ca + "\nssl-verify-server-cert", want: any},
			{name: "the same, another host", shown: elsewhere, file: ca + "\nssl-verify-server-cert", want: wrong},
			{name: "the same, off", shown: right, file: otherCA + "\nssl-verify-server-cert=0", want: any},
			{name: "tls-version 1.2", shown: right, file: "tls-version=TLSv1.2", want: v12},
			{name: "tls-version 1.3", shown: right, file: "tls-version=TLSv1,TLSv1.3", want: v13},
			{name: "without: nothing said", want: none},
			{name: "without: PREFERRED", file: "ssl-mode=PREFERRED", want: none},
			{name: "without: REQUIRED", file: "ssl-mode=REQUIRED", want: without},
			{name: "without: VERIFY_CA", file: ca, want: without},
			{name: "without: ssl", file: "ssl", want: without},
			{name: "REQUIRE SSL", shown: right, require: "SSL", file: "ssl", want: any},
			{name: "REQUIRE SSL, not used", shown: right, require: "SSL", file: "skip-ssl", want: "needs ssl-mode=REQUIRED"},
			{name: "REQUIRE X509", shown: right, require: "X509", file: ca + "\n" + with(client), want: any},
			{name: "REQUIRE X509, none shown", shown: right, require: "X509", file: ca, want: "one with REQUIRE SSL or X509 needs"},
			{name: "REQUIRE X509, a stranger's", shown: right, require: "X509", file: ca + "\n" + with(stranger), want: "the TLS handshake: check ssl-cert"},
			{name: "REQUIRE SUBJECT", shown: right, require: "SUBJECT '/CN=client'", file: ca + "\n" + with(client), want: any},
			{name: "by the socket, not asked for", shown: right, socket: true, want: none},
			{name: "by the socket, asked for", shown: right, socket: true, file: ca + "\nssl-verify-server-cert", want: any},
			{name: "by the socket, another host's", shown: elsewhere, socket: true, file: ca + "\nssl-verify-server-cert", want: wrong},
			{name: "a CA that is not there", shown: right, file: "ssl-ca=/none", want: "cannot read ssl-ca"},
			{name: "a CA that is none", shown: right, file: "ssl-ca=" + right.Key, want: "holds no certificate"},
			{name: "a key of another", shown: right, file: "ssl-cert=" + client.Cert + "\nssl-key=" + stranger.Key, want: "cannot use ssl-cert"},
			{name: "a version that nobody should speak", shown: right, file: "tls-version=TLSv1.1", want: "line 7: tls-version"},
			{name: "an option that is not understood", shown: right, file: "ssl-crl=/x", want: "line 7: ssl-crl is not supported"},
		} {
			t.Run(c.name, func(t *testing.T) {
				where := fmt.Sprintf("host=127.0.0.1\nport=%d", through.Port())
				if c.shown == (mysqltest.KeyPair{}) {
					where = fmt.Sprintf("host=127.0.0.1\nport=%d", plain.Port())
				} else if shown != c.shown {
					shown = c.shown
					if c.shown == expired {
						end := time.Now().Truncate(time.Second).Add(2 * time.Second) // a certificate has whole seconds
						show(t, srv, root, ours.Issue(t, "expired", end, "127.0.0.1"))
						time.Sleep(time.Until(end) + 10*time.Millisecond)
					} else {
						show(t, srv, root, c.shown)
					}
				}
				if c.socket {
					where = "socket=" + srv.Socket + "\n#"
				}
				if c.require != "" {
					srv.MustRun(t, root, "ALTER USER '"+mysqltest.User+"'@'127.0.0.1' REQUIRE "+c.require)
					t.Cleanup(func() { srv.MustRun(t, root, "ALTER USER '"+mysqltest.User+"'@'127.0.0.1' REQUIRE NONE") })
				}
				version, err := signIn(t, where, "user="+mysqltest.User, passwordLine, "get-server-public-key", c.file)
				in := c.want == none || strings.HasPrefix(c.want, any)
				switch {
				case in && err != nil:
					t.Error(err)
				case in && c.want == none && version != "", in && !strings.HasPrefix(version, c.want):
					t.Errorf("signed in with TLS version %q", version)
				case !in && (err == nil || !strings.Contains(err.Error(), c.want)):
					t.Errorf("version %q, error %v, want %q", version, err, c.want)
				case !in && errorIsOutOfReach(err):
					t.Errorf("to try again is of no use, but: %v", err)
				}
				if err != nil && strings.Contains(err.Error(), mysqltest.Password) {
					t.Errorf("the error has the password: %v", err)
				}
			})
		}
	}, append(mysqltest.Listening(t), "--ssl-ca="+ours.Path, "--ssl-cert="+shownCert(t, right).Cert, "--ssl-key="+shownCert(t, right).Key)...)
}

func errorIsOutOfReach(err error) bool {
	var out *snapshot.OutOfReachError
	return errors.As(err, &out)
}

// shownCert is where the server's certificate lies, of which the content changes.
func shownCert(tb testing.TB, first mysqltest.KeyPair) mysqltest.KeyPair {
	tb.Helper()
	dir := filepath.Dir(first.Cert)
	p := mysqltest.KeyPair{Cert: filepath.Join(dir, "shown.pem"), Key: filepath.Join(dir, "shown.key")}
	copyFile(tb, first.Cert, p.Cert)
	copyFile(tb, first.Key, p.Key)
	return p
}

func copyFile(tb testing.TB, from, to string) {
	tb.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// show has the server present another certificate from here on.
func show(tb testing.TB, srv *mysqltest.Server, root *wire.Conn, p mysqltest.KeyPair) {
	tb.Helper()
	shownCert(tb, p)
	srv.MustRun(tb, root, map[string]string{dialect.MariaDB: "FLUSH LOCAL SSL", dialect.MySQL: "ALTER INSTANCE RELOAD TLS"}[srv.Flavor])
}
