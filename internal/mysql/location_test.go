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
	"syscall"
	"testing"
	"time"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/mysqltest"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
	"stillpoint/internal/volume"
	"stillpoint/test/rig"
)

// xfs is a file system on a loop device of its own; it ends with the test.
func xfs(t *testing.T) string {
	t.Helper()
	if missing := rig.Missing(); len(missing) > 0 {
		t.Skip("this machine lacks " + strings.Join(missing, ", "))
	}
	dir, err := os.MkdirTemp("", "sp-v-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	store, err := rig.NewStore(t.Context(), dir, 320)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store.Dir()
}

// Where a server's files are is found, whatever of it lies elsewhere.
func TestLocation(t *testing.T) {
	for flavor, start := range map[string]func(testing.TB, ...string) *testServer{dialect.MariaDB: startServer, dialect.MySQL: startMySQL} {
		t.Run(flavor, func(t *testing.T) {
			a, port := xfs(t), mysqltest.FreePort(t)
			t.Setenv("TMPDIR", a) // the server's directory, and its tmpdir
			srv := start(t, "--skip-skip-networking", "--bind-address=127.0.0.1", fmt.Sprintf("--port=%d", port))
			t.Setenv("TMPDIR", mysqltest.TempDir)
			t.Run("all on it", func(t *testing.T) { allOnIt(t, srv, a) })
			t.Run("through a proxy", func(t *testing.T) { throughAProxy(t, srv, int(port)) })
			t.Run("one part elsewhere", func(t *testing.T) { eachElsewhere(t, srv, a) })
			t.Run("opened again", func(t *testing.T) { openedAgain(t, srv) })
			t.Run("in its namespace", func(t *testing.T) { inItsNamespace(t, srv, a) })
			t.Run("all parts elsewhere", func(t *testing.T) { allElsewhere(t, srv, a) })
		})
	}
}

// rerun ends the server (cleanly, where there is something to edit) and starts
// it again after edit, with further options, by way of a wrapper such as unshare.
func (s *testServer) rerun(t *testing.T, edit func(), wrapper []string, options ...string) {
	t.Helper()
	if edit == nil {
		// What was written before is in the log, which is written out with the next commit.
		s.must(t, "SET GLOBAL innodb_flush_log_at_trx_commit = 1", "INSERT INTO t.w (v) VALUES (1)")
		s.Signal(syscall.SIGKILL)
		edit = func() {}
	}
	s.Signal(syscall.SIGTERM)
	<-s.Exited
	edit()
	command := slices.Concat(wrapper, []string{s.Program}, s.Args, options)
	s.Program, s.Args = command[0], command[1:]
	s.Launch(t).Drop()
}

// endsBefore ends the server with the test, before the volume that was made for it goes.
func (s *testServer) endsBefore(t *testing.T) {
	t.Cleanup(func() { s.Signal(syscall.SIGKILL); <-s.Exited })
}

func (s *testServer) must(t *testing.T, statements ...string) {
	t.Helper()
	root, err := wire.Open(t.Context(), s.RootConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Quit() // a server that is shut down waits for its sessions
	for _, statement := range statements {
		if err := root.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func (s *testServer) locate(t *testing.T, change func(*Config)) snapshot.Location {
	t.Helper()
	session := s.connect(t, change)
	at, err := session.Locate(t.Context())
	if err := errors.Join(err, session.Close()); err != nil {
		t.Fatal(err)
	}
	return at
}

// outside are the parts that do not lie on the mounts, by what they are, as the real resolver has it.
func outside(t *testing.T, at snapshot.Location, mounts ...string) []string {
	t.Helper()
	if at.Doubt != "" || len(at.Parts) == 0 {
		t.Fatalf("it is not shown: %q, %+v", at.Doubt, at.Parts)
	}
	systems := make([]snapshot.FileSystem, len(at.Parts))
	for i, p := range at.Parts {
		systems[i] = p.FS
	}
	covers, err := (&volume.Resolver{}).Cover(t.Context(), snapshot.Set{Freeze: mounts}, systems)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i, c := range covers {
		if c.InSet != c.Frozen {
			t.Errorf("%+v: %+v", at.Parts[i], c)
		}
		if !c.InSet {
			out = append(out, at.Parts[i].What+" "+filepath.Base(at.Parts[i].Path))
		}
	}
	slices.Sort(out)
	return out
}

// move moves a file or directory to a directory, also of another file system, and leaves a link.
func move(t *testing.T, from, to string) {
	t.Helper()
	for _, args := range [][]string{{"mv", from, to}, {"ln", "-s", filepath.Join(to, filepath.Base(from)), from}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", args, err, out)
		}
	}
}

func allOnIt(t *testing.T, srv *testServer, a string) {
	start := time.Now()
	at := srv.locate(t, nil)
	t.Logf("%s in %v", at.Process, time.Since(start))
	if out := outside(t, at, a); len(out) > 0 {
		t.Errorf("outside of its own volume: %q", out)
	}
	if !strings.Contains(at.Process, fmt.Sprint(srv.Cmd.Process.Pid)) {
		t.Errorf("the server is %s", at.Process)
	}
	if slices.ContainsFunc(at.Neighbours, func(n snapshot.Neighbour) bool { return n.PID == srv.Cmd.Process.Pid }) {
		t.Error("it is its own neighbour")
	}
}

func allElsewhere(t *testing.T, srv *testServer, a string) {
	b := xfs(t)
	srv.endsBefore(t)
	for _, dir := range []string{"alt", "logs", "redo", "dw"} {
		if err := os.Mkdir(filepath.Join(b, dir), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(srv.Dir, "data")
	options := []string{"--log-bin=" + b + "/logs/b"}
	redo := "ib_logfile0"
	if srv.Flavor == dialect.MySQL {
		redo = "#innodb_redo"
		options = append(options, "--innodb-directories="+b+"/alt", "--innodb-doublewrite-dir="+b+"/dw")
	}
	srv.rerun(t, func() { move(t, filepath.Join(data, redo), filepath.Join(b, "redo")) }, nil, options...)
	srv.must(t, "CREATE TABLE t.di (i INT PRIMARY KEY) ENGINE=InnoDB DATA DIRECTORY='"+b+"/alt'",
		"CREATE TABLE t.dm (i INT PRIMARY KEY) ENGINE=MyISAM DATA DIRECTORY='"+b+"/alt'")
	want := []string{"datadir " + redo, "datadir dm.MYD", "log_bin_basename logs", "log_bin_index b.index"}
	if srv.Flavor == dialect.MySQL {
		srv.must(t, "CREATE TABLESPACE g ADD DATAFILE '"+b+"/alt/g.ibd'", "CREATE UNDO TABLESPACE u ADD DATAFILE '"+b+"/alt/u.ibu'")
		want = []string{"a tablespace di.ibd", "datadir " + redo, "innodb_doublewrite_dir dw", "log_bin_basename logs", "log_bin_index b.index"}
	}
	at := srv.locate(t, nil)
	// One of a kind is named for each file system: the order in a directory decides which.
	got := outside(t, at, a)
	generic := func(list []string) []string {
		var out []string
		for _, s := range list {
			if s = strings.Fields(s)[0]; !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
		return out
	}
	if !slices.Equal(generic(got), generic(want)) {
		t.Errorf("outside: %q, want %q", got, want)
	}
	if out := outside(t, at, a, b); len(out) > 0 {
		t.Errorf("outside of both volumes: %q", out)
	}
}

// Paths mean what they mean to the server: in its own mount namespace, and in
// its own root directory.
func inItsNamespace(t *testing.T, srv *testServer, a string) {
	b := xfs(t)
	srv.endsBefore(t)
	data := filepath.Join(srv.Dir, "data")
	program, args := srv.Program, srv.Args
	defer func() { srv.Program, srv.Args = program, args }()
	there, root := filepath.Join(b, srv.Flavor), filepath.Join(srv.Dir, "root")
	srv.rerun(t, func() {
		if out, err := exec.Command("cp", "-a", data, there).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := os.Mkdir(root, 0o755); err != nil {
			t.Fatal(err)
		}
	}, []string{"unshare", "-m", "-n", "-u", "sh", "-c", `mount --bind "$0" "$1" && shift && exec "$@"`, there, data})
	at := srv.locate(t, nil)
	if got := outside(t, at, b); len(got) > 0 {
		t.Errorf("in a mount namespace: outside of where it was mounted from: %q", got)
	}
	if got := outside(t, at, a); !slices.Contains(got, "datadir data") {
		t.Errorf("in a mount namespace: outside of what the path means here: %q", got)
	}
	// The same in a chroot, with an absolute link, which leads elsewhere outside of it.
	link := filepath.Join(srv.Dir, "link")
	if err := os.Symlink(data, link); err != nil {
		t.Fatal(err)
	}
	srv.Program, srv.Args = program, args
	srv.rerun(t, nil, []string{"unshare", "-m", "sh", "-c",
		`mount --rbind / "$2" && mount --bind "$0" "$2$1" && r="$2" && shift 2 && exec chroot "$r" "$@"`, there, data, root}, "--datadir="+link)
	at = srv.locate(t, nil)
	if got := outside(t, at, b); len(got) > 0 {
		t.Errorf("in a chroot: outside of where it was mounted from: %q", got)
	}
}

// relay passes one connection at a time on, as a port proxy does.
func relay(t *testing.T, network, address, to string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	rig.Relay(l, to)
	return l
}

func throughAProxy(t *testing.T, srv *testServer, port int) {
	srv.must(t, "CREATE USER "+mysqltest.User+"@'127.0.0.1' IDENTIFIED BY 'p'")
	for _, grant := range srv.Granted {
		srv.must(t, strings.ReplaceAll(grant, "localhost", "127.0.0.1"))
	}
	tcp := func(port int) func(*Config) {
		return func(c *Config) { c.Socket, c.Host, c.Port, c.Password = "", "127.0.0.1", uint16(port), "p" }
	}
	if at := srv.locate(t, tcp(port)); at.Doubt != "" || len(at.Parts) == 0 {
		t.Errorf("directly over TCP: %q", at.Doubt)
	}
	us := fmt.Sprintf("(process %d)", os.Getpid())
	for name, l := range map[string]net.Listener{
		"tcp": relay(t, "tcp", "127.0.0.1:0", srv.Socket), "unix": relay(t, "unix", filepath.Join(srv.Dir, "proxy"), srv.Socket),
	} {
		for _, trusted := range []bool{false, true} {
			at := srv.locate(t, func(c *Config) {
				c.TrustLocation = trusted
				c.Socket = l.Addr().String()
				if a, ok := l.Addr().(*net.TCPAddr); ok {
					// The server sees the proxy's Unix socket, so the user of that.
					c.Socket, c.Host, c.Port = "", "127.0.0.1", uint16(a.Port)
				}
			})
			if !strings.Contains(at.Doubt, us) || !strings.Contains(at.Doubt, "it is a proxy") || len(at.Parts) > 0 || at.Process != "" {
				t.Errorf("through a proxy over %s: %+v", name, at)
			}
			if at.Trusted != trusted {
				t.Errorf("trusted: %v, want %v", at.Trusted, trusted)
			}
			if !slices.ContainsFunc(at.Neighbours, func(n snapshot.Neighbour) bool { return n.PID == srv.Cmd.Process.Pid && n.Server }) {
				t.Errorf("the server behind the proxy is not among the neighbours: %+v", at.Neighbours)
			}
		}
	}
}

// A session that is opened again must lead to the process that was located.
func openedAgain(t *testing.T, srv *testServer) {
	s := srv.connect(t, nil)
	if at, err := s.Locate(t.Context()); err != nil || at.Doubt != "" {
		t.Fatal(at.Doubt, err)
	}
	id := s.pair.A.ID
	srv.must(t, fmt.Sprintf("KILL %d", id))
	if err := s.Ready(t.Context(), time.Minute); err != nil || s.pair.A.ID == id {
		t.Fatalf("session %d again: %v", s.pair.A.ID, err)
	}
	srv.rerun(t, nil, nil)
	err := s.Ready(t.Context(), time.Minute)
	if _, away := errorAs[*snapshot.OutOfReachError](err); !away || !strings.Contains(err.Error(), "its process was ") {
		t.Errorf("after a restart: %v", err)
	}
	if _, err := s.Locate(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	if err := s.Ready(t.Context(), time.Minute); err != nil {
		t.Error(err)
	}
}
