package mysql

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stillpoint/internal/snapshot"
)

const longUpdate = "UPDATE t.a SET v = v + SLEEP(30)"

// lock takes the lock, which nothing should block; on a busy machine not at the first try.
func lock(tb testing.TB, s *Session, hold time.Duration) {
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

func TestLockBlocksWritersUntilUnlock(t *testing.T) {
	srv := startServer(t)
	s := srv.connect(t, nil)
	first, err := s.Coordinates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	did, err := s.Settle(t.Context())
	if err != nil || !strings.HasPrefix(did, "FLUSH LOCAL TABLES in ") {
		t.Fatalf("Settle: %q, %v", did, err)
	}
	lock(t, s, 10*time.Second)
	srv.mustBlock(t)
	before, err := s.Coordinates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if before.Flavor != "mariadb" || !strings.Contains(before.Version, "MariaDB") || before.Lock != "ftwrl" || before.CoordinatesExact ||
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
	srv.mustWrite(t)
	lock(t, s, 10*time.Second) // and again
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	srv.mustWrite(t)
	srv.isIdle(t, 0)
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	if err := s.Lock(t.Context(), time.Second); err == nil {
		t.Error("a closed session locks")
	}
}

func TestTryIsWithdrawn(t *testing.T) {
	srv := startServer(t)
	s := srv.connect(t, func(c *Config) { c.LongQueryAfter = time.Hour })
	s.patience = 0
	stop := srv.busy(t, longUpdate)

	var worst atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	writer := srv.root(t)
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			start := time.Now()
			if writer.exec(context.Background(), "INSERT INTO t.w (v) VALUES (1)") != nil {
				return
			}
			worst.Store(max(worst.Load(), int64(time.Since(start))))
		}
	}()
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
		srv.isIdle(t, 2)
	}
	cancel()
	<-done
	t.Logf("a writer's longest stall in 3 tries of 250 ms: %v", time.Duration(worst.Load()).Round(100*time.Microsecond))
	if stall := time.Duration(worst.Load()); stall > time.Second || stall < 200*time.Millisecond {
		t.Errorf("a writer was stalled for %v", stall)
	}
	srv.mustWrite(t)
	stop()
	lock(t, s, 10*time.Second)
	srv.mustBlock(t)
}

