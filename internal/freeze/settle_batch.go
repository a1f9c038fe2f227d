package freeze

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// batch thaws some file systems of a record. Each is reached and thawed on a
// goroutine of its own, so that one that is stalled keeps no other one frozen.
type batch struct {
	*settler
	record  *record
	account *account
	gone    <-chan struct{}

	arrivals chan arrival
	thawed   chan []arrival
	quit     chan struct{}
	under    int // goroutines under way
}

// arrival is one file system that was reached, or not, and then thawed.
type arrival struct {
	index int
	reached
	fate  fate
	err   error
	found finding
}

// run returns when all are thawed. Where ctx ends first, what has not returned
// from the kernel keeps the record, and its lock, for itself.
func (b *batch) run(ctx context.Context, owed []int) error {
	b.arrivals, b.thawed = make(chan arrival, len(owed)), make(chan []arrival, len(owed)+1)
	b.quit = make(chan struct{})
	left := map[int]bool{}
	for _, i := range owed {
		left[i] = true
		b.under++
		go func() {
			a := arrival{index: i}
			a.reached, a.fate, a.err = reach(b.account.entries[i].identity)
			b.arrivals <- a
		}()
	}
	// Those that are reached at once are thawed in their order, the others when they come.
	var first []arrival
	gather := time.NewTimer(levelStall)
	defer gather.Stop()
	gathering := true
	for {
		if gathering && len(first) == len(owed) {
			gathering = false
			b.thaw(first)
		}
		if !gathering && b.under == 0 {
			return nil
		}
		select {
		case a := <-b.arrivals:
			b.under--
			if gathering {
				first = append(first, a)
			} else {
				b.thaw([]arrival{a})
			}
		case <-gather.C:
			if gathering {
				gathering = false
				b.thaw(first)
			}
		case done := <-b.thawed:
			b.under--
			for _, a := range done {
				delete(left, a.index)
				b.tellArrival(a)
			}
		case <-time.After(settleSpeak):
			b.wait("waiting for the kernel to thaw %s: a volume is stalled, or a freeze is still under way", b.names(left))
		case <-ctx.Done():
			b.abandon(first, gathering)
			return fmt.Errorf("cannot thaw %s yet: the kernel has not answered: %w: %w", b.names(left), context.Cause(ctx), errAdvice)
		}
	}
}

// thaw thaws those of them that are ours.
func (b *batch) thaw(these []arrival) {
	b.under++
	go func() {
		var jobs []thawJob
		var of []int
		for n, a := range these {
			switch a.fate {
			case fateSame:
				jobs = append(jobs, thawJob{a.fd, a.index, b.account.entries[a.index].Level})
				of = append(of, n)
			case fateGone, fateNew:
				_ = b.record.set(a.index, markThawed) // our freeze is over
			}
		}
		for n, f := range b.record.thaw(jobs, b.gone, b.quit) {
			a := &these[of[n]]
			a.found = f
			_ = unix.Close(a.fd)
		}
		b.thawed <- these
	}()
}

// abandon leaves the rest to goroutines. What they reach later is not thawed
// any more, since nobody would tell of it.
func (b *batch) abandon(first []arrival, gathering bool) {
	close(b.quit)
	b.kept = true
	if !gathering {
		first = nil
	}
	go func(under int) {
		for ; under > 0; under-- {
			select {
			case a := <-b.arrivals:
				first = append(first, a)
			case <-b.thawed:
			}
		}
		for _, a := range first {
			if a.fate == fateSame {
				_ = unix.Close(a.fd)
			}
		}
		b.record.close()
	}(b.under)
}

func (b *batch) names(left map[int]bool) string {
	var names []string
	for i, e := range b.account.entries {
		if left[i] {
			names = append(names, e.Mount)
		}
	}
	return strings.Join(names, ", ")
}

// tellArrival says what became of one.
func (b *batch) tellArrival(a arrival) {
	e := b.account.entries[a.index]
	what := "it was frozen: thawed"
	switch {
	case a.fate == fateGone:
		what = "it was thawed and unmounted since: nothing to thaw"
	case a.fate == fateNew:
		what = "it was mounted anew since, or another file system has taken its device; the freeze of then is over: left alone"
	case a.fate == fateUnknown:
		b.tell(e, "it was frozen, and cannot be told to be the same any more: left alone, so look whether it hangs, and if so run fsfreeze --unfreeze on its mount point; when nothing hangs, remove "+b.path()+": nothing is frozen again while it is there", false, a.err)
		return
	case a.found != foundFrozen:
		what = "it was thawed already: nothing to thaw"
	case a.at == "":
		what = "it was frozen, and not mounted any more: thawed through a mount out of sight, and left unmounted"
	case a.at != e.Mount:
		what = "it was frozen, and is mounted at " + a.at + " now: thawed"
	}
	b.tell(e, what, a.fate == fateSame && a.found == foundFrozen, nil)
}
