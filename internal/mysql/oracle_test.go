package mysql

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"stillpoint/internal/snapshot"
)

func TestMySQLHold(t *testing.T) {
	srv := startMySQL(t)
	s := srv.connect(t, nil)
	root := srv.root(t)
	t.Logf("%+v", s.server)
	did, err := s.Settle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Log(did)
	lock(t, s, 10*time.Second)
	before, err := s.Coordinates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", before)
	if before.BinlogFile == "" || before.GTID == "" || before.Replica != nil {
		t.Errorf("coordinates: %+v", before)
	}
	if err := srv.writes(t, root, time.Second); !isNotGranted(err) {
		t.Errorf("a write was not blocked: %v", err)
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	after, err := s.Coordinates(t.Context())
	if err != nil || !reflect.DeepEqual(after, before) {
		t.Errorf("coordinates: %+v, %v", after, err)
	}
	// A lock that is not there is seen, on a session that answers.
	if err := s.a.exec(t.Context(), "UNLOCK TABLES"); err != nil {
		t.Fatal(err)
	}
	if _, lost := errorAs[*snapshot.LockLostError](s.Verify(t.Context())); !lost {
		t.Error("Verify does not see that the lock is lost")
	}
	if err := s.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	if err := srv.writes(t, root, time.Second); err != nil {
		t.Error(err)
	}
	lock(t, s, 10*time.Second)
	if err := root.exec(t.Context(), fmt.Sprintf("KILL %d", s.a.id)); err != nil {
		t.Fatal(err)
	}
	if _, lost := errorAs[*snapshot.LockLostError](s.Unlock(t.Context())); !lost {
		t.Error("Unlock does not say that the lock was lost")
	}
	lock(t, s, 1500*time.Millisecond)
	start := time.Now()
	for srv.writes(t, root, time.Second) != nil {
	}
	t.Logf("hold 1.5s: writes flow after %v", time.Since(start))
	if _, lost := errorAs[*snapshot.LockLostError](s.Verify(t.Context())); !lost {
		t.Error("Verify does not see that the lock is lost")
	}
}

func TestMySQLBlockers(t *testing.T) {
	srv := startMySQL(t)
	s := srv.connect(t, func(c *Config) { c.LongQueryAfter = 100 * time.Millisecond })
	for _, c := range []struct {
		name   string
		run    []string
		blocks bool
	}{
		{"select", []string{"SELECT SLEEP(30) FROM t.a"}, true},
		{"update", []string{longUpdate}, true},
		{"read lock", []string{"LOCK TABLES t.a READ", "SELECT SLEEP(30)"}, true},
		{"sleep", []string{"DO SLEEP(30)"}, false},
		{"open transaction", []string{"BEGIN", "UPDATE t.a SET v = 0", "SELECT SLEEP(30)"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			stop := srv.busy(t, c.run...)
			time.Sleep(150 * time.Millisecond)
			did, err := s.Settle(t.Context())
			t.Log(did, err)
			err = s.Lock(t.Context(), 10*time.Second)
			refused, ok := errorAs[*snapshot.LockNotGrantedError](err)
			t.Log(err)
			if c.blocks != (ok && refused.Waited) || !c.blocks && err != nil {
				t.Errorf("Lock: %v", err)
			}
			if err := s.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
			// Nothing was left flush-pending.
			start := time.Now()
			if _, err := srv.root(t).query(t.Context(), "SELECT COUNT(*) AS n FROM t.a"); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("a SELECT took %v", took)
			}
			stop()
			waitGone(t, s)
		})
	}
}

func TestMySQLWithdrawn(t *testing.T) {
	srv := startMySQL(t)
	s := srv.connect(t, func(c *Config) { c.LongQueryAfter = time.Hour })
	s.patience = 0
	stop := srv.busy(t, longUpdate)
	for range 3 {
		start := time.Now()
		err := s.Lock(t.Context(), 10*time.Second)
		t.Log(time.Since(start), err)
		if _, ok := errorAs[*snapshot.LockNotGrantedError](err); !ok {
			t.Fatal(err)
		}
		start = time.Now()
		if err := srv.writes(t, srv.root(t), time.Second); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("a write took %v", took)
		}
	}
	stop()
	waitGone(t, s)
	root := srv.root(t)
	granted := 0
	for i := range 150 {
		s.cfg.LockTimeout = time.Duration(20+i*20) * time.Microsecond
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
		if err := srv.writes(t, root, time.Second); err != nil {
			t.Fatalf("%v: a write is blocked although nothing is held: %v", s.cfg.LockTimeout, err)
		}
	}
	t.Logf("%d of 150 granted", granted)
	n := map[string]int{}
	for i := range 150 {
		done := make(chan error, 1)
		go func() { done <- s.a.execUnbounded(statementLock) }()
		time.Sleep(time.Duration(i*5) * time.Microsecond)
		_ = s.b.exec(context.Background(), fmt.Sprintf("KILL QUERY %d", s.a.id))
		err := <-done
		rows, qerr := root.query(t.Context(), "SELECT COUNT(*) AS n FROM performance_schema.metadata_locks WHERE OBJECT_TYPE = 'GLOBAL' AND LOCK_TYPE = 'SHARED' AND LOCK_STATUS = 'GRANTED'")
		if qerr != nil {
			t.Fatal(qerr)
		}
		n[fmt.Sprintf("answer %v, holds %s", err, rows[0]["n"])]++
		if err := s.a.exec(t.Context(), "UNLOCK TABLES"); err != nil {
			t.Log("UNLOCK", err)
		}
	}
	t.Log(n)
}
