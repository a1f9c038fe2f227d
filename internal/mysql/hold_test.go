package mysql

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stillpoint/internal/snapshot"
)

// wire is a proxy before a server's port, which can end or lose what goes through it.
type wire struct {
	listener net.Listener
	server   string
	mu       sync.Mutex
	conns    []*net.TCPConn
	// lost: nothing goes through any more, and neither side is told.
	lost atomic.Bool
	// noTLS: the server's greeting loses the bit that offers it, as on a server without.
	noTLS atomic.Bool
	done  sync.WaitGroup
}

// newWire listens on a port of its own until the test ends.
func newWire(tb testing.TB, server string) *wire {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	w := &wire{listener: l, server: server}
	w.done.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			w.mu.Lock()
			w.conns = append(w.conns, client.(*net.TCPConn), up.(*net.TCPConn))
			w.mu.Unlock()
			w.done.Go(func() {
				if w.noTLS.Load() && !greetWithoutTLS(up, client) {
					return
				}
				w.pump(up, client)
			})
			w.done.Go(func() { w.pump(client, up) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		w.reset()
		w.done.Wait()
	})
	return w
}

// greetWithoutTLS passes on the server's first packet without CLIENT_SSL: a
// header of 4 bytes, a byte, the version with its NUL, 13 bytes, the capabilities.
func greetWithoutTLS(up, client net.Conn) bool {
	b := make([]byte, 4)
	if _, err := io.ReadFull(up, b); err != nil {
		return false
	}
	b = append(b, make([]byte, int(b[0])|int(b[1])<<8)...)
	if _, err := io.ReadFull(up, b[4:]); err != nil {
		return false
	}
	capabilities := 5 + bytes.IndexByte(b[5:], 0) + 1 + 13
	b[capabilities+1] &^= 0x08
	_, err := client.Write(b)
	return err == nil
}

// pump carries bytes one way. What is lost is read and thrown away, so that
// the kernel says nothing to the other side either; an end is not passed on then.
func (w *wire) pump(from, to net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if w.lost.Load() {
			if err != nil {
				return
			}
			continue
		}
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if err == io.EOF {
				_ = to.(*net.TCPConn).CloseWrite()
			}
			return
		}
	}
}

// reset ends every connection with a RST, on both sides.
func (w *wire) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
	w.conns = nil
}

func (w *wire) port() uint16 { return uint16(w.listener.Addr().(*net.TCPAddr).Port) }

// byTCP makes the minimal user for 127.0.0.1 too and returns the server's address.
func (s *testServer) byTCP(tb testing.TB) string {
	tb.Helper()
	root := s.root(tb)
	const user = "'" + testUser + "'@'127.0.0.1'"
	s.mustRun(tb, root, append([]string{"CREATE USER " + user + " IDENTIFIED BY " + quoted(testPassword)},
		grantStatements(privilegesFor(s.kind, Config{}), user)...)...)
	rows, err := root.query(tb.Context(), "SELECT @@port AS port")
	if err != nil || len(rows) != 1 {
		tb.Fatal(rows, err)
	}
	return net.JoinHostPort("127.0.0.1", rows[0]["port"])
}

// listening are the options of a server with a TCP port.
func listening(tb testing.TB) []string {
	tb.Helper()
	return []string{"--skip-networking=0", "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(int(freePort(tb)))}
}

// Whatever takes the lock from the session inside the window is seen by Verify
// and by Unlock; what does not is no false alarm. Nothing connects again: the
// session that Verify asks is the one that locked.
func TestHoldIsProved(t *testing.T) {
	type world struct {
		srv  *testServer
		s    *Session
		root *conn
		wire *wire
	}
	sql := func(statement func(w *world) string) func(*testing.T, *world) {
		return func(t *testing.T, w *world) { w.srv.mustRun(t, w.root, statement(w)) }
	}
	onA := func(format string) func(*testing.T, *world) {
		return sql(func(w *world) string { return fmt.Sprintf(format, w.s.a.id) })
	}
	cases := []struct {
		name   string
		only   string // a flavor; "" both
		byTCP  bool
		what   func(*testing.T, *world)
		stands bool // the lock is held nevertheless
	}{
		{name: "nothing", stands: true, what: func(*testing.T, *world) {}},
		{name: "nothing, by TCP", stands: true, byTCP: true, what: func(*testing.T, *world) {}},
		{name: "KILL QUERY", stands: true, what: onA("KILL QUERY %d")},
		{name: "KILL of the watcher", stands: true, what: sql(func(w *world) string { return fmt.Sprintf("KILL %d", w.s.b.id) })},
		{name: "KILL", what: onA("KILL %d")},
		{name: "KILL SOFT", only: flavorMariaDB, what: onA("KILL SOFT CONNECTION %d")},
		{name: "KILL USER", only: flavorMariaDB, what: sql(func(*world) string { return "KILL USER " + testUser })},
		{name: "offline_mode", only: flavorMySQL, what: func(t *testing.T, w *world) {
			w.srv.mustRun(t, w.root, "SET GLOBAL offline_mode = ON")
			t.Cleanup(func() { w.srv.mustRun(t, w.root, "SET GLOBAL offline_mode = OFF") })
		}},
		{name: "UNLOCK TABLES by another hand", what: func(t *testing.T, w *world) { w.srv.mustRun(t, w.s.a, "UNLOCK TABLES") }},
		{name: "RST", byTCP: true, what: func(_ *testing.T, w *world) { w.wire.reset() }},
		{name: "the end of the socket", what: func(_ *testing.T, w *world) { w.s.a.cut() }},
		// Of MySQL's orderly end and its start the 5 s are not worth it.
		{name: "SHUTDOWN and start", only: flavorMariaDB, what: func(t *testing.T, w *world) {
			w.srv.mustRun(t, w.root, "SHUTDOWN")
			<-w.srv.exited
			w.srv.launch(t).drop()
		}},
		{name: "kill -9 and start", what: func(t *testing.T, w *world) { w.srv.restart(t) }},
	}
	each(t, func(t *testing.T, srv *testServer) {
		wire := newWire(t, srv.byTCP(t))
		for _, c := range cases {
			if c.only != "" && c.only != srv.flavor {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				w := &world{srv: srv, root: srv.root(t), wire: wire}
				w.s = srv.connect(t, func(cfg *Config) {
					if c.byTCP {
						cfg.Socket, cfg.Host, cfg.Port = "", "127.0.0.1", wire.port()
					}
				})
				lock(t, w.s, time.Minute)
				a, id := w.s.a, w.s.a.id
				c.what(t, w)
				if c.name == "KILL QUERY" {
					srv.mustBlock(t)
				} else if !c.stands {
					srv.mustWrite(t)
				}
				verified := w.s.Verify(t.Context())
				if w.s.a != a || a.id != id {
					t.Error("Verify asked another session")
				}
				unlocked := w.s.Unlock(t.Context())
				for name, err := range map[string]error{"Verify": verified, "Unlock": unlocked} {
					_, lost := errorAs[*snapshot.LockLostError](err)
					// A lock that someone let go of by a statement of A's is beyond what UNLOCK TABLES says.
					if c.stands && err != nil || !c.stands && !lost && (name == "Verify" || !a.alive()) {
						t.Errorf("%s: %v", name, err)
					}
				}
				srv.mustWrite(t)
			})
		}
	}, listening(t)...)
}

