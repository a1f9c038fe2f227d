package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"stillpoint/internal/mysql/access"
	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/look"
	"stillpoint/internal/mysql/mysqltest"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// appUser owns the statements that are in the way: a user like an application's,
// whom MySQL's SYSTEM_USER does not protect, as it does root.
const appUser = "app"

// withApp makes the application's user, and lets ours end his statements.
func (s *testServer) withApp(tb testing.TB) {
	tb.Helper()
	s.MustExec(tb, "CREATE USER "+appUser+"@localhost", "GRANT ALL ON t.* TO "+appUser+"@localhost")
	s.MustExec(tb, access.Statements(access.For(s.Kind, Config{LongQueries: LongQueriesKill}.uses()), mysqltest.QuotedUser)...)
}

// app opens a connection of the application's; it ends with the test.
func (s *testServer) app(tb testing.TB) *wire.Conn {
	tb.Helper()
	cfg := s.RootConfig()
	cfg.User = appUser
	c, err := wire.Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Drop)
	return c
}

// holder is a session of the application's that is in the way of the lock.
type holder struct {
	*wire.Conn
	done chan error // the last statement's answer
	end  func()
}

// hold runs statements as the application; the last, where it is to run on, until it comes to
// state, else to its end. end ends the session.
func (s *testServer) hold(tb testing.TB, state string, statements ...string) *holder {
	tb.Helper()
	h := &holder{Conn: s.app(tb), done: make(chan error, 1)}
	root := s.Root(tb)
	last := statements[len(statements)-1]
	for _, q := range statements[:len(statements)-1] {
		if err := h.Exec(tb.Context(), q); err != nil {
			tb.Fatalf("%s: %v", q, err)
		}
	}
	if state == "" {
		h.done <- h.Exec(tb.Context(), last)
	} else {
		go func() { h.done <- h.ExecUnbounded(last) }()
		s.awaitState(tb, root, last, state)
	}
	ended := false
	h.end = func() {
		if !ended {
			ended = true
			_ = root.Exec(context.Background(), fmt.Sprintf("KILL %d", h.ID))
			<-h.done
			h.Drop()
			root.Drop()
		}
	}
	tb.Cleanup(h.end)
	return h
}

// mostKilled is how many statements one session ends.
const mostKilled = 16

// ready asks for the lock with LongQueriesKill until something other than a busy machine stands against it.
func ready(ctx context.Context, s *Session) error {
	var err error
	for range 20 {
		if err = s.Lock(ctx, 10*time.Second); err == nil {
			return s.Unlock(ctx)
		}
		if refused, ok := errorAs[*snapshot.LockNotGrantedError](err); !ok || refused.Waited {
			return err
		}
	}
	return err
}

