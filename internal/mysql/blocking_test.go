package mysql

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/mysqltest"
	"stillpoint/internal/snapshot"
)

var blockingReport = flag.String("blocking-report", "", "where TestBlocking writes its table (docs/blocking.md)")

const (
	blockingTimeout = 250 * time.Millisecond // lock_timeout
	blockingMargin  = 100 * time.Millisecond // what the issue allows beyond it
	blockingAfter   = time.Second            // long_query_after, and kill_after
	blockingTries   = 3
	manyWriters     = 40
)

// measured is one row of the table.
type measured struct {
	requested, granted       int
	stall, reader, noise     time.Duration
	ended                    string
	clean                    bool
	killed                   int
	flavor, scenario, policy string
}

// tries makes the tries of a run and measures each.
func (m *measured) tries(t *testing.T, srv *testServer, s *Session, l *load) {
	t.Helper()
	herd := srv.Root(t)
	defer herd.Drop()
	for try := range blockingTries {
		usual := l.usual(t, herd)
		l.reset()
		if _, err := s.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := s.Ready(t.Context(), 10*time.Second)
		requested, took := err == nil, time.Duration(0)
		if err == nil {
			start := time.Now()
			err = s.Lock(t.Context(), 10*time.Second)
			took = time.Since(start)
			if err == nil {
				if unlockErr := s.Unlock(t.Context()); unlockErr != nil {
					t.Fatal(unlockErr)
				}
				m.granted++
			}
		}
		// At once, before anything is waited for: nothing of ours is queued.
		m.clean = m.clean && srv.atRest(t)
		l.settle()
		stall, reader := longest(l.writers), longest(l.readers)
		noise := max(usual, longest(l.control))
		if requested && err != nil && stall > blockingTimeout+blockingMargin+noise { // has it become busier?
			noise = max(noise, l.usual(t, herd))
		}
		m.stall, m.reader, m.noise = max(m.stall, stall), max(m.reader, reader), max(m.noise, noise)
		if requested {
			m.requested++
		}
		if bound := blockingTimeout + blockingMargin + noise; stall > bound {
			t.Errorf("try %d: a writer was stalled for %v, and the bound is %v (the machine's own noise is %v, and the try took %v)", try+1, stall, bound, noise, took)
		}
		if bound := blockingTimeout + blockingMargin + noise; reader > bound {
			t.Errorf("try %d: a SELECT took %v, and the bound is %v", try+1, reader, bound)
		}
		switch refused, no := errorAs[*snapshot.LockNotGrantedError](err); {
		case err == nil:
			m.ended = "locked"
			return
		case no && refused.Waited:
			m.ended = "waited"
		case no:
			m.ended = "withdrawn" // or a busy machine: the next try says
		default:
			if _, is := errorAs[*snapshot.RefusedError](err); !is {
				t.Fatal(err)
			}
			m.ended = "refused"
			return
		}
	}
}

// atRest says that the server shows no request of ours.
func (s *testServer) atRest(tb testing.TB) bool {
	tb.Helper()
	c := s.Root(tb)
	defer c.Drop()
	rows, err := c.Query(tb.Context(), fmt.Sprintf("SELECT ID AS id, COMMAND AS command, STATE AS state, INFO AS info FROM information_schema.PROCESSLIST WHERE USER = '%s'", mysqltest.User))
	if err != nil {
		tb.Fatal(err)
	}
	for _, r := range rows {
		if strings.Contains(r["info"], "FLUSH") {
			tb.Logf("ours: %v", r)
			return false
		}
	}
	return true
}

