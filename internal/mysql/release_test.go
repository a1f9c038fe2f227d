package mysql

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"stillpoint/internal/snapshot"
)

func holderIsKilled(t *testing.T, srv *testServer) {
	s := srv.connect(t, nil)
	root := srv.Root(t)
	for _, verify := range []bool{true, false} {
		mustLock(t, s, 10*time.Second)
		if err := root.Exec(t.Context(), fmt.Sprintf("KILL %d", s.pair.A.ID)); err != nil {
			t.Fatal(err)
		}
		srv.MustWrite(t)
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
		srv.IsIdle(t, 1)
	}
	mustLock(t, s, 10*time.Second) // A is opened again
	if err := s.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	srv.IsIdle(t, 2)
}

// A KILL QUERY for the idle holder neither releases the lock nor spoils the run.
func holderIsHitByKillQuery(t *testing.T, srv *testServer) {
	s := srv.connect(t, nil)
	root := srv.Root(t)
	hit := func() {
		if err := root.Exec(t.Context(), fmt.Sprintf("KILL QUERY %d", s.pair.A.ID)); err != nil {
			t.Fatal(err)
		}
	}
	mustLock(t, s, 10*time.Second)
	hit()
	srv.MustBlock(t)
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	hit()
	if err := s.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	srv.MustWrite(t)
}

func watcherDies(t *testing.T, srv *testServer) {
	s := srv.connect(t, nil)
	mustLock(t, s, 10*time.Second)
	if err := srv.Root(t).Exec(t.Context(), fmt.Sprintf("KILL %d", s.pair.B.ID)); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	mustLock(t, s, 10*time.Second)
}

func TestServerKilledInside(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		t.Run(sig.String(), func(t *testing.T) {
			srv := startServer(t)
			s := srv.connect(t, nil)
			mustLock(t, s, 10*time.Second)
			if sig == syscall.SIGKILL {
				srv.Signal(sig)
				<-srv.Exited
			} else {
				srv.Stop(t)
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
			if took := time.Since(start); took > 5*time.Second {
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
	mustLock(t, s, 30*time.Second)
	srv.Stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := s.Unlock(ctx)
	srv.Signal(syscall.SIGCONT)
	if err == nil {
		t.Fatal("Unlock of a stopped server")
	}
	if _, lost := errorAs[*snapshot.LockLostError](err); lost {
		t.Errorf("Unlock: %v", err)
	}
	srv.MustWrite(t)
}

// The server lets go by itself: not before hold, and less than a second after.
func deadMansSwitch(t *testing.T, srv *testServer) {
	s := srv.connect(t, nil)
	writer := srv.Root(t)
	const hold = 1500 * time.Millisecond
	start := time.Now()
	mustLock(t, s, hold)
	time.Sleep(700 * time.Millisecond)
	if _, err := s.Coordinates(t.Context()); err != nil { // talking does not put it off
		t.Fatal(err)
	}
	if err := srv.Writes(t, writer, 10*time.Second); err != nil {
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
func switchIsArmedFirst(t *testing.T, srv *testServer) {
	s := srv.connect(t, nil)
	if err := s.Ready(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	srv.MustRun(t, s.pair.A, "FLUSH LOCAL TABLES WITH READ LOCK")
	if err := srv.Writes(t, srv.Root(t), 3*time.Second); err != nil {
		t.Fatal(err)
	}
}

func sessionsEndBetweenTries(t *testing.T, srv *testServer) {
	s := srv.connect(t, nil)
	root := srv.Root(t)
	for _, id := range []uint64{s.pair.A.ID, s.pair.B.ID} {
		if err := root.Exec(t.Context(), fmt.Sprintf("KILL %d", id)); err != nil {
			t.Fatal(err)
		}
	}
	mustLock(t, s, 10*time.Second)
	srv.MustBlock(t)
	srv.IsIdle(t, 2)
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
