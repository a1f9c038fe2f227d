package mysql

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/snapshot"
)

const longUpdate = "UPDATE t.a SET v = v + SLEEP(30)"

// mustLock takes the lock, which nothing should block; on a busy machine not at the first try.
func mustLock(tb testing.TB, s *Session, hold time.Duration) {
	tb.Helper()
	var err error
	for range 20 {
		if err = s.Lock(tb.Context(), hold); err == nil {
			return
		}
		if refused, ok := errorAs[*snapshot.LockNotGrantedError](err); !ok || refused.Waited {
			break
		}
	}
	tb.Fatal(err)
}

// The tests of FTWRL have one server of each flavor among them.
func TestFTWRL(t *testing.T) {
	each(t, func(t *testing.T, srv *testServer) {
		for _, part := range []struct {
			name string
			test func(t *testing.T, srv *testServer)
		}{
			{"blocks writers until unlock", blocksWritersUntilUnlock},
			{"a try is withdrawn", tryIsWithdrawn},
			{"long queries are waited for", longQueriesAreWaitedFor},
			{"cancelled while waiting", cancelledWhileWaiting},
			{"kills meet grants", func(t *testing.T, srv *testServer) { killsMeetGrants(t, srv, LockFTWRL, 5*time.Microsecond) }},
			{"killed by someone else", killedBySomeoneElse},
			{"the holder is killed", holderIsKilled},
			{"the holder is hit by KILL QUERY", holderIsHitByKillQuery},
			{"the watcher dies", watcherDies},
			{"dead man's switch", deadMansSwitch},
			{"the switch is armed first", switchIsArmedFirst},
			{"sessions end between tries", sessionsEndBetweenTries},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, srv) })
		}
	})
}

func blocksWritersUntilUnlock(t *testing.T, srv *testServer) {
	mysql := srv.Flavor == dialect.MySQL
	s := srv.connect(t, nil)
	first, err := s.Coordinates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	did, err := s.Settle(t.Context())
	if want := map[bool]string{false: "FLUSH LOCAL TABLES in ", true: "no preliminary flush: on MySQL"}[mysql]; err != nil || !strings.HasPrefix(did, want) {
		t.Fatalf("Settle: %q, %v", did, err)
	}
	mustLock(t, s, 10*time.Second)
	srv.MustBlock(t)
	before, err := s.Coordinates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if before.Flavor != srv.Flavor || before.Version != srv.Version || before.Lock != "ftwrl" || before.CoordinatesExact ||
		before.BinlogFile == "" || before.BinlogPosition == 0 || before.GTID == "" || before.Replica != nil {
		t.Errorf("coordinates: %+v", before)
	}
	if before.GTID != first.GTID || before.BinlogPosition != first.BinlogPosition {
		t.Errorf("flush and lock were written to the binlog: %+v, %+v", first, before)
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := s.Coordinates(t.Context())
	if err != nil || !reflect.DeepEqual(after, before) {
		t.Errorf("coordinates moved under the lock: %+v, %+v, %v", before, after, err)
	}
	if err := s.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Nothing of ours is in the binlog.
	free, err := s.Coordinates(t.Context())
	if err != nil || free.GTID != before.GTID || free.BinlogPosition != before.BinlogPosition || free.Lock != "" {
		t.Errorf("coordinates after the unlock: %+v, %v", free, err)
	}
	if err := s.Unlock(t.Context()); err != nil {
		t.Errorf("a second Unlock: %v", err)
	}
	if _, lost := errorAs[*snapshot.LockLostError](s.Verify(t.Context())); !lost {
		t.Error("Verify finds a lock after Unlock")
	}
	srv.MustWrite(t)
	mustLock(t, s, 10*time.Second) // and again
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	srv.MustWrite(t)
	srv.IsIdle(t, 0)
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	if err := s.Lock(t.Context(), time.Second); err == nil {
		t.Error("a closed session locks")
	}
}

// A try that runs into its time holds up a writer for no longer than that, and
// leaves nothing behind.
func tryIsWithdrawn(t *testing.T, srv *testServer) {
	s := srv.connect(t, func(c *Config) { c.LongQueryAfter = time.Hour })
	s.look.Patience = 0
	stop := srv.Busy(t, longUpdate)
	stall := srv.stalls(t, "INSERT INTO t.w (v) VALUES (1)")
	for try := range 3 {
		start := time.Now()
		err := s.Lock(t.Context(), 10*time.Second)
		took := time.Since(start)
		refused, ok := errorAs[*snapshot.LockNotGrantedError](err)
		if !ok || refused.Waited {
			t.Fatalf("try %d: %v", try, err)
		}
		if !strings.Contains(refused.Blockers, "user root") || strings.Contains(refused.Blockers, "SLEEP(30)") {
			t.Errorf("blockers: %q", refused.Blockers)
		}
		if took > 2*time.Second {
			t.Errorf("try %d took %v", try, took)
		}
		start = time.Now()
		srv.MustWrite(t)
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("a write took %v right after try %d", took, try)
		}
		srv.IsIdle(t, 2)
		srv.holdsNothing(t, s)
	}
	longest := stall()
	t.Logf("a writer's longest stall in 3 tries of 250 ms: %v", longest.Round(100*time.Microsecond))
	if longest > time.Second || longest < 200*time.Millisecond {
		t.Errorf("a writer was stalled for %v", longest)
	}
	stop()
	waitGone(t, s)
	mustLock(t, s, 10*time.Second)
	srv.MustBlock(t)
}