// lateness is by how much this machine is late just now, at the worst: what a
// bound on a time that the server keeps must allow for.
func lateness(tb testing.TB) (worst func() time.Duration) {
	var most atomic.Int64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		const every = 5 * time.Millisecond
		for {
			start := time.Now()
			select {
			case <-stop:
				return
			case <-time.After(every):
			}
			most.Store(max(most.Load(), int64(time.Since(start)-every)))
		}
	}()
	tb.Cleanup(func() { close(stop); <-done })
	return func() time.Duration { return time.Duration(most.Load()) }
}

// A host that is cut off: nothing that it says arrives any more, and nobody tells
// the server. It lets go by itself, not before the hold and less than a second
// after it, which a writer sees. None of the server's other time limits matters:
// they are all shorter here. (We ask for no CLIENT_INTERACTIVE, a session that
// is not in a transaction is not idle in one, and nothing is being read or written.)
func TestHostIsCutOff(t *testing.T) {
	limits := map[string][]string{
		flavorMariaDB: {"--interactive-timeout=1", "--net-read-timeout=1", "--net-write-timeout=1", "--idle-transaction-timeout=1", "--max-statement-time=0.001"},
		flavorMySQL:   {"--interactive-timeout=1", "--net-read-timeout=1", "--net-write-timeout=1", "--max-execution-time=1"},
	}
	test := func(t *testing.T, srv *testServer) {
		wire := newWire(t, srv.byTCP(t))
		s := srv.connect(t, func(cfg *Config) { cfg.Socket, cfg.Host, cfg.Port = "", "127.0.0.1", wire.port() })
		limit := map[string]string{flavorMariaDB: "max_statement_time", flavorMySQL: "max_execution_time"}[srv.flavor]
		if rows, err := s.a.query(t.Context(), "SELECT @@global."+limit+" > 0 AND @@session."+limit+" = 0 AS free"); err != nil || rows[0]["free"] != "1" {
			t.Errorf("the site's %s bounds our session: %v, %v", limit, rows, err)
		}
		writer := srv.root(t)
		const hold = 1500 * time.Millisecond
		late := lateness(t)
		start := time.Now()
		lock(t, s, hold)
		wire.lost.Store(true)
		if err := srv.writes(t, writer, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		freed := time.Since(start)
		t.Logf("hold %v: writes flow after %v; this machine was late by up to %v", hold, freed.Round(time.Millisecond), late())
		if freed < hold || freed > hold+time.Second+100*time.Millisecond+5*late() {
			t.Errorf("the server let go after %v", freed)
		}
		// Nobody told us either.
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, lost := errorAs[*snapshot.LockLostError](s.Verify(ctx)); !lost {
			t.Error("Verify does not say that the lock was lost")
		}
		if _, lost := errorAs[*snapshot.LockLostError](s.Unlock(t.Context())); !lost {
			t.Error("Unlock does not say that the lock was lost")
		}
	}
	t.Run(flavorMariaDB, func(t *testing.T) { test(t, startServer(t, append(listening(t), limits[flavorMariaDB]...)...)) })
	t.Run(flavorMySQL, func(t *testing.T) { test(t, startMySQL(t, append(listening(t), limits[flavorMySQL]...)...)) })
}
