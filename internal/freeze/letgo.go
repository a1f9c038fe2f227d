package freeze

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

// Thaw thaws all and says what it found. It goes ahead whatever becomes of
// ctx; where the kernel has not answered when ctx ends (but not before
// Config.AnswerWithin and 100 ms), it returns an error and the thaw goes on.
func (g *Guard) Thaw(ctx context.Context) (snapshot.Thawed, error) {
	g.mu.Lock()
	commanded := g.commanded
	g.mu.Unlock()
	if !commanded {
		return snapshot.Thawed{}, nil
	}
	if err := g.letGo(ctx); err != nil {
		return snapshot.Thawed{}, err
	}
	return g.thawed(), nil
}

// letGo tells the guardian to thaw and waits until nothing is frozen. It asks
// again and again, so that a guardian which is stopped in between is noticed.
func (g *Guard) letGo(ctx context.Context) error {
	// So long that a silent guardian is noticed, and the worker's own thaw tried.
	grace := time.NewTimer(g.answerWithin + 100*time.Millisecond)
	defer grace.Stop()
	var done <-chan struct{} // set when ctx may end the wait
	turn := time.NewTicker(g.answerWithin)
	defer turn.Stop()
	asked := bootNow()
	g.send(kindThaw)
	for {
		select {
		case <-g.over:
			return nil
		case <-turn.C:
			asked = g.askAgain(kindThaw, asked)
		case <-grace.C:
			done = ctx.Done()
		case <-done:
			return fmt.Errorf("cannot thaw %s yet: the kernel has not answered, most likely because a volume is stalled; it will be thawed as soon as it does: %w", g.names(), context.Cause(ctx))
		}
	}
}

// readable says that the guardian has said something which watch has not had
// the time to read.
func (g *Guard) readable() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	fds := []unix.PollFd{{Fd: int32(g.fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// thawed turns what guardian and worker found into the report. over is closed.
func (g *Guard) thawed() snapshot.Thawed {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.final
	if g.lost != nil {
		detail := "the guardian was lost: " + g.lost.why
		if len(g.lost.foreign) > 0 {
			detail += "; found thawed by then: " + strings.Join(g.lost.foreign, ", ")
		}
		return snapshot.Thawed{Cause: snapshot.ThawGuardianLost, At: g.thawedAt, Detail: detail}
	}
	t := snapshot.Thawed{At: g.thawedAt}
	switch {
	case f.cause == causeDeadline:
		t.Cause = snapshot.ThawDeadline
		t.Detail = fmt.Sprintf("%s: the guardian thawed at the deadline, %s", g.names(), t.At.Format(time.RFC3339Nano))
	case f.cause == causeCommand && g.abandoned, f.cause == causeFailed, f.cause == causeAborted, f.cause == causeNone:
		return snapshot.Thawed{} // there never was a freeze that anyone could count on
	case f.cause == causeClosed:
		t.Cause = snapshot.ThawGuardianLost
		t.Detail = "the guardian found the worker's end of the socket closed"
	case f.errno != 0:
		t.Cause = snapshot.ThawForeign
		t.Detail = fmt.Sprintf("%s was not frozen any more: someone else had thawed it", g.nameOf(f.index))
	default:
		t.Cause = snapshot.ThawCommand
	}
	return t
}
