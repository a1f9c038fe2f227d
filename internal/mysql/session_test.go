package mysql

import (
	"errors"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/mysqltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testServer is one server, and how a session is opened to it.
type testServer struct{ *mysqltest.Server }

// waitsForMetadata is the state of a statement that waits for a metadata lock, on both flavors.
const waitsForMetadata = "Waiting for table metadata lock"

// each runs a test on both flavors, each a real server of its own. options are those of both.
func each(t *testing.T, test func(t *testing.T, srv *testServer), options ...string) {
	t.Helper()
	mysqltest.Each(t, func(t *testing.T, srv *mysqltest.Server) { test(t, &testServer{srv}) }, options...)
}

func startServer(tb testing.TB, options ...string) *testServer {
	tb.Helper()
	return &testServer{mysqltest.Start(tb, dialect.MariaDB, options...)}
}

func startMySQL(tb testing.TB, options ...string) *testServer {
	tb.Helper()
	return &testServer{mysqltest.Start(tb, dialect.MySQL, options...)}
}

// config is that of the minimal user.
func (s *testServer) config() Config {
	return Config{Socket: s.Socket, User: mysqltest.User, Password: mysqltest.Password, LockTimeout: 250 * time.Millisecond}
}

// connect is Connect as the minimal user, who may do what the plan needs.
func (s *testServer) connect(tb testing.TB, change func(*Config)) *Session {
	tb.Helper()
	cfg := s.config()
	if change != nil {
		change(&cfg)
	}
	if cfg.User == mysqltest.User {
		s.Minimal(tb, cfg.uses())
	}
	d, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	session, err := d.connect(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := session.Close(); err != nil {
			tb.Error(err)
		}
	})
	return session
}

func currentUser() string {
	if os.Geteuid() == 0 {
		return "root"
	}
	return os.Getenv("USER")
}

// errorAs is errors.As for one type.
func errorAs[E error](err error) (E, bool) {
	var e E
	return e, errors.As(err, &e)
}
