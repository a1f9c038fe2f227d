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

	"stillpoint/test/rig"
)

// serverDir is where servers are started; "": the directory for temporary files.
var serverDir string

// tempDir is that of the machine; a test may set TMPDIR for its server.
var tempDir = os.TempDir()

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testServer is one server on a socket of its own.
type testServer struct {
	flavor string
	dir    string
	socket string
	cmd    *exec.Cmd
	exited chan struct{}
	// program and args start it again.
	program string
	args    []string
	// kind is what the table of privileges goes by.
	kind server
	// granted is what the minimal user was granted last, see minimal.
	granted []string
}

const (
	testUser     = "stillpoint"
	testPassword = "s3cret-#pw'\"\\"

	quotedTestUser = "'" + testUser + "'@'localhost'"
)

// each runs a test on both flavors, each a real server of its own. options are those of both.
func each(t *testing.T, test func(t *testing.T, srv *testServer), options ...string) {
	t.Helper()
	t.Run(flavorMariaDB, func(t *testing.T) { test(t, startServer(t, options...)) })
	t.Run(flavorMySQL, func(t *testing.T) { test(t, startMySQL(t, options...)) })
}

// startServer starts a MariaDB server that ends with the test, with the
// minimal user, a table t.a of 5 rows and an empty one, t.w.
func startServer(tb testing.TB, args ...string) *testServer {
	tb.Helper()
	return start(tb, rig.MariaDB, args)
}

// startMySQL starts a MySQL server of Oracle's in the same way.
func startMySQL(tb testing.TB, args ...string) *testServer {
	tb.Helper()
	return start(tb, rig.MySQL, args)
}

func start(tb testing.TB, flavor rig.Flavor, args []string) *testServer {
	tb.Helper()
	if missing := flavor.Missing(); missing != "" {
		tb.Skipf("this machine lacks %s", missing)
	}
	program, own, err := flavor.Program()
	if err != nil {
		tb.Fatal(err)
	}
	// A socket's path is limited to 107 bytes.
	dir, err := os.MkdirTemp(serverDir, "sp-db-")
	if err != nil {
		tb.Fatal(err)
	}
	s := &testServer{flavor: string(flavor), dir: dir, socket: filepath.Join(dir, "s"), program: program}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := flavor.Fill(tb.Context(), dir+"/data"); err != nil {
		tb.Fatal(err)
	}
	s.args = slices.Concat([]string{"--no-defaults", "--datadir=" + dir + "/data", "--socket=" + s.socket,
		"--pid-file=" + dir + "/pid", "--log-error=" + dir + "/err", "--skip-name-resolve",
		"--log-bin=b", "--server-id=1", "--innodb-buffer-pool-size=16M",
		"--innodb-flush-log-at-trx-commit=0", "--skip-networking",
		// One that starts removes from its tmpdir the temporary tables of all the others.
		"--tmpdir=" + dir}, own, args)
	tb.Cleanup(func() { s.signal(syscall.SIGKILL); <-s.exited })
	root := s.launch(tb)
	defer root.drop()
	rows, err := root.query(context.Background(), "SELECT VERSION() AS version, @@version_comment AS comment, @@performance_schema AS perf")
	if err != nil || len(rows) != 1 {
		tb.Fatal(rows, err)
	}
	s.kind.identify(rows[0]["version"], rows[0]["comment"])
	s.kind.perf = !s.kind.mariadb() && rows[0]["perf"] == "1"
	s.granted = grantStatements(privilegesFor(s.kind, Config{}), quotedTestUser)
	for _, statement := range append([]string{
		"CREATE DATABASE t",
		"CREATE TABLE t.a (i INT PRIMARY KEY, v INT) ENGINE=InnoDB",
		"CREATE TABLE t.w (i INT AUTO_INCREMENT PRIMARY KEY, v INT) ENGINE=InnoDB",
		"INSERT INTO t.a VALUES (1,1),(2,2),(3,3),(4,4),(5,5)",
		"CREATE USER " + testUser + "@localhost IDENTIFIED BY " + quoted(testPassword),
		"CREATE USER nobody@localhost",
	}, s.granted...) {
		if err := root.exec(context.Background(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
	return s
}

// launch starts the server's program and waits until it answers.
func (s *testServer) launch(tb testing.TB, more ...string) (root *conn) {
	tb.Helper()
	s.exited = make(chan struct{})
	s.cmd = exec.Command(s.program, append(slices.Clone(s.args), more...)...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		close(s.exited)
		tb.Fatal(err)
	}
	go func(cmd *exec.Cmd, exited chan struct{}) { _ = cmd.Wait(); close(exited) }(s.cmd, s.exited)
	root, err := s.await()
	if err != nil {
		log, _ := os.ReadFile(s.dir + "/err")
		tb.Fatalf("the server does not start: %v\n%s", err, log)
	}
	return root
}

// restart kills the server and starts it again, with more arguments.
func (s *testServer) restart(tb testing.TB, more ...string) {
	tb.Helper()
	s.signal(syscall.SIGKILL)
	<-s.exited
	s.launch(tb, more...).drop()
}

// await waits until the server answers, or has ended.
func (s *testServer) await() (*conn, error) {
	for range 1500 {
		root, err := open(context.Background(), s.rootConfig())
		if err == nil {
			return root, nil
		}
		select {
		case <-s.exited:
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil, errors.New("it takes too long")
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

// quoted is a text as SQL has it.
func quoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// minimal sees to it that the minimal user may do what the table says that a
// plan needs, and nothing more. Where it has just that already no statement is
// sent: a lock may be held.
func (s *testServer) minimal(tb testing.TB, cfg Config) {
	tb.Helper()
	need := grantStatements(privilegesFor(s.kind, cfg), quotedTestUser)
	if cfg.User != testUser || slices.Equal(need, s.granted) {
		return
	}
	root := s.root(tb)
	for _, statement := range append([]string{"REVOKE ALL PRIVILEGES, GRANT OPTION FROM " + quotedTestUser}, need...) {
		if err := root.exec(tb.Context(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
	s.granted = need
}

// connect is Connect as the minimal user, see minimal.
func (s *testServer) connect(tb testing.TB, change func(*Config)) *Session {
	tb.Helper()
	cfg := s.config()
	if change != nil {
		change(&cfg)
	}
	s.minimal(tb, cfg)
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

// mustExec runs statements as root.
func (s *testServer) mustExec(tb testing.TB, statements ...string) {
	tb.Helper()
	c := s.root(tb)
	for _, statement := range statements {
		if err := c.exec(tb.Context(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
}

// writes inserts one row, in at most d.
func (s *testServer) writes(tb testing.TB, c *conn, d time.Duration) error {
	tb.Helper()
	bound := fmt.Sprintf("SET SESSION max_statement_time = %.3f", d.Seconds())
	if s.flavor != flavorMariaDB { // whole seconds
		bound = fmt.Sprintf("SET SESSION lock_wait_timeout = %d", seconds(d))
	}
	if err := c.exec(tb.Context(), bound); err != nil {
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
