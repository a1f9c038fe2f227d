package mysqltest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"stillpoint/internal/mysql/access"
	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/wire"
	"stillpoint/test/rig"
)

// Dir is where servers are started; "": the directory for temporary files.
var Dir string

// TempDir is that of the machine; a test may set TMPDIR for its server.
var TempDir = os.TempDir()

// Server is one server on a socket of its own.
type Server struct {
	Flavor string
	Dir    string
	Socket string
	Cmd    *exec.Cmd
	Exited chan struct{}
	// Program and args start it again.
	Program string
	Args    []string
	// Version is what the server says of itself.
	Version string
	// Kind is what the table of privileges goes by.
	Kind dialect.Server
	// Granted is what the minimal user was granted last, see Minimal.
	Granted []string
}

// The minimal user; the password has what option files and SQL quote.
const (
	User     = "stillpoint"
	Password = "s3cret-#pw'\"\\"
	// QuotedUser is User as GRANT has it.
	QuotedUser = "'" + User + "'@'localhost'"
)

// defaultUses are what a plan needs that says nothing.
var defaultUses = []access.Use{access.Always, access.FTWRL, access.Flush}

// Each runs a test on both flavors, each a real server of its own. options are those of both.
func Each(t *testing.T, test func(t *testing.T, srv *Server), options ...string) {
	t.Helper()
	for _, flavor := range []string{dialect.MariaDB, dialect.MySQL} {
		t.Run(flavor, func(t *testing.T) { test(t, Start(t, flavor, options...)) })
	}
}

