package mysql

import (
	"context"
	"fmt"
	"testing"
	"time"

	"stillpoint/internal/snapshot"
)

// killsMeetGrants makes tries of which each has a step more time than the one
// before, so that kill and grant meet wherever they like, in every step of the
// lock: whatever Lock says must be true.
func killsMeetGrants(t *testing.T, srv *testServer, mode Lock, step time.Duration) {
	const tries = 120
	s := srv.inMode(t, mode)
	writer := srv.Root(t)
	granted := 0
	for i := range tries {
		s.lock.Timeout = 20*time.Microsecond + time.Duration(i)*step
		err := s.Lock(t.Context(), 10*time.Second)
		if err == nil {
			granted++
			if err := s.Verify(t.Context()); err != nil {
				t.Fatalf("%v: %v", s.lock.Timeout, err)
			}
			if err := s.Unlock(t.Context()); err != nil {
				t.Fatalf("%v: %v", s.lock.Timeout, err)
			}
		} else if _, ok := errorAs[*snapshot.LockNotGrantedError](err); !ok {
			t.Fatalf("%v: %v", s.lock.Timeout, err)
		}
		srv.holdsNothing(t, s)
		if err := srv.Writes(t, writer, 2*time.Second); err != nil {
			t.Fatalf("%v: a write is blocked although nothing is held: %v", s.lock.Timeout, err)
		}
	}
	t.Logf("%d of %d granted", granted, tries)
	if granted == tries {
		t.Error("no kill met anything")
	}
	srv.IsIdle(t, 2)
}

// Someone else's KILL QUERY meets the request: what it leaves is let go too.
func killedBySomeoneElse(t *testing.T, srv *testServer) {
	s := srv.connect(t, func(c *Config) { c.LockTimeout = 10 * time.Second })
	writer, killer := srv.Root(t), srv.Root(t)
	hit := 0
	for i := range 400 {
		if err := s.Ready(t.Context(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			time.Sleep(time.Duration(i%20) * 5 * time.Microsecond)
			_ = killer.Exec(context.Background(), fmt.Sprintf("KILL QUERY %d", s.pair.A.ID))
		}()
		err := s.Lock(t.Context(), 10*time.Second)
		<-killed
		if err == nil {
			if err := s.Unlock(t.Context()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if _, ok := errorAs[*snapshot.LockNotGrantedError](err); !ok {
			t.Fatal(err)
		}
		hit++
		if err := srv.Writes(t, writer, 2*time.Second); err != nil {
			t.Fatalf("a write is blocked although nothing is held: %v", err)
		}
	}
	t.Logf("%d of 400 hit", hit)
}
