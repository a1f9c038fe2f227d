package mysql

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/mysqltest"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
)

// Whatever takes the lock from the session inside the window is seen by Verify
// and by Unlock; what does not is no false alarm. Nothing connects again: the
// session that Verify asks is the one that locked.
func TestHoldIsProved(t *testing.T) {
	type world struct {
		srv   *testServer
		s     *Session
		root  *wire.Conn
		proxy *mysqltest.Proxy
	}
	sql := func(statement func(w *world) string) func(*testing.T, *world) {
		return func(t *testing.T, w *world) { w.srv.MustRun(t, w.root, statement(w)) }
	}
	onA := func(format string) func(*testing.T, *world) {
		return sql(func(w *world) string { return fmt.Sprintf(format, w.s.pair.A.ID) })
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
		{name: "KILL of the watcher", stands: true, what: sql(func(w *world) string { return fmt.Sprintf("KILL %d", w.s.pair.B.ID) })},
		{name: "KILL", what: onA("KILL %d")},
		{name: "KILL SOFT", only: dialect.MariaDB, what: onA("KILL SOFT CONNECTION %d")},
		{name: "KILL USER", only: dialect.MariaDB, what: sql(func(*world) string { return "KILL USER " + mysqltest.User })},
		{name: "offline_mode", only: dialect.MySQL, what: func(t *testing.T, w *world) {
			w.srv.MustRun(t, w.root, "SET GLOBAL offline_mode = ON")
			t.Cleanup(func() { w.srv.MustRun(t, w.root, "SET GLOBAL offline_mode = OFF") })
		}},
		{name: "UNLOCK TABLES by another hand", what: func(t *testing.T, w *world) { w.srv.MustRun(t, w.s.pair.A, "UNLOCK TABLES") }},
		{name: "RST", byTCP: true, what: func(_ *testing.T, w *world) { w.proxy.Reset() }},
		{name: "the end of the socket", what: func(_ *testing.T, w *world) { w.s.pair.A.Cut() }},
		// Of MySQL's orderly end and its start the 5 s are not worth it.
		{name: "SHUTDOWN and start", only: dialect.MariaDB, what: func(t *testing.T, w *world) {
			w.srv.MustRun(t, w.root, "SHUTDOWN")
			<-w.srv.Exited
			w.srv.Launch(t).Drop()
		}},
		{name: "kill -9 and start", what: func(t *testing.T, w *world) { w.srv.Restart(t) }},
	}
	each(t, func(t *testing.T, srv *testServer) {
		proxy := mysqltest.NewProxy(t, srv.ByTCP(t))
		for _, c := range cases {
			if c.only != "" && c.only != srv.Flavor {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				w := &world{srv: srv, root: srv.Root(t), proxy: proxy}
				w.s = srv.connect(t, func(cfg *Config) {
					if c.byTCP {
						cfg.Socket, cfg.Host, cfg.Port = "", "127.0.0.1", proxy.Port()
					}
				})
				mustLock(t, w.s, time.Minute)
				a, id := w.s.pair.A, w.s.pair.A.ID
				c.what(t, w)
				if c.name == "KILL QUERY" {
					srv.MustBlock(t)
				} else if !c.stands {
					srv.MustWrite(t)
				}
				verified := w.s.Verify(t.Context())
				if w.s.pair.A != a || a.ID != id {
					t.Error("Verify asked another session")
				}
				unlocked := w.s.Unlock(t.Context())
				for name, err := range map[string]error{"Verify": verified, "Unlock": unlocked} {
					_, lost := errorAs[*snapshot.LockLostError](err)
					// A lock that someone let go of by a statement of A's is beyond what UNLOCK TABLES says.
					if c.stands && err != nil || !c.stands && !lost && (name == "Verify" || !a.Alive()) {
						t.Errorf("%s: %v", name, err)
					}
				}
				srv.MustWrite(t)
			})
		}
	}, mysqltest.Listening(t)...)
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
		dialect.MariaDB: {"--interactive-timeout=1", "--net-read-timeout=1", "--net-write-timeout=1", "--idle-transaction-timeout=1", "--max-statement-time=0.001"},
		dialect.MySQL:   {"--interactive-timeout=1", "--net-read-timeout=1", "--net-write-timeout=1", "--max-execution-time=1"},
	}
	test := func(t *testing.T, srv *testServer) {
		proxy := mysqltest.NewProxy(t, srv.ByTCP(t))
		s := srv.connect(t, func(cfg *Config) { cfg.Socket, cfg.Host, cfg.Port = "", "127.0.0.1", proxy.Port() })
		limit := map[string]string{dialect.MariaDB: "max_statement_time", dialect.MySQL: "max_execution_time"}[srv.Flavor]
		if rows, err := s.pair.A.Query(t.Context(), "SELECT @@global."+limit+" > 0 AND @@session."+limit+" = 0 AS free"); err != nil || rows[0]["free"] != "1" {
			t.Errorf("the site's %s bounds our session: %v, %v", limit, rows, err)
		}
		writer := srv.Root(t)
		const hold = 1500 * time.Millisecond
		late := lateness(t)
		start := time.Now()
		mustLock(t, s, hold)
		took := time.Since(start) // the server counts from the last statement of the lock
		proxy.Lost.Store(true)
		if err := srv.Writes(t, writer, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		freed := time.Since(start)
		t.Logf("hold %v: writes flow after %v; this machine was late by up to %v", hold, freed.Round(time.Millisecond), late())
		if freed < hold || freed > took+hold+time.Second+100*time.Millisecond+5*late() {
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
	t.Run(dialect.MariaDB, func(t *testing.T) {
		test(t, startServer(t, append(mysqltest.Listening(t), limits[dialect.MariaDB]...)...))
	})
	t.Run(dialect.MySQL, func(t *testing.T) {
		test(t, startMySQL(t, append(mysqltest.Listening(t), limits[dialect.MySQL]...)...))
	})
}