func TestKill(t *testing.T) {
	each(t, func(t *testing.T, srv *testServer) {
		srv.withApp(t)
		srv.MustExec(t, "CREATE TABLE t.my (i INT PRIMARY KEY, v INT) ENGINE=MyISAM", "INSERT INTO t.my VALUES (1, 1), (2, 2), (3, 3)",
			"CREATE TABLE t.many (i INT PRIMARY KEY, v INT)", "INSERT INTO t.many VALUES (1,1),(2,2),(3,3),(4,4),(5,5),(6,6)")
		var told []messages.Statement
		connect := func(t *testing.T, change func(*Config)) *Session {
			told = nil
			return srv.connect(t, func(c *Config) {
				c.LongQueries, c.LongQueryAfter, c.KillAfter, c.KillMaxRows = LongQueriesKill, 50*time.Millisecond, 100*time.Millisecond, 3
				c.Killed = func(s messages.Statement) { told = append(told, s) }
				if change != nil {
					change(c)
				}
			})
		}
		mysql := srv.Flavor == dialect.MySQL
		for _, c := range []struct {
			name   string
			run    []string
			state  string // "" asleep
			change func(*Config)
			spared string // "" it is killed
			only   string
		}{
			{name: "UPDATE", run: []string{longUpdate}, state: "User sleep"},
			{name: "ALTER that waits for a metadata lock", run: []string{"ALTER TABLE t.a ADD COLUMN x INT"}, state: waitsForMetadata},
			{name: "SELECT", run: []string{"SELECT SLEEP(60) FROM t.a"}, state: "User sleep", only: dialect.MySQL},
			{name: "few rows", run: []string{"BEGIN", "UPDATE t.many SET v = 0 WHERE i <= 3", longUpdate}, state: "User sleep"},
			{name: "many rows", run: []string{"BEGIN", "UPDATE t.many SET v = 0", longUpdate}, state: "User sleep", spared: "its transaction has changed 6 rows, and kill_max_rows is 3"},
			{name: "young", run: []string{longUpdate}, state: "User sleep", change: func(c *Config) { c.KillAfter = time.Hour }, spared: "it is younger than kill_after (1h0m0s)"},
			{name: "MyISAM", run: []string{"UPDATE t.my SET v = v + 1 + SLEEP(60)"}, state: "User sleep", spared: "it may have changed tables that cannot roll back"},
			{name: "LOCK TABLES, asleep", run: []string{"LOCK TABLES t.a WRITE"}, spared: "it sleeps, and only statements are ended", only: dialect.MySQL},
		} {
			if c.only != "" && c.only != srv.Flavor {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				s := connect(t, c.change)
				if c.state == waitsForMetadata {
					srv.hold(t, "", "BEGIN", "SELECT * FROM t.a")
				}
				h := srv.hold(t, c.state, c.run...)
				time.Sleep(150 * time.Millisecond) // its age; MySQL counts a sleep in seconds
				err := ready(t.Context(), s)
				for end := time.Now().Add(5 * time.Second); c.state == "" && err == nil && time.Now().Before(end); {
					err = ready(t.Context(), s)
				}
				if c.spared != "" {
					refused, ok := errorAs[*snapshot.LockNotGrantedError](err)
					if !ok || !refused.Waited || !strings.Contains(refused.Blockers, "not killed: "+c.spared) {
						t.Fatalf("Lock: %v", err)
					}
					if len(s.Server().Killed)+len(told) != 0 {
						t.Errorf("killed: %+v", s.Server().Killed)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := <-h.done; wire.Code(err) != wire.ErQueryInterrupted && (err != nil || !strings.HasPrefix(c.run[0], "SELECT")) {
					t.Errorf("the statement's answer: %v", err)
				}
				h.done <- nil
				if err := h.Exec(t.Context(), "DO 1"); err != nil {
					t.Errorf("its session did not survive: %v", err)
				}
				killed := s.Server().Killed
				if len(killed) != 1 || len(told) != 1 || told[0] != killed[0] {
					t.Fatalf("killed: %+v, told: %+v", killed, told)
				}
				k := killed[0]
				if k.ID != h.ID || k.User != appUser || k.AgeSeconds < 0.1 || k.State == "" || mysql != (k.Digest != "") {
					t.Errorf("killed: %+v", k)
				}
				m, err := s.Coordinates(t.Context())
				if err != nil || len(m.Killed) != 1 {
					t.Errorf("coordinates: %+v, %v", m, err)
				}
			})
		}
		t.Run("no more than a few", func(t *testing.T) {
			s := connect(t, nil)
			s.look.Killed = make([]messages.Statement, mostKilled)
			srv.hold(t, "User sleep", longUpdate)
			time.Sleep(150 * time.Millisecond)
			if err := ready(t.Context(), s); err == nil || !strings.Contains(err.Error(), "more would be an outage") {
				t.Error(err)
			}
		})
		// What the look saw has ended, and the session runs something else by the time at
		// which it would be ended.
		t.Run("another statement", func(t *testing.T) {
			const next = "UPDATE t.many SET v = v + SLEEP(60)"
			root := srv.Root(t)
			h := srv.hold(t, "User sleep", "SELECT SLEEP(60) FROM t.a FOR UPDATE") // which is ended whatever it has changed
			switched := false
			s := connect(t, func(c *Config) {
				c.KillAfter = 700 * time.Millisecond // which the next one does not reach
				c.Statements = func(id uint64, _, _ string) {
					if switched {
						return
					}
					switched = true
					srv.MustRun(t, root, fmt.Sprintf("KILL QUERY %d", id))
					<-h.done
					go func() { h.done <- h.ExecUnbounded(next) }()
					srv.awaitState(t, root, next, "User sleep")
				}
			})
			time.Sleep(750 * time.Millisecond)
			if no, ok := errorAs[*snapshot.LockNotGrantedError](s.Ready(t.Context(), time.Second)); !ok || !no.Waited {
				t.Errorf("with the next statement in the way Ready says %v", no)
			}
			if !switched || len(s.Server().Killed) != 0 {
				t.Errorf("switched %v, killed: %+v", switched, s.Server().Killed)
			}
			select {
			case err := <-h.done:
				t.Errorf("the next statement was ended: %v", err)
				h.done <- err
			case <-time.After(100 * time.Millisecond):
			}
		})
		if mysql {
			t.Run("protected user", func(t *testing.T) {
				s := connect(t, nil)
				stop := srv.Busy(t, longUpdate) // as root
				defer stop()
				time.Sleep(150 * time.Millisecond)
				if err := ready(t.Context(), s); err == nil || !strings.Contains(err.Error(), "SYSTEM_USER") {
					t.Error(err)
				}
			})
		}
	})
}

// Whatever the policy, what a statement says goes to Config.Statements and nowhere else.
func TestLiteralsStayInTheServer(t *testing.T) {
	const secret = "hunter2hunter2"
	each(t, func(t *testing.T, srv *testServer) {
		srv.withApp(t)
		srv.MustExec(t, "CREATE TABLE t.s (i INT, v VARCHAR(100))", "INSERT INTO t.s VALUES (1, 'x')")
		for _, statement := range []string{
			"UPDATE t.s SET v = CONCAT('" + secret + "', SLEEP(60))",
			"UPDATE t.s SET v = SLEEP(60) WHERE v <> \"" + secret + "\" /* " + secret + " */",
			"INSERT INTO t.s SELECT v, CONCAT(SLEEP(60), _utf8mb4'" + secret + "') AS '" + secret + "' FROM t.a",
		} {
			for _, policy := range []LongQueries{LongQueriesWait, LongQueriesFail, LongQueriesKill} {
				h := srv.hold(t, "User sleep", statement)
				time.Sleep(120 * time.Millisecond)
				var texts, killed []string
				var s *Session
				cfg := srv.config()
				cfg.LongQueries, cfg.LongQueryAfter, cfg.KillAfter, cfg.KillMaxRows = policy, 100*time.Millisecond, 100*time.Millisecond, 10
				cfg.Killed = func(s messages.Statement) { killed = append(killed, fmt.Sprintf("%+v", s)) }
				for _, log := range []bool{false, true} {
					if log {
						cfg.Statements = func(_ uint64, _, text string) { texts = append(texts, text) }
					}
					d, err := New(cfg)
					if err != nil {
						t.Fatal(err)
					}
					s, err = d.connect(t.Context())
					if err == nil {
						err = s.Ready(t.Context(), time.Second)
						list, lookErr := s.look.Blockers(t.Context(), 0)
						err = errors.Join(err, fmt.Errorf("%+v %#v %v %w", list, list, look.Describe(list), lookErr))
					}
					shown := fmt.Sprintf("%v", err)
					if s != nil {
						text, jsonErr := json.Marshal(s.Server())
						shown += string(text) + strings.Join(killed, "") + fmt.Sprint(jsonErr)
						_ = s.Close()
					}
					if strings.Contains(shown, secret) {
						t.Errorf("%s: %s", policy, shown)
					}
					if policy != LongQueriesKill && !strings.Contains(shown, "user app") {
						t.Errorf("%s: it is not named: %s", policy, shown)
					}
					if srv.Flavor == dialect.MySQL && policy != LongQueriesKill && !strings.Contains(shown, "`t` . `s`") {
						t.Errorf("%s: no digest: %s", policy, shown)
					}
				}
				want := 1
				if policy == LongQueriesKill { // by the first of the two
					want = 0
				}
				if len(texts) != want || want == 1 && texts[0] != statement {
					t.Errorf("%s: the texts are %q", policy, texts)
				}
				h.end()
			}
		}
	})
}

// A thread of replication that is in the way is neither waited for nor ended,
// whatever the policy; where it did block the lock it is named.
func TestReplicationIsLeftAlone(t *testing.T) {
	for _, flavor := range []string{dialect.MariaDB, dialect.MySQL} {
		t.Run(flavor, func(t *testing.T) {
			p := startPair(t, flavor, nil, nil)
			p.replica.withApp(t)
			h := p.replica.hold(t, "", "BEGIN", "UPDATE t.a SET v = v WHERE i = 1")
			p.run(t, p.source, "UPDATE t.a SET v = v + 1 WHERE i = 1") // its applier waits for the row
			s := p.replica.connect(t, func(c *Config) {
				c.LongQueries, c.LongQueryAfter, c.KillAfter, c.KillMaxRows = LongQueriesKill, 50*time.Millisecond, 50*time.Millisecond, 1000
			})
			seen, err := s.look.Blockers(t.Context(), 100*time.Millisecond)
			for end := time.Now().Add(20 * time.Second); err == nil && len(seen) == 0 && time.Now().Before(end); {
				time.Sleep(5 * time.Millisecond)
				seen, err = s.look.Blockers(t.Context(), 100*time.Millisecond)
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(seen) != 1 || !strings.Contains(seen[0].String(), ", replication)") {
				t.Fatalf("seen: %s, of the replica: %v", look.Describe(seen), p.status(t))
			}
			err = s.Lock(t.Context(), 10*time.Second)
			refused, ok := errorAs[*snapshot.LockNotGrantedError](err)
			if !ok || refused.Waited || !strings.Contains(refused.Blockers, ", replication)") {
				t.Errorf("Lock: %v", err)
			}
			if len(s.Server().Killed) != 0 || !p.applies(t) {
				t.Errorf("killed: %+v; the applier runs: %v", s.Server().Killed, p.applies(t))
			}
			h.end()
			p.caughtUp(t)
		})
	}
}

// What began while a long statement was being killed is waited for like what was
// there at first, however long the killing took.
func TestYoungAfterKill(t *testing.T) {
	each(t, func(t *testing.T, srv *testServer) {
		const young = 600 * time.Millisecond
		srv.withApp(t)
		var second *holder
		s := srv.connect(t, func(c *Config) {
			c.LongQueries, c.LongQueryAfter, c.KillAfter = LongQueriesKill, young, 700*time.Millisecond
			c.Killed = func(messages.Statement) {
				time.Sleep(young + 100*time.Millisecond) // as a rollback can take
				second = srv.hold(t, "User sleep", longUpdate)
			}
		})
		s.look.Killed = make([]messages.Statement, mostKilled-1) // what comes then is not killed
		srv.hold(t, "User sleep", longUpdate)
		time.Sleep(800 * time.Millisecond)
		err := s.Ready(t.Context(), time.Minute)
		if no, ok := errorAs[*snapshot.LockNotGrantedError](err); !ok || !no.Waited {
			t.Errorf("with a statement that is young and stays: %v", err)
		}
		if second == nil {
			t.Fatal("nothing was killed")
		}
	})
}
