package mysql

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stillpoint/internal/mysql/mysqltest"
	"stillpoint/internal/snapshot"
)

func TestConnectWithDefaultsFile(t *testing.T) {
	srv := startServer(t)
	file := filepath.Join(t.TempDir(), "my.cnf")
	write := func(password string) {
		t.Helper()
		text := "[mysqld]\nuser=mysql\n[client]\nuser=" + mysqltest.User + "\npassword='" +
			strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(password) + "'\nsocket=" + srv.Socket + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const wrong = "wr0ng-password"
	write(wrong)
	d, err := New(Config{DefaultsFile: file})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Connect(t.Context())
	if _, ok := errorAs[*snapshot.RefusedError](err); !ok || strings.Contains(err.Error(), wrong) || !strings.Contains(err.Error(), "check user and password in the defaults file "+file) {
		t.Errorf("wrong password: %v", err)
	}
	write(mysqltest.Password) // rotated
	s, err := d.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Server(); got.Flavor != "mariadb" || !strings.HasPrefix(got.Version, "1") {
		t.Errorf("Server: %+v", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, ok := errorAs[*snapshot.RefusedError](second(d.Connect(t.Context()))); !ok {
		t.Error("a file that anyone can write is used")
	}
	srv.IsIdle(t, 0)
}

func second[A any](_ A, err error) error { return err }

func TestOutOfReach(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	for name, cfg := range map[string]Config{
		"no socket": {Socket: filepath.Join(t.TempDir(), "none"), Password: mysqltest.Password},
		"no port":   {Host: "127.0.0.1", Port: mysqltest.FreePort(t), Password: mysqltest.Password},
		"silent":    {Host: "127.0.0.1", Port: uint16(silent.Addr().(*net.TCPAddr).Port), Password: mysqltest.Password},
	} {
		d, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		start := time.Now()
		err = second(d.Connect(ctx))
		cancel()
		if _, ok := errorAs[*snapshot.OutOfReachError](err); !ok || strings.Contains(err.Error(), mysqltest.Password) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s: it took %v", name, took)
		}
	}
	d, _ := New(Config{Socket: filepath.Join(t.TempDir(), "none")})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := second(d.Connect(ctx)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestTooManyConnections(t *testing.T) {
	srv := startServer(t, "--max-connections=10")
	// 10 and one for an administrator.
	for range 10 {
		srv.Root(t)
	}
	d, err := New(srv.config())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := errorAs[*snapshot.OutOfReachError](second(d.Connect(t.Context()))); !ok {
		t.Error("a full server is not out of reach")
	}
}

func TestSettings(t *testing.T) {
	srv := startServer(t, "--skip-log-bin")
	for flush, want := range map[Flush]string{FlushAuto: "FLUSH LOCAL TABLES in", FlushAlways: "FLUSH LOCAL TABLES in", FlushNever: "never"} {
		s := srv.connect(t, func(c *Config) { c.PreliminaryFlush = flush })
		did, err := s.Settle(t.Context())
		if err != nil || !strings.Contains(did, want) {
			t.Errorf("%s: %q, %v", flush, did, err)
		}
		// Without a binlog there are no coordinates, which is no error.
		if m, err := s.Coordinates(t.Context()); err != nil || m.BinlogFile != "" || m.BinlogPosition != 0 || m.GTID != "" {
			t.Errorf("coordinates: %+v, %v", m, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestReplica(t *testing.T) {
	port := mysqltest.FreePort(t)
	srv := startServer(t, "--skip-slave-start", "--skip-skip-networking", "--bind-address=127.0.0.1", "--port="+strconv.Itoa(int(port)))
	if err := srv.Root(t).Exec(t.Context(), "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=1, MASTER_USER='u', MASTER_LOG_FILE='src.000007', MASTER_LOG_POS=4242"); err != nil {
		t.Fatal(err)
	}
	if err := srv.Root(t).Exec(t.Context(), "SET GLOBAL gtid_slave_pos = '7-7-77'"); err != nil {
		t.Fatal(err)
	}
	s := srv.connect(t, nil)
	m, err := s.Coordinates(t.Context())
	if err != nil || m.Replica == nil {
		t.Fatalf("%+v, %v", m, err)
	}
	if r := *m.Replica; r.SourceHost != "127.0.0.1" || r.ExecutedFile != "src.000007" || r.ExecutedPosition != 4242 || r.GTID != "7-7-77" {
		t.Errorf("replica: %+v", r)
	}
	// The same server by TCP.
	for _, statement := range []string{"CREATE USER tcp@'127.0.0.1' IDENTIFIED BY 'x'", "GRANT ALL ON *.* TO tcp@'127.0.0.1'"} {
		if err := srv.Root(t).Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	d, err := New(Config{Host: "127.0.0.1", Port: port, User: "tcp", Password: "x"})
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := d.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := tcp.Lock(t.Context(), 5*time.Second); err != nil {
		t.Error(err)
	}
	srv.MustBlock(t)
	if err := tcp.Close(); err != nil {
		t.Error(err)
	}
	srv.MustWrite(t)
}

// What a site has set for everyone's sessions does not change what we see: quotes
// in the list of privileges, and how many rows of a list are sent.
func TestSitesOwnDefaults(t *testing.T) {
	each(t, func(t *testing.T, srv *testServer) {
		srv.MustExec(t, "SET GLOBAL sql_select_limit = 1")
		for _, lock := range []Lock{LockFTWRL, LockAuto} {
			s := srv.connect(t, func(c *Config) { c.Lock, c.EverythingFrozen = lock, true })
			one, two := srv.Busy(t, "INSERT INTO t.w (v) SELECT SLEEP(20) FROM t.a"), srv.Busy(t, "INSERT INTO t.w (v) SELECT SLEEP(21) FROM t.a")
			s.look.Aim(snapshot.LockFTWRL, false)
			list, err := s.look.Blockers(t.Context(), 0)
			for end := time.Now().Add(5 * time.Second); err == nil && len(list) < 2 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				list, err = s.look.Blockers(t.Context(), 0)
			}
			if err != nil || len(list) != 2 {
				t.Errorf("%s: of two statements there are %v, %v", lock, list, err)
			}
			one()
			two()
			if err := s.Lock(t.Context(), time.Minute); err != nil {
				t.Fatal(err)
			}
			if err := s.Verify(t.Context()); err != nil {
				t.Error(err)
			}
			if err := s.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}, "--sql-mode=ANSI")
}

// Connections that lead to two servers are refused: what is killed by its number on
// the one would be someone else's session on the other.
func TestTwoServersBehindOneAddress(t *testing.T) {
	backends := []string{startServer(t).Socket, startServer(t).Socket}
	l, err := net.Listen("unix", filepath.Join(filepath.Dir(backends[0]), "p"))
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", backends[n.Add(1)%2])
			if err != nil {
				_ = c.Close()
				continue
			}
			go func() { _, _ = io.Copy(to, c); _ = to.Close() }()
			go func() { _, _ = io.Copy(c, to); _ = c.Close() }()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	d, err := New(Config{Socket: l.Addr().String(), User: mysqltest.User, Password: mysqltest.Password, TrustLocation: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Connect(t.Context())
	if refused, ok := errorAs[*snapshot.RefusedError](err); !ok || !strings.Contains(refused.Error(), "leads one connection to one server") {
		t.Errorf("Connect says %v", err)
	}
	if s != nil {
		_ = s.Close()
	}
}