func TestLongQueriesAreWaitedFor(t *testing.T) {
	srv := startServer(t)
	s := srv.connect(t, func(c *Config) { c.LongQueryAfter = 100 * time.Millisecond })
	for _, c := range []struct {
		name   string
		run    []string
		blocks bool
	}{
		{"select", []string{"SELECT SLEEP(30) FROM t.a"}, false},
		{"select into", []string{"SELECT MAX(SLEEP(30)) FROM t.a INTO @x"}, false},
		{"with", []string{"WITH c AS (SELECT * FROM t.a) SELECT SLEEP(30) FROM c"}, false},
		{"sleep", []string{"DO SLEEP(30)"}, false},
		{"open transaction", []string{"BEGIN", "UPDATE t.a SET v = 0", "SELECT SLEEP(30)"}, false},
		{"read lock", []string{"LOCK TABLES t.a READ", "SELECT SLEEP(30)"}, false},
		{"update", []string{longUpdate}, true},
		{"select for update", []string{"SELECT SLEEP(30) FROM t.a FOR UPDATE"}, true},
		{"insert select", []string{"INSERT INTO t.w SELECT i + 1000, SLEEP(30) FROM t.a"}, true},
		{"execute", []string{"PREPARE s FROM 'UPDATE t.a SET v = SLEEP(30)'", "EXECUTE s"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			stop := srv.busy(t, c.run...)
			time.Sleep(150 * time.Millisecond)
			err := s.Lock(t.Context(), 10*time.Second)
			if !c.blocks {
				if refused, ok := errorAs[*snapshot.LockNotGrantedError](err); ok && !refused.Waited {
					lock(t, s, 10*time.Second) // a busy machine
				} else if err != nil {
					t.Fatal(err)
				}
				srv.mustBlock(t)
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
			if !strings.Contains(refused.Blockers, "user root, for ") || strings.Contains(refused.Blockers, "t.a") {
				t.Errorf("blockers: %q", refused.Blockers)
			}
			srv.mustWrite(t)
			stop()
			waitGone(t, s)
		})
	}
}

// waitGone waits until nothing blocks any more: a killed statement rolls back first.
func waitGone(tb testing.TB, s *Session) {
	tb.Helper()
	for range 1000 {
		list, err := s.blockers(tb.Context(), 0)
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

func TestCancelledWhileWaiting(t *testing.T) {
	srv := startServer(t)
	s := srv.connect(t, func(c *Config) { c.LongQueryAfter, c.LockTimeout = time.Hour, 20*time.Second })
	s.patience = 0
	stop := srv.busy(t, longUpdate)
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
	srv.isIdle(t, 2)
	srv.mustWrite(t)
	if err := s.Lock(ctx, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("Lock with a cancelled context: %v", err)
	}
	stop()
	lock(t, s, time.Minute)
}

// The lock is granted after its time has passed and before the kill arrives.
func TestGrantedJustBeforeTheKill(t *testing.T) {
	srv := startServer(t)
	s := srv.connect(t, func(c *Config) { c.LongQueryAfter, c.LockTimeout = time.Hour, 60*time.Millisecond })
	s.patience = 0
	root := srv.root(t)
	for range 5 {
		stop := srv.busy(t, longUpdate)
		s.beforeKill = func() {
			stop()
			for end := time.Now().Add(20 * time.Second); time.Now().Before(end); { // a busy machine answers slowly
				rows, err := root.query(context.Background(), fmt.Sprintf("SELECT COMMAND AS c FROM information_schema.PROCESSLIST WHERE ID = %d", s.a.id))
				if err == nil && len(rows) == 1 && rows[0]["c"] == "Sleep" {
					return
				}
			}
			t.Error("the request does not end")
		}
		if _, ok := errorAs[*snapshot.LockNotGrantedError](s.Lock(t.Context(), 10*time.Second)); !ok {
			t.Fatal("the lock is not reported as not granted")
		}
		srv.mustWrite(t) // it was let go
		srv.isIdle(t, 2)
		s.beforeKill = nil
		waitGone(t, s)
		lock(t, s, 10*time.Second) // the kill does not hit what comes next
		if err := s.Verify(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Kill and grant meet wherever they like: whatever Lock says must be true.
func TestTinyTimeouts(t *testing.T) {
	srv := startServer(t)
	s := srv.connect(t, nil)
	writer := srv.root(t)
	granted := 0
	for i := range 150 {
		s.cfg.LockTimeout = time.Duration(20+i*10) * time.Microsecond
		err := s.Lock(t.Context(), 10*time.Second)
		if err == nil {
			granted++
			if err := s.Verify(t.Context()); err != nil {
				t.Fatalf("%v: %v", s.cfg.LockTimeout, err)
			}
			if err := s.Unlock(t.Context()); err != nil {
				t.Fatalf("%v: %v", s.cfg.LockTimeout, err)
			}
		} else if _, ok := errorAs[*snapshot.LockNotGrantedError](err); !ok {
			t.Fatalf("%v: %v", s.cfg.LockTimeout, err)
		}
		if err := srv.writes(t, writer, 2*time.Second); err != nil {
			t.Fatalf("%v: a write is blocked although nothing is held: %v", s.cfg.LockTimeout, err)
		}
	}
	t.Logf("%d of 150 granted", granted)
	srv.isIdle(t, 2)
}

// Someone else's KILL QUERY meets the request: what it leaves is let go too.
func TestKilledBySomeoneElse(t *testing.T) {
	srv := startServer(t)
	s := srv.connect(t, func(c *Config) { c.LockTimeout = 10 * time.Second })
	writer, killer := srv.root(t), srv.root(t)
	hit := 0
	for i := range 400 {
		if err := s.prepare(t.Context(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			time.Sleep(time.Duration(i%20) * 5 * time.Microsecond)
			_ = killer.exec(context.Background(), fmt.Sprintf("KILL QUERY %d", s.a.id))
		}()
		err := s.take(t.Context())
		<-killed
		if err == nil {
			if err := s.a.exec(t.Context(), "UNLOCK TABLES"); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !isNotGranted(err) {
			t.Fatal(err)
		}
		hit++
		if err := srv.writes(t, writer, 2*time.Second); err != nil {
			t.Fatalf("a write is blocked although nothing is held: %v", err)
		}
	}
	t.Logf("%d of 400 hit", hit)
}
