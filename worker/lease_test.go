package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/internal/snapshot"
)

// held starts a lease on a message that was received just now.
func held(q *fakeQueue, timing Timing) (l *lease, lost func() error) {
	q.send("m", "{}")
	m, _ := q.Receive(context.Background(), timing.withDefaults().Visibility)
	var cause error
	l = startLease(context.Background(), q, m.ReceiptHandle, timing.withDefaults(), time.Now(), time.Now, zerolog.Nop(), func(err error) { cause = err })
	return l, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		return cause
	}
}

func newQueue() *fakeQueue { return &fakeQueue{trail: &trail{}} }

func isLost(err error) bool { return errors.As(err, new(*snapshot.LeaseLostError)) }

func TestTheHeartbeatKeepsAMessageForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		l, lost := held(q, Timing{})
		time.Sleep(time.Hour + time.Second)
		l.stop()
		if lost() != nil || q.count("extend") != 90 {
			t.Fatalf("lost: %v; %d extensions in an hour", lost(), q.count("extend"))
		}
		time.Sleep(10 * time.Minute)
		if n := q.count("extend"); n != 90 {
			t.Fatalf("%d extensions after stop", n-90)
		}
	})
}

func TestAnOutageShorterThanTheLeaseIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		begun := time.Now()
		q.extendErr = func(int, time.Duration) error {
			if time.Since(begun) < 100*time.Second {
				return errors.New("no route to host")
			}
			return nil
		}
		l, lost := held(q, Timing{})
		time.Sleep(110 * time.Second)
		l.stop()
		if lost() != nil {
			t.Fatal(lost())
		}
		if n := q.count("extend m"); n != 1 {
			t.Errorf("%d extensions", n)
		}
	})
}

func TestTheLeaseIsLostBeforeSQSEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.extendErr = func(int, time.Duration) error { return errors.New("no route to host") }
		l, lost := held(q, Timing{})
		time.Sleep(105*time.Second - time.Millisecond)
		if lost() != nil {
			t.Fatal("lost too early:", lost())
		}
		time.Sleep(2 * time.Millisecond) // SQS would show the message at 120 s
		if !isLost(lost()) {
			t.Fatalf("not lost: %v", lost())
		}
		if err := l.Cover(context.Background(), time.Minute); !isLost(err) {
			t.Errorf("covered all the same: %v", err)
		}
		l.stop()
	})
}

func TestALateOKIsNoProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue() // says OK to everything
		// A machine that sleeps through it all: no heartbeat runs.
		l, _ := held(q, Timing{Heartbeat: 24 * time.Hour})
		time.Sleep(106 * time.Second)
		if err := l.Cover(context.Background(), time.Second); !isLost(err) {
			t.Fatalf("covered: %v", err)
		}
		if q.count("extend") != 0 {
			t.Error("asked SQS, whose OK would mean nothing")
		}
		l.stop()
	})
}

func TestWhatSQSSaysIsLostIsLostAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.extendErr = func(int, time.Duration) error {
			return &snapshot.LeaseLostError{Err: errors.New("not in flight")}
		}
		l, lost := held(q, Timing{})
		time.Sleep(41 * time.Second)
		if !isLost(lost()) {
			t.Fatal("not lost")
		}
		time.Sleep(time.Hour)
		if q.count("extend fails") != 1 {
			t.Error("went on asking")
		}
		l.stop()
	})
}

func TestCoverReachesOverTheWindowAndIsNeverCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		l, lost := held(q, Timing{})
		defer l.stop()
		time.Sleep(39 * time.Second)
		if err := l.Cover(context.Background(), 5*time.Minute); err != nil {
			t.Fatal(err)
		}
		visible := func() time.Duration {
			q.mu.Lock()
			defer q.mu.Unlock()
			return time.Until(q.messages[0].visibleAt)
		}
		if visible() < 5*time.Minute+15*time.Second {
			t.Fatalf("hidden for %s", visible())
		}
		time.Sleep(2 * time.Second) // a heartbeat came in between
		if q.count("extend") != 2 {
			t.Fatalf("%v", q.list())
		}
		if visible() < 5*time.Minute+12*time.Second {
			t.Fatalf("the heartbeat cut it short, to %s", visible())
		}
		// The window is covered even where SQS cannot be reached at all.
		q.failExtends(func(int, time.Duration) error { return errors.New("no route to host") })
		time.Sleep(297 * time.Second)
		if lost() != nil {
			t.Fatalf("lost inside the covered window: %v", lost())
		}
	})
}

func TestCoverSaysWhySQSCouldNotBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.extendErr = func(int, time.Duration) error { return errors.New("no route to host") }
		l, lost := held(q, Timing{})
		defer l.stop()
		if err := l.Cover(context.Background(), time.Minute); err == nil || isLost(err) {
			t.Fatalf("%v", err)
		}
		if lost() != nil {
			t.Fatal(lost())
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		cause := errors.New("stopping")
		cancel(cause)
		if err := l.Cover(ctx, time.Minute); !errors.Is(err, cause) {
			t.Fatalf("%v", err)
		}
	})
}

func TestNoMessageIsHiddenBeyondTwelveHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		begun := time.Now()
		q.extendErr = func(_ int, d time.Duration) error {
			if time.Since(begun)+d > 12*time.Hour {
				return errors.New("InvalidParameterValue: beyond the limit")
			}
			return nil
		}
		l, lost := held(q, Timing{})
		defer l.stop()
		time.Sleep(12*time.Hour - 10*time.Minute)
		if lost() != nil {
			t.Fatal(lost())
		}
		if err := l.Cover(context.Background(), 11*time.Minute); !isLost(err) {
			t.Fatalf("%v", err)
		}
		if q.count("extend fails") != 0 {
			t.Error("asked SQS for more than it gives")
		}
	})
}

func TestTheHeartbeatGoesOnToTheTwelfthHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		l, lost := held(q, Timing{})
		defer l.stop()
		time.Sleep(12*time.Hour - time.Minute)
		if lost() != nil {
			t.Fatal(lost())
		}
		time.Sleep(time.Minute)
		if !isLost(lost()) {
			t.Fatal("still held after 12 h")
		}
	})
}

func TestACallThatHangsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.extendTime = time.Hour
		l, _ := held(q, Timing{})
		begun := time.Now()
		if err := l.Cover(context.Background(), time.Minute); err == nil || time.Since(begun) != 5*time.Second {
			t.Fatalf("%v after %s", err, time.Since(begun))
		}
		l.stop()
	})
}
