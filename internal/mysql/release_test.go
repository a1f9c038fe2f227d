package mysql

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"stillpoint/internal/snapshot"
)

func TestHolderKilledByAnAdministrator(t *testing.T) {
	srv := startServer(t)
	s := srv.connect(t, nil)
	root := srv.root(t)
	for _, verify := range []bool{true, false} {
		lock(t, s, 10*time.Second)
		if err := root.exec(t.Context(), fmt.Sprintf("KILL %d", s.a.id)); err != nil {
			t.Fatal(err)
		}
		srv.mustWrite(t)
		if verify {
			if _, lost := errorAs[*snapshot.LockLostError](s.Verify(t.Context())); !lost {
				t.Error("Verify does not see that the lock is lost")
			}
		}
		if err := s.Unlock(t.Context()); err == nil {
			t.Error("Unlock found a lock")
		} else if _, lost := errorAs[*snapshot.LockLostError](err); !lost {
			t.Errorf("Unlock: %v", err)
		}
		srv.isIdle(t, 1)
	}
	lock(t, s, 10*time.Second) // A is opened again
	if err := s.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	srv.isIdle(t, 2)
}

// A KILL QUERY for the idle holder neither releases the lock nor spoils the run.
func TestHolderHitByKillQuery(t *testing.T) {
	srv := startServer(t)
	s := srv.connect(t, nil)
	root := srv.root(t)
	hit := func() {
		if err := root.exec(t.Context(), fmt.Sprintf("KILL QUERY %d", s.a.id)); err != nil {
			t.Fatal(err)
		}
	}
	lock(t, s, 10*time.Second)
	hit()
	srv.mustBlock(t)
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	hit()
	if err := s.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	srv.mustWrite(t)
}

func TestWatcherDiesWhileTheLockIsHeld(t *testing.T) {
	srv := startServer(t)
	s := srv.connect(t, nil)
	lock(t, s, 10*time.Second)
	if err := srv.root(t).exec(t.Context(), fmt.Sprintf("KILL %d", s.b.id)); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	lock(t, s, 10*time.Second)
}

func TestWatcherDiesWhileTheLockIsWaitedFor(t *testing.T) {
	srv := startServer(t)
	s := srv.connect(t, func(c *Config) { c.LongQueryAfter = time.Hour })
	stop := srv.busy(t, longUpdate)
	root := srv.root(t)
	s.beforeKill = func() {
		if err := root.exec(context.Background(), fmt.Sprintf("KILL %d", s.b.id)); err != nil {
			t.Error(err)
		}
	}
	if _, ok := errorAs[*snapshot.LockNotGrantedError](s.Lock(t.Context(), 10*time.Second)); !ok {
		t.Error("the try is not reported as not granted")
	}
	s.beforeKill = nil
	srv.mustWrite(t)
	for _, one := range srv.ours(t) {
		if one != "Sleep" {
			t.Errorf("still there: %s", one)
		}
	}
	stop()
	waitGone(t, s)
	lock(t, s, 10*time.Second)
	srv.isIdle(t, 2)
}

func TestServerKilledInside(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		t.Run(sig.String(), func(t *testing.T) {
			srv := startServer(t)
			s := srv.connect(t, nil)
			lock(t, s, 10*time.Second)
			if sig == syscall.SIGKILL {
				srv.signal(sig)
				<-srv.exited
			} else {
				srv.stop(t)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			start := time.Now()
			if _, err := s.Coordinates(ctx); err == nil {
				t.Error("Coordinates of a dead server")
			}
			if s.Verify(context.WithoutCancel(ctx)) == nil {
				t.Error("Verify of a dead server")
			}
			if err := s.Unlock(t.Context()); err == nil {
				t.Error("Unlock of a dead server")
			} else if _, lost := errorAs[*snapshot.LockLostError](err); !lost {
				t.Errorf("Unlock: %v", err)
			}
			if took := time.Since(start); took > evictTimeout+2*time.Second {
				t.Errorf("it took %v", took)
			} else {
				t.Logf("it took %v", took.Round(time.Millisecond))
			}
		})
	}
}

// A server that does not answer the unlock: the session is closed instead, and
// the server lets go once it runs again.
func TestUnlockOfAStoppedServer(t *testing.T) {
	srv := startServer(t)
	s := srv.connect(t, nil)
	lock(t, s, 30*time.Second)
	srv.stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := s.Unlock(ctx)
	srv.signal(syscall.SIGCONT)
	if err == nil {
		t.Fatal("Unlock of a stopped server")
	}
	if _, lost := errorAs[*snapshot.LockLostError](err); lost {
		t.Errorf("Unlock: %v", err)
	}
	srv.mustWrite(t)
}

// The server lets go by itself: not before hold, and less than a second after.
func TestDeadMansSwitch(t *testing.T) {
	srv := startServer(t)
	s := srv.connect(t, nil)
	writer := srv.root(t)
	const hold = 1500 * time.Millisecond
	start := time.Now()
	lock(t, s, hold)
	time.Sleep(700 * time.Millisecond)
	if _, err := s.Coordinates(t.Context()); err != nil { // talking does not put it off
		t.Fatal(err)
	}
	if err := srv.writes(t, writer, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	freed := time.Since(start)
	t.Logf("hold %v: writes flow after %v", hold, freed.Round(time.Millisecond))
	if freed < hold || freed > hold+time.Second {
		t.Errorf("the server let go after %v", freed)
	}
	if _, lost := errorAs[*snapshot.LockLostError](s.Verify(t.Context())); !lost {
		t.Error("Verify does not see that the lock is lost")
	}
	if _, lost := errorAs[*snapshot.LockLostError](s.Unlock(t.Context())); !lost {
		t.Error("Unlock does not say that the lock was lost")
	}
}

// The switch is armed before the lock is requested: we may fall silent at once.
func TestDeadMansSwitchIsArmedFirst(t *testing.T) {
	srv := startServer(t)
	s := srv.connect(t, nil)
	if err := s.prepare(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	if err := s.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := srv.writes(t, srv.root(t), 3*time.Second); err != nil {
		t.Fatal(err)
	}
}

func TestSessionsEndedBetweenTries(t *testing.T) {
	srv := startServer(t)
	s := srv.connect(t, nil)
	root := srv.root(t)
	for _, id := range []uint64{s.a.id, s.b.id} {
		if err := root.exec(t.Context(), fmt.Sprintf("KILL %d", id)); err != nil {
			t.Fatal(err)
		}
	}
	lock(t, s, 10*time.Second)
	srv.mustBlock(t)
	srv.isIdle(t, 2)
}

func BenchmarkHold(b *testing.B) {
	srv := startServer(b)
	s := srv.connect(b, nil)
	ctx := context.Background()
	for b.Loop() {
		if err := s.Lock(ctx, 10*time.Second); err != nil {
			b.Fatal(err)
		}
		for range 2 {
			if _, err := s.Coordinates(ctx); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Unlock(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCoordinates(b *testing.B) {
	srv := startServer(b)
	s := srv.connect(b, nil)
	ctx := context.Background()
	if err := s.Lock(ctx, time.Hour); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Coordinates(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