// Start starts a server that ends with the test, with the minimal user, a
// table t.a of 5 rows and an empty one, t.w.
func Start(tb testing.TB, of string, args ...string) *Server {
	tb.Helper()
	flavor := map[string]rig.Flavor{dialect.MariaDB: rig.MariaDB, dialect.MySQL: rig.MySQL}[of]
	if missing := flavor.Missing(); missing != "" {
		tb.Skipf("this machine lacks %s", missing)
	}
	program, own, err := flavor.Program()
	if err != nil {
		tb.Fatal(err)
	}
	// A socket's path is limited to 107 bytes.
	dir, err := os.MkdirTemp(Dir, "sp-db-")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{Flavor: string(flavor), Dir: dir, Socket: filepath.Join(dir, "s"), Program: program}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := flavor.Fill(tb.Context(), dir+"/data"); err != nil {
		tb.Fatal(err)
	}
	s.Args = slices.Concat([]string{"--no-defaults", "--datadir=" + dir + "/data", "--socket=" + s.Socket,
		"--pid-file=" + dir + "/pid", "--log-error=" + dir + "/err", "--skip-name-resolve",
		"--log-bin=b", "--server-id=1", "--innodb-buffer-pool-size=16M",
		"--innodb-flush-log-at-trx-commit=0", "--skip-networking",
		// One that starts removes from its tmpdir the temporary tables of all the others.
		"--tmpdir=" + dir}, own, args)
	tb.Cleanup(func() { s.Signal(syscall.SIGKILL); <-s.Exited })
	root := s.Launch(tb)
	defer root.Drop()
	if slices.Contains(args, "--wsrep-on=ON") { // it answers before it takes statements
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			ready, err := root.Query(tb.Context(), "SHOW GLOBAL STATUS LIKE 'wsrep_ready'")
			if err == nil && len(ready) == 1 && ready[0]["value"] == "ON" {
				break
			}
			if time.Now().After(end) {
				tb.Fatalf("the node is not ready: %v %v", ready, err)
			}
		}
	}
	rows, err := root.Query(context.Background(), "SELECT VERSION() AS version, @@version_comment AS comment, @@performance_schema AS perf")
	if err != nil || len(rows) != 1 {
		tb.Fatal(rows, err)
	}
	s.Version = rows[0]["version"]
	s.Kind.Identify(rows[0]["version"], rows[0]["comment"])
	s.Kind.Perf = !s.Kind.IsMariaDB() && rows[0]["perf"] == "1"
	s.Granted = access.Statements(access.For(s.Kind, defaultUses), QuotedUser)
	for _, statement := range append([]string{
		"CREATE DATABASE t",
		"CREATE TABLE t.a (i INT PRIMARY KEY, v INT) ENGINE=InnoDB",
		"CREATE TABLE t.w (i INT AUTO_INCREMENT PRIMARY KEY, v INT) ENGINE=InnoDB",
		"INSERT INTO t.a VALUES (1,1),(2,2),(3,3),(4,4),(5,5)",
		"CREATE USER " + User + "@localhost IDENTIFIED BY " + quoted(Password),
		"CREATE USER nobody@localhost",
	}, s.Granted...) {
		if err := root.Exec(context.Background(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
	return s
}

// Launch starts the server's program and waits until it answers.
func (s *Server) Launch(tb testing.TB, more ...string) (root *wire.Conn) {
	tb.Helper()
	s.Exited = make(chan struct{})
	s.Cmd = exec.Command(s.Program, append(slices.Clone(s.Args), more...)...)
	s.Cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.Cmd.Start(); err != nil {
		close(s.Exited)
		tb.Fatal(err)
	}
	go func(cmd *exec.Cmd, exited chan struct{}) { _ = cmd.Wait(); close(exited) }(s.Cmd, s.Exited)
	root, err := s.await()
	if err != nil {
		log, _ := os.ReadFile(s.Dir + "/err")
		tb.Fatalf("the server does not start: %v\n%s", err, log)
	}
	return root
}

// Restart kills the server and starts it again, with more arguments.
func (s *Server) Restart(tb testing.TB, more ...string) {
	tb.Helper()
	s.Signal(syscall.SIGKILL)
	<-s.Exited
	s.Launch(tb, more...).Drop()
}

// await waits until the server answers, or has ended.
func (s *Server) await() (*wire.Conn, error) {
	for range 1500 {
		root, err := wire.Open(context.Background(), s.RootConfig())
		if err == nil {
			return root, nil
		}
		select {
		case <-s.Exited:
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil, errors.New("it takes too long")
}

func (s *Server) Signal(sig syscall.Signal) { _ = s.Cmd.Process.Signal(sig) }

// Stop stops the server with SIGSTOP and waits until it has.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	s.Signal(syscall.SIGSTOP)
	for range 1000 {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.Cmd.Process.Pid))
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

func (s *Server) RootConfig() *driver.Config {
	cfg := driver.NewConfig()
	cfg.User, cfg.Net, cfg.Addr, cfg.Logger = "root", "unix", s.Socket, &driver.NopLogger{}
	return cfg
}

// Root opens a connection that may do anything; it ends with the test.
func (s *Server) Root(tb testing.TB) *wire.Conn {
	tb.Helper()
	c, err := wire.Open(tb.Context(), s.RootConfig())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Drop)
	return c
}

// quoted is a text as SQL has it.
func quoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// Minimal sees to it that the minimal user may do what the table says that these
// parts of a plan need, and nothing more. Where it has just that already no
// statement is sent: a lock may be held.
func (s *Server) Minimal(tb testing.TB, uses []access.Use) {
	tb.Helper()
	need := access.Statements(access.For(s.Kind, uses), QuotedUser)
	if slices.Equal(need, s.Granted) {
		return
	}
	s.MustRun(tb, s.Root(tb), append([]string{"REVOKE ALL PRIVILEGES, GRANT OPTION FROM " + QuotedUser}, need...)...)
	s.Granted = need
}

// MustRun runs statements on a connection.
func (s *Server) MustRun(tb testing.TB, c *wire.Conn, statements ...string) {
	tb.Helper()
	for _, statement := range statements {
		if err := c.Exec(context.Background(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
}

// Busy runs statements in a session of its own, of which the last sleeps (SLEEP),
// until stop is called or it ends, and returns once it sleeps: what the statement
// locks is locked then, which being in the process list does not say.
func (s *Server) Busy(tb testing.TB, statements ...string) (stop func()) {
	tb.Helper()
	return s.BusyIn(tb, "User sleep", statements...)
}

// BusyIn is Busy with a last statement that comes to another state.
func (s *Server) BusyIn(tb testing.TB, state string, statements ...string) (stop func()) {
	tb.Helper()
	c, root := s.Root(tb), s.Root(tb)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, statement := range statements {
			_ = c.ExecUnbounded(statement)
		}
	}()
	last := statements[len(statements)-1]
	for end := time.Now().Add(20 * time.Second); ; {
		rows, err := root.Query(tb.Context(), fmt.Sprintf("SELECT STATE AS state, INFO AS info FROM information_schema.PROCESSLIST WHERE ID = %d", c.ID))
		if err != nil {
			tb.Fatal(err)
		}
		// EXECUTE shows as the statement that was prepared.
		if len(rows) == 1 && strings.HasPrefix(rows[0]["state"], state) && (rows[0]["info"] == last || strings.HasPrefix(last, "EXECUTE")) {
			break
		}
		if time.Now().After(end) {
			tb.Fatalf("%s does not come to %q: %v", last, state, rows)
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
			_ = root.Exec(context.Background(), fmt.Sprintf("KILL %d", c.ID))
			<-done
		})
	}
	tb.Cleanup(stop)
	return stop
}

// MustExec runs statements as root.
func (s *Server) MustExec(tb testing.TB, statements ...string) {
	tb.Helper()
	c := s.Root(tb)
	for _, statement := range statements {
		if err := c.Exec(tb.Context(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
}

// Writes inserts one row, in at most d.
func (s *Server) Writes(tb testing.TB, c *wire.Conn, d time.Duration) error {
	tb.Helper()
	bound := fmt.Sprintf("SET SESSION max_statement_time = %.3f", d.Seconds())
	if s.Flavor != dialect.MariaDB { // whole seconds
		bound = fmt.Sprintf("SET SESSION lock_wait_timeout = %d", int(math.Ceil(d.Seconds())))
	}
	if err := c.Exec(tb.Context(), bound); err != nil {
		return err
	}
	return c.Exec(tb.Context(), "INSERT INTO t.w (v) VALUES (1)")
}

// MustWrite fails the test where a row cannot be inserted at once.
func (s *Server) MustWrite(tb testing.TB) {
	tb.Helper()
	if err := s.Writes(tb, s.Root(tb), 2*time.Second); err != nil {
		tb.Fatalf("cannot write: %v", err)
	}
}

// MustBlock fails the test where a row can be inserted.
func (s *Server) MustBlock(tb testing.TB) {
	tb.Helper()
	if err := s.Writes(tb, s.Root(tb), 100*time.Millisecond); !wire.IsNotGranted(err) {
		tb.Fatalf("a write was not blocked: %v", err)
	}
}

// Ours are the server's sessions of the minimal user, as "command state".
func (s *Server) Ours(tb testing.TB) []string {
	tb.Helper()
	rows, err := s.Root(tb).Query(tb.Context(), "SELECT COMMAND AS c, STATE AS s FROM information_schema.PROCESSLIST WHERE USER = '"+User+"'")
	if err != nil {
		tb.Fatal(err)
	}
	var list []string
	for _, r := range rows {
		list = append(list, strings.TrimSpace(r["c"]+" "+r["s"]))
	}
	return list
}

// IsIdle waits until exactly n of our sessions are there, all asleep, and fails the test if that does not come. A session that was
// closed takes a moment to leave, and so does a statement whose answer is still on its way.
func (s *Server) IsIdle(tb testing.TB, n int) {
	tb.Helper()
	atRest := func(list []string) bool {
		return len(list) == n && !slices.ContainsFunc(list, func(one string) bool { return one != "Sleep" })
	}
	list := s.Ours(tb)
	for end := time.Now().Add(10 * time.Second); !atRest(list) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
		list = s.Ours(tb)
	}
	if !atRest(list) {
		tb.Errorf("the sessions of ours are %q, want %d, all asleep", list, n)
	}
}

// FreePort is a TCP port on 127.0.0.1 that nobody listens on.
func FreePort(tb testing.TB) uint16 {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// ByTCP makes the minimal user for 127.0.0.1 too and returns the server's address.
func (s *Server) ByTCP(tb testing.TB) string {
	tb.Helper()
	root := s.Root(tb)
	const user = "'" + User + "'@'127.0.0.1'"
	s.MustRun(tb, root, append([]string{"CREATE USER " + user + " IDENTIFIED BY " + quoted(Password)},
		access.Statements(access.For(s.Kind, defaultUses), user)...)...)
	rows, err := root.Query(tb.Context(), "SELECT @@port AS port")
	if err != nil || len(rows) != 1 {
		tb.Fatal(rows, err)
	}
	return net.JoinHostPort("127.0.0.1", rows[0]["port"])
}

// Listening are the options of a server with a TCP port.
func Listening(tb testing.TB) []string {
	tb.Helper()
	return []string{"--skip-networking=0", "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(int(FreePort(tb)))}
}