// The blocking scenarios of the issue, against forty writers, by policy.
func TestBlocking(t *testing.T) {
	scenarios := []struct {
		name  string
		run   []string // the last runs on; asleep where state is ""
		state string
		// behind is what the scenario itself waits behind, in a session that sleeps.
		behind []string
		// readers is the table that the readers read; the one that is held, where others may read it.
		readers string
		// by flavor: how the tries end with wait, fail and kill. blind: also tried with
		// a request that is really made, as where the look shows nothing.
		mariadb, mysql ending
		blind          bool
	}{
		{name: "`SELECT SLEEP` on a table, 60 s", run: []string{"SELECT SLEEP(60) FROM t.a"}, state: "User sleep", readers: "t.a",
			mariadb: ending{"locked", "locked", "locked", 0}, mysql: ending{"waited", "refused", "locked", 1}},
		{name: "open transaction, idle", run: []string{"BEGIN", "UPDATE t.a SET v = v + 1"}, readers: "t.a",
			mariadb: ending{"locked", "locked", "locked", 0}, mysql: ending{"locked", "locked", "locked", 0}},
		{name: "long `UPDATE`", run: []string{longUpdate}, state: "User sleep", readers: "t.a", blind: true,
			mariadb: ending{"waited", "refused", "locked", 1}, mysql: ending{"waited", "refused", "locked", 1}},
		{name: "`LOCK TABLES ... WRITE`, idle", run: []string{"LOCK TABLES t.a WRITE"}, readers: "t.w", blind: true,
			mariadb: ending{"withdrawn", "withdrawn", "withdrawn", 0}, mysql: ending{"waited", "refused", "waited", 0}},
		{name: "`ALTER TABLE` that waits for a metadata lock", run: []string{"ALTER TABLE t.a ADD COLUMN x INT"}, state: waitsForMetadata,
			behind: []string{"BEGIN", "SELECT * FROM t.a"}, readers: "t.w", blind: true,
			mariadb: ending{"waited", "refused", "locked", 1}, mysql: ending{"waited", "refused", "locked", 1}},
	}
	var table []measured
	// In memory: the disk is another's who waits for it, and no part of this.
	if _, err := os.Stat("/dev/shm"); err == nil {
		mysqltest.Dir = "/dev/shm"
		t.Cleanup(func() { mysqltest.Dir = "" })
	}
	t.Cleanup(rightOfWay(os.Getpid()))
	t.Run("servers", func(t *testing.T) {
		var mu sync.Mutex
		each(t, func(t *testing.T, srv *testServer) {
			t.Parallel() // most of it waits
			srv.withApp(t)
			srv.MustExec(t, "CREATE TABLE t.herd (i INT AUTO_INCREMENT PRIMARY KEY, v INT)")
			mysql := srv.Flavor == dialect.MySQL
			rightOfWay(srv.Cmd.Process.Pid) // until it ends
			l := startLoad(t, srv)
			for _, c := range scenarios {
				t.Run(c.name, func(t *testing.T) {
					want := c.mariadb
					if mysql {
						want = c.mysql
					}
					l.reads(c.readers)
					l.settle()
					if c.behind != nil {
						defer srv.hold(t, "", c.behind...).end()
					}
					defer srv.hold(t, c.state, c.run...).end()
					time.Sleep(blockingAfter + 100*time.Millisecond) // its age
					if c.state == "" && mysql {
						time.Sleep(time.Second) // MySQL counts that of a sleep in whole seconds
					}
					policies := []LongQueries{LongQueriesWait, LongQueriesFail, LongQueriesKill}
					if c.blind {
						policies = []LongQueries{LongQueriesWait, LongQueriesFail, blind, LongQueriesKill}
					}
					for _, policy := range policies {
						t.Run(string(policy), func(t *testing.T) {
							m := measured{flavor: srv.Flavor, scenario: c.name, policy: string(policy), clean: true}
							m.run(t, srv, policy, want, l)
							mu.Lock()
							defer mu.Unlock()
							table = append(table, m)
						})
					}
				})
			}
			l.end(t)
		})
	})
	slices.SortStableFunc(table, func(a, b measured) int { return strings.Compare(a.flavor, b.flavor) })
	text := blockingTable(table)
	t.Logf("\n%s", text)
	if *blockingReport != "" && !t.Failed() {
		if err := os.WriteFile(*blockingReport, []byte(blockingHead+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// run makes a run's tries with a policy, and holds how they end against what is wanted.
func (m *measured) run(t *testing.T, srv *testServer, policy LongQueries, want ending, l *load) {
	d, err := New(srv.blockingConfig(policy))
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.connect(t.Context())
	if err == nil {
		if policy == blind {
			s.look.Patience = 0
		}
		m.tries(t, srv, s, l)
		m.killed = len(s.Server().Killed)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	} else { // fail refuses before there is a session
		if _, is := errorAs[*snapshot.RefusedError](err); !is || policy != LongQueriesFail {
			t.Fatal(err)
		}
		if !strings.Contains(err.Error(), "user app, for ") {
			t.Errorf("it does not name what is in the way: %v", err)
		}
		m.ended = "refused"
	}
	ended, killed := want.of(policy)
	if m.ended != ended || m.killed != killed {
		t.Errorf("the run ended as %q with %d killed, want %q with %d", m.ended, m.killed, ended, killed)
	}
	if m.granted > 0 != (m.ended == "locked") || m.ended == "waited" && m.requested != 0 {
		t.Errorf("%+v", m)
	}
	if !m.clean {
		t.Error("something of ours was left in the process list")
	}
	srv.IsIdle(t, 0)
}

// blind is no policy of a plan: the request is made behind what blocks it.
const blind LongQueries = "not looked for"

// ending is how the tries end by policy, and how many statements kill ends.
type ending struct {
	wait, fail, kill string
	killed           int
}

func (e ending) of(policy LongQueries) (string, int) {
	switch policy {
	case LongQueriesWait:
		return e.wait, 0
	case LongQueriesFail:
		return e.fail, 0
	case LongQueriesKill:
		return e.kill, e.killed
	}
	return "withdrawn", 0
}

func (s *testServer) blockingConfig(policy LongQueries) Config {
	cfg := s.config()
	cfg.LockTimeout, cfg.LongQueryAfter = blockingTimeout, blockingAfter
	if cfg.LongQueries = policy; policy == blind {
		cfg.LongQueries, cfg.LongQueryAfter = LongQueriesWait, time.Hour
	}
	cfg.KillAfter, cfg.KillMaxRows = blockingAfter, 1000
	return cfg
}

const blockingHead = `# What stands in the way of the lock

Written by ` + "`make blocking`" + ` (TestBlocking of ` + "`internal/mysql`" + `), which the tests run as well: on MariaDB and on Oracle's MySQL, each a real
server, forty writers insert rows and four readers read the table that is held (another one, where what holds it lets nobody read)
while something stands in the lock's way. A try is what a run makes: the flush, the look, the request with its lock_timeout of 250 ms, the withdrawal; three of them.

- *requested*: in how many tries the lock was asked for at all. Where the look shows what is in the way, nothing is.
- *longest stall*: of an INSERT, over all tries. It must stay under lock_timeout plus 100 ms, in every try, beyond what the machine's own
  noise is: the longest round trip of a statement that needs no lock, and by how much the same writers come back late from a
  lock that someone else held for as long, just before.
- *longest SELECT*: of the readers, with the same bound. On MySQL a request behind a reader would leave its tables flush-pending until the reader
  ends, for a minute here; that is why it is looked for, and waited for, beforehand.
- *not looked for*: the request is made in spite of what blocks it, as where the server does not show it (on MariaDB a session that
  sleeps after LOCK TABLES), to show that it is withdrawn in time.
- After each try the process list was read at once: nothing of ours was queued.

`

func blockingTable(list []measured) string {
	var b bytes.Buffer
	b.WriteString("| server | in the way | long_queries | requested | longest stall | longest SELECT | noise | the run |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	ms := func(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
	for _, m := range list {
		ended := map[string]string{"locked": "locked", "waited": "waited in every try", "withdrawn": "withdrawn in every try", "refused": "refused at once"}[m.ended]
		if m.killed > 0 {
			ended = fmt.Sprintf("killed %d, then locked", m.killed)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %s | %s | %s | %s |\n", m.flavor, m.scenario, m.policy, m.requested, ms(m.stall), ms(m.reader), ms(m.noise), ended)
	}
	return b.String()
}

// The look itself: what was in use when it began is gone when the lock is
// requested, or nothing is.
func TestNothingIsRequestedBehindWhatWasSeen(t *testing.T) {
	each(t, func(t *testing.T, srv *testServer) {
		srv.withApp(t)
		s := srv.connect(t, func(c *Config) { c.LongQueryAfter = 900 * time.Millisecond })
		root := srv.Root(t)
		for _, c := range []struct {
			sleep   string
			granted bool
		}{{"0.3", true}, {"60", false}} {
			h := srv.hold(t, "User sleep", "UPDATE t.a SET v = v + IF(i = 1, SLEEP("+c.sleep+"), 0)")
			err := s.Ready(t.Context(), 10*time.Second)
			rows, qerr := root.Query(context.Background(), fmt.Sprintf("SELECT COMMAND AS command FROM information_schema.PROCESSLIST WHERE ID = %d", h.ID))
			if qerr != nil || len(rows) != 1 {
				t.Fatal(rows, qerr)
			}
			ended := rows[0]["command"] == "Sleep"
			if c.granted && (err != nil || !ended) {
				t.Errorf("%s s: Ready: %v, and the statement has ended: %v", c.sleep, err, ended)
			}
			if refused, ok := errorAs[*snapshot.LockNotGrantedError](err); !c.granted && (!ok || !refused.Waited) {
				t.Errorf("%s s: Ready: %v", c.sleep, err)
			}
			h.end()
			waitGone(t, s)
		}
	})
}
