package freeze

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// backstopMargin is how long after the deadline the worker waits for a sign of
// the guardian before it thaws itself.
const backstopMargin = 200 * time.Millisecond

// watch receives what the guardian says until its end of the socket closes,
// and keeps the backstop. It owns the end of the Guard: when it returns, the
// guardian is reaped, nothing is frozen and every descriptor is closed.
func (g *Guard) watch() {
	defer close(g.ended)
	fds := []unix.PollFd{{Fd: int32(g.fd()), Events: unix.POLLIN}, {Fd: int32(g.timer), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != nil {
			if err == unix.EINTR {
				continue
			}
			break // as good as gone
		}
		// What was said first: it may be the answer that the backstop waits for.
		if fds[0].Revents != 0 {
			var f frame
			if !f.receive(g.fd()) {
				break
			}
			g.note(f)
			continue
		}
		if fds[1].Revents != 0 {
			drain(g.timer)
			g.backstop()
		}
	}
	close(g.gone)
	g.rescue("it ended")
	<-g.over // a rescue that another goroutine began
	_ = g.command.Wait()
	<-g.drained
	<-g.closing // until then the descriptors may be in use
	g.settling.Wait()
	g.record.remove() // the guardian did, unless it was lost
	g.closeFiles()
}

// note remembers one thing that the guardian said.
func (g *Guard) note(f frame) {
	g.heard.Store(bootNow())
	g.mu.Lock()
	defer g.mu.Unlock()
	switch f.kind {
	case kindAlive:
		select {
		case g.alive <- struct{}{}:
		default:
		}
	case kindRaised:
		g.rcu.was, g.rcu.size, g.rcu.raised = f.text, int(f.size), true
		g.expedited = true
	case kindRestored:
		g.rcu.raised, g.rcuFault = f.errno != 0, f.errno
	case kindFrozen:
		if g.at.IsZero() {
			g.at, g.took = wallTime(f.at), time.Duration(f.took)
			close(g.frozen)
		}
	case kindOver:
		if g.decided.CompareAndSwap(false, true) {
			g.final, g.thawedAt = f, wallTime(f.at)
			close(g.over)
		}
		if g.closed {
			g.hangUp() // Close has given up waiting for this
		}
	}
}

// backstop is called some time after the deadline. The guardian has thawed by
// now, or has said that it waits for the kernel, or is stopped.
func (g *Guard) backstop() {
	if g.decided.Load() {
		return
	}
	g.mu.Lock()
	alive := g.heard.Load() >= g.overdue
	g.overdue = bootNow()
	g.mu.Unlock()
	if !alive {
		go g.rescue("it did not thaw at the deadline")
		return
	}
	g.send(kindThaw)
	_ = setTimer(g.timer, bootNow()+int64(g.answerWithin))
}

// rescue thaws by the worker's own descriptors, unless that is being done or
// there is nothing to thaw any more. When it closes over, nothing is frozen by
// us, however long the kernel takes for that.
func (g *Guard) rescue(why string) {
	if !g.decided.CompareAndSwap(false, true) {
		return
	}
	defer close(g.over)
	g.mu.Lock()
	g.lost = &lost{why: why}
	commanded := g.commanded
	g.mu.Unlock()
	// First of all it must end: a guardian that is only stopped would go on
	// some day, and thaw what someone else has frozen by then.
	_ = g.command.Process.Kill()
	at := time.Now()
	var foreign []string
	if commanded {
		g.restoreRCU()
		foreign = g.thawByHand()
		g.restoreRCU() // what the guardian still said meanwhile
		g.noteRCU()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lost.foreign, g.thawedAt = foreign, at
}

// restoreRCU puts rcu_expedited back where the guardian did not.
func (g *Guard) restoreRCU() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rcu.raised {
		g.rcuFault = g.rcu.restore()
	}
}

// noteRCU notes that in the record. It comes after the thaw, and holds nothing:
// where the runtime directory is on a disk, that may be the one that stalls.
func (g *Guard) noteRCU() {
	g.mu.Lock()
	raised := g.rcu.raised
	g.mu.Unlock()
	if !raised {
		_ = g.record.setRaised(false)
	}
}

// thawByHand thaws what the record names as frozen, and returns the names of
// those that someone else had thawed. What the guardian had not begun to
// freeze, or could not, is left alone: it may be somebody else's freeze.
func (g *Guard) thawByHand() (foreign []string) {
	var jobs []thawJob
	for i, t := range g.targets {
		jobs = append(jobs, thawJob{t.fd(), i, t.level})
	}
	for i, f := range g.record.thaw(jobs, g.gone, nil) {
		if f == foundForeign {
			foreign = append(foreign, g.targets[i].name)
		}
	}
	return foreign
}

// Close thaws what is still frozen, ends the guardian and closes everything,
// within Config.CloseWithin. Where the kernel does not let go in that time it
// returns an error; guardian and worker go on to thaw, and Close may be called
// again to see how far they are.
func (g *Guard) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), g.closeWithin)
	defer cancel()
	g.mu.Lock()
	commanded := g.commanded
	if !g.closed {
		g.closed = true
		close(g.closing)
	}
	g.mu.Unlock()
	if commanded {
		if err := g.letGo(ctx); err != nil {
			return err // and the guardian keeps its orders
		}
	}
	g.mu.Lock()
	g.hangUp()
	g.mu.Unlock()
	impatient := time.NewTimer(g.answerWithin)
	defer impatient.Stop()
	for {
		select {
		case <-g.ended:
			return nil
		case <-impatient.C:
			_ = g.command.Process.Kill() // nothing is frozen any more
		case <-ctx.Done():
			return fmt.Errorf("cannot end the guardian (process %d) or a flush of %s in time; nothing is frozen", g.command.Process.Pid, g.names())
		}
	}
}

// hangUp closes our sending side: the guardian reads the end of the stream and
// ends, thawing first what it still owes. The caller holds g.mu.
func (g *Guard) hangUp() {
	if !g.shut {
		g.shut = true
		_ = unix.Shutdown(g.fd(), unix.SHUT_WR)
	}
}
