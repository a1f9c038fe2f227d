package mysql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"
)

// template is a data directory that every server of this run is copied from.
var template struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	result := m.Run()
	if template.dir != "" {
		_ = os.RemoveAll(template.dir)
	}
	if result == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			result = 1
		}
	}
	os.Exit(result)
}

// testServer is one mariadbd on a socket of its own.
type testServer struct {
	dir    string
	socket string
	cmd    *exec.Cmd
	exited chan struct{}
}

const (
	testUser     = "stillpoint"
	testPassword = "s3cret-#pw'\"\\"
)

// lookup finds a server's program, also where PATH has no sbin.
func lookup(name string) string {
	for _, path := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	return ""
}

// startServer starts a MariaDB server that ends with the test, with the
// minimal user and a table t.a of 10 rows.
func startServer(tb testing.TB, args ...string) *testServer {
	tb.Helper()
	mariadbd, install := lookup("mariadbd"), lookup("mariadb-install-db")
	if mariadbd == "" || install == "" {
		tb.Skip("mariadbd or mariadb-install-db is not installed")
	}
	template.once.Do(func() {
		// Not in a test's own directory, as it serves them all.
		template.dir, template.err = os.MkdirTemp("", "stillpoint-mysql-")
		if template.err != nil {
			return
		}
		out, err := exec.Command(install, "--no-defaults", "--datadir="+template.dir+"/data", "--skip-test-db",
			"--skip-name-resolve", "--auth-root-authentication-method=normal", "--user="+currentUser()).CombinedOutput()
		if err != nil {
			template.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if template.err != nil {
		tb.Fatal(template.err)
	}
	// A socket's path is limited to 107 bytes.
	dir, err := os.MkdirTemp("", "sp-db-")
	if err != nil {
		tb.Fatal(err)
	}
	s := &testServer{dir: dir, socket: filepath.Join(dir, "s"), exited: make(chan struct{})}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.CopyFS(dir, os.DirFS(template.dir)); err != nil {
		tb.Fatal(err)
	}
	s.cmd = exec.Command(mariadbd, append([]string{"--no-defaults", "--datadir=" + dir + "/data", "--socket=" + s.socket,
		"--pid-file=" + dir + "/pid", "--log-error=" + dir + "/err", "--user=" + currentUser(), "--skip-name-resolve",
		"--log-bin=b", "--server-id=1", "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M",
		"--innodb-flush-log-at-trx-commit=0", "--skip-networking", "--skip-innodb-use-native-aio"}, args...)...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() { _ = s.cmd.Wait(); close(s.exited) }()
	tb.Cleanup(func() { s.signal(syscall.SIGKILL); <-s.exited })
	var root *conn
	for range 1500 {
		if root, err = open(context.Background(), s.rootConfig()); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		log, _ := os.ReadFile(dir + "/err")
		tb.Fatalf("the server does not start: %v\n%s", err, log)
	}
	defer root.drop()
	for _, statement := range []string{
		"CREATE DATABASE t",
		"CREATE TABLE t.a (i INT PRIMARY KEY, v INT) ENGINE=InnoDB",
		"CREATE TABLE t.w (i INT AUTO_INCREMENT PRIMARY KEY, v INT) ENGINE=InnoDB",
		"INSERT INTO t.a SELECT seq, seq FROM t_seq",
		"CREATE USER " + testUser + "@localhost IDENTIFIED BY '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(testPassword) + "'",
		"GRANT RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO " + testUser + "@localhost",
		"CREATE USER nobody@localhost",
	} {
		statement = strings.Replace(statement, "t_seq", "(SELECT 1 AS seq UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5) q", 1)
		if err := root.exec(context.Background(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
	return s
}

func (s *testServer) signal(sig syscall.Signal) { _ = s.cmd.Process.Signal(sig) }

// stop stops the server with SIGSTOP and waits until it has.
func (s *testServer) stop(tb testing.TB) {
	tb.Helper()
	s.signal(syscall.SIGSTOP)
	for range 1000 {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.cmd.Process.Pid))
		stopped := len(threads) > 0
		for _, path := range threads {
			stat, _ := os.ReadFile(path)
			_, rest, _ := strings.Cut(string(stat), ") ")
			stopped = stopped && strings.HasPrefix(rest, "T")
		}
		if stopped {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	tb.Fatal("the server does not stop")
}

func (s *testServer) rootConfig() *driver.Config {
	cfg := driver.NewConfig()
	cfg.User, cfg.Net, cfg.Addr, cfg.Logger = "root", "unix", s.socket, &driver.NopLogger{}
	return cfg
}

func currentUser() string {
	if os.Geteuid() == 0 {
		return "root"
	}
	return os.Getenv("USER")
}

// root opens a connection that may do anything; it ends with the test.
func (s *testServer) root(tb testing.TB) *conn {
	tb.Helper()
	c, err := open(tb.Context(), s.rootConfig())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.drop)
	return c
}

// config is that of the minimal user.
func (s *testServer) config() Config {
	return Config{Socket: s.socket, User: testUser, Password: testPassword, LockTimeout: 250 * time.Millisecond}
}

// connect is Connect as the minimal user.
func (s *testServer) connect(tb testing.TB, change func(*Config)) *Session {
	tb.Helper()
	cfg := s.config()
	if change != nil {
		change(&cfg)
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

// busy runs a statement in a session of its own until stop is called or it
// ends, and returns once the server shows it running.
func (s *testServer) busy(tb testing.TB, statements ...string) (stop func()) {
	tb.Helper()
	c, root := s.root(tb), s.root(tb)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, statement := range statements {
			_ = c.execUnbounded(statement)
		}
	}()
	last := statements[len(statements)-1]
	for {
		rows, err := root.query(tb.Context(), fmt.Sprintf("SELECT INFO AS info FROM information_schema.PROCESSLIST WHERE ID = %d", c.id))
		if err != nil {
			tb.Fatal(err)
		}
		// EXECUTE shows as the statement that was prepared.
		if len(rows) == 1 && (rows[0]["info"] == last || strings.HasPrefix(last, "EXECUTE") && strings.HasPrefix(rows[0]["info"], "UPDATE")) {
			break
		}
		select {
		case <-done:
			tb.Fatalf("%s has ended", last)
		case <-time.After(time.Millisecond):
		}
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			_ = root.exec(context.Background(), fmt.Sprintf("KILL %d", c.id))
			<-done
		})
	}
	tb.Cleanup(stop)
	return stop
}

// writes inserts one row, in at most d.
func (s *testServer) writes(tb testing.TB, c *conn, d time.Duration) error {
	tb.Helper()
	if err := c.exec(tb.Context(), fmt.Sprintf("SET SESSION max_statement_time = %.3f", d.Seconds())); err != nil {
		return err
	}
	return c.exec(tb.Context(), "INSERT INTO t.w (v) VALUES (1)")
}

// mustWrite fails the test where a row cannot be inserted at once.
func (s *testServer) mustWrite(tb testing.TB) {
	tb.Helper()
	if err := s.writes(tb, s.root(tb), 2*time.Second); err != nil {
		tb.Fatalf("cannot write: %v", err)
	}
}

// mustBlock fails the test where a row can be inserted.
func (s *testServer) mustBlock(tb testing.TB) {
	tb.Helper()
	if err := s.writes(tb, s.root(tb), 100*time.Millisecond); !isNotGranted(err) {
		tb.Fatalf("a write was not blocked: %v", err)
	}
}

// ours are the server's sessions of the minimal user, as "command state".
func (s *testServer) ours(tb testing.TB) []string {
	tb.Helper()
	rows, err := s.root(tb).query(tb.Context(), "SELECT COMMAND AS c, STATE AS s FROM information_schema.PROCESSLIST WHERE USER = '"+testUser+"'")
	if err != nil {
		tb.Fatal(err)
	}
	var list []string
	for _, r := range rows {
		list = append(list, strings.TrimSpace(r["c"]+" "+r["s"]))
	}
	return list
}

// isIdle waits until exactly n of our sessions are there, all asleep, and fails the test if that does not come. A session that was
// closed takes a moment to leave, and so does a statement whose answer is still on its way.
func (s *testServer) isIdle(tb testing.TB, n int) {
	tb.Helper()
	atRest := func(list []string) bool {
		return len(list) == n && !slices.ContainsFunc(list, func(one string) bool { return one != "Sleep" })
	}
	list := s.ours(tb)
	for end := time.Now().Add(10 * time.Second); !atRest(list) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
		list = s.ours(tb)
	}
	if !atRest(list) {
		tb.Errorf("the sessions of ours are %q, want %d, all asleep", list, n)
	}
}

// errorAs is errors.As for one type.
func errorAs[E error](err error) (E, bool) {
	var e E
	return e, errors.As(err, &e)
}

// freePort is a TCP port on 127.0.0.1 that nobody listens on.
func freePort(tb testing.TB) uint16 {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}