// What runs long and would block the lock is waited for; what would not is not.
func longQueriesAreWaitedFor(t *testing.T, srv *testServer) {
	const (
		neither = iota
		both
		onMySQL
	)
	mysql := srv.Flavor == dialect.MySQL
	s := srv.connect(t, func(c *Config) { c.LongQueryAfter = 100 * time.Millisecond })
	for _, c := range []struct {
		name   string
		run    []string
		blocks int
	}{
		{"select", []string{"SELECT SLEEP(30) FROM t.a"}, onMySQL},
		{"select into", []string{"SELECT MAX(SLEEP(30)) FROM t.a INTO @x"}, onMySQL},
		{"with", []string{"WITH c AS (SELECT * FROM t.a) SELECT SLEEP(30) FROM c"}, onMySQL},
		{"sleep", []string{"DO SLEEP(30)"}, neither},
		{"open transaction", []string{"BEGIN", "UPDATE t.a SET v = 0", "SELECT SLEEP(30)"}, neither},
		{"read lock", []string{"LOCK TABLES t.a READ", "SELECT SLEEP(30)"}, onMySQL},
		{"update", []string{longUpdate}, both},
		{"select for update", []string{"SELECT SLEEP(30) FROM t.a FOR UPDATE"}, both},
		{"insert select", []string{"INSERT INTO t.w SELECT i + 1000, SLEEP(30) FROM t.a"}, both},
		{"execute", []string{"PREPARE s FROM 'UPDATE t.a SET v = SLEEP(30)'", "EXECUTE s"}, both},
	} {
		t.Run(c.name, func(t *testing.T) {
			stop := srv.Busy(t, c.run...)
			time.Sleep(150 * time.Millisecond) // its age
			err := s.Lock(t.Context(), 10*time.Second)
			if c.blocks == neither || c.blocks == onMySQL && !mysql {
				if refused, ok := errorAs[*snapshot.LockNotGrantedError](err); ok && !refused.Waited {
					mustLock(t, s, 10*time.Second) // a busy machine
				} else if err != nil {
					t.Fatal(err)
				}
				srv.MustBlock(t)
				if err := s.Unlock(t.Context()); err != nil {
					t.Fatal(err)
				}
				stop()
				return
			}
			refused, ok := errorAs[*snapshot.LockNotGrantedError](err)
			if !ok || !refused.Waited {
				t.Fatalf("Lock: %v", err)
			}
			// On MySQL the digest names the table, and no literal.
			if !strings.Contains(refused.Blockers, "user root, for ") || strings.Contains(strings.ReplaceAll(refused.Blockers, " ", ""), "(30") || !mysql && strings.Contains(refused.Blockers, "t.a") {
				t.Errorf("blockers: %q", refused.Blockers)
			}
			srv.MustWrite(t)
			// Nothing was left flush-pending.
			start := time.Now()
			if _, err := srv.Root(t).Query(t.Context(), "SELECT COUNT(*) AS n FROM t.w"); err != nil {
				t.Error(err)
			}
			if c.name != "read lock" {
				if _, err := srv.Root(t).Query(t.Context(), "SELECT COUNT(*) AS n FROM t.a"); err != nil {
					t.Error(err)
				}
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("a SELECT took %v", took)
			}
			stop()
			waitGone(t, s)
		})
	}
}

// waitGone waits until nothing blocks any more: a killed statement rolls back first.
func waitGone(tb testing.TB, s *Session) {
	tb.Helper()
	for range 1000 {
		list, err := s.look.Blockers(tb.Context(), 0)
		if err != nil {
			tb.Fatal(err)
		}
		if len(list) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	tb.Fatal("the blocker does not end")
}

func cancelledWhileWaiting(t *testing.T, srv *testServer) {
	s := srv.connect(t, func(c *Config) { c.LongQueryAfter, c.LockTimeout = time.Hour, 20*time.Second })
	s.look.Patience = 0
	stop := srv.Busy(t, longUpdate)
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(200*time.Millisecond, cancel)
	defer timer.Stop()
	start := time.Now()
	err := s.Lock(ctx, time.Minute)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Lock: %v", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	srv.IsIdle(t, 2)
	srv.MustWrite(t)
	if err := s.Lock(ctx, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("Lock with a cancelled context: %v", err)
	}
	stop()
	mustLock(t, s, time.Minute)
}
