package worker

import (
	"context"
	"slices"
	"time"
)

// giveUpAfter is how many calls in a row fail before a pass ends early: then it
// is AWS that does not answer, and not this one thing that it does not take.
const giveUpAfter = 3

// task is one thing to do; its error says that it is still to be done.
type task struct {
	key string
	do  func(ctx context.Context) error
}

// errand works off tasks, each with growing delays of its own, so that one that
// AWS never takes is tried ever more rarely and keeps no other from being tried.
type errand struct {
	outbox *Outbox
	tries  map[string]*tries
	down   int       // passes in a row that nothing came of, and that ended early
	next   time.Time // of the next pass
}

// tries are those of one task so far.
type tries struct {
	failed int
	next   time.Time
}

func newErrand(o *Outbox) *errand { return &errand{outbox: o, tries: map[string]*tries{}} }

// work does what is due of tasks, those first that have failed least. It
// returns the keys of those that are left.
func (e *errand) work(ctx context.Context, tasks []task) (left map[string]bool) {
	o := e.outbox
	left = map[string]bool{}
	for _, t := range tasks {
		left[t.key] = true
	}
	for key := range e.tries {
		if !left[key] { // done by someone else, or dropped
			delete(e.tries, key)
		}
	}
	tasks = slices.Clone(tasks)
	slices.SortStableFunc(tasks, func(a, b task) int { return e.of(a.key).failed - e.of(b.key).failed })
	row, done := 0, 0
	for _, t := range tasks {
		if ctx.Err() != nil || row >= giveUpAfter {
			break
		}
		if o.Now().Before(e.of(t.key).next) {
			continue
		}
		if err := t.do(ctx); err == nil {
			delete(left, t.key)
			delete(e.tries, t.key)
			row, done = 0, done+1
			continue
		}
		row++
		failed := e.of(t.key).failed + 1
		e.tries[t.key] = &tries{failed, o.Now().Add(fullJitter(o.RetryMin, o.RetryMax, failed, o.Random()))}
	}
	e.schedule(left, row >= giveUpAfter, done > 0)
	return left
}

// of is what is known of a task; a new one is due at once.
func (e *errand) of(key string) tries {
	if t := e.tries[key]; t != nil {
		return *t
	}
	return tries{}
}

// schedule sets the next pass: when the first task is due, or after a pause
// that grows while AWS takes nothing, and soon enough to find what others
// (`stillpoint snapshot`) left in the journal.
func (e *errand) schedule(left map[string]bool, early, some bool) {
	now := e.outbox.Now()
	if !early || some {
		e.down = 0
	}
	if early {
		e.down++
		e.next = now.Add(fullJitter(e.outbox.RetryMin, e.outbox.RetryMax, e.down, e.outbox.Random()))
		return
	}
	e.rest(now)
	for key := range left {
		if at := e.of(key).next; at.Before(e.next) {
			e.next = at
		}
	}
	if e.next.Before(now) {
		e.next = now
	}
}

// rest sets the next pass as if there were nothing to do.
func (e *errand) rest(now time.Time) { e.next = now.Add(e.outbox.Idle) }

// wake has what is new tried after the shortest delay: it has failed a moment
// ago. While AWS takes nothing the pause goes on.
func (e *errand) wake() {
	if e.down > 0 {
		return
	}
	soon := e.outbox.Now().Add(fullJitter(e.outbox.RetryMin, e.outbox.RetryMax, 1, e.outbox.Random()))
	if soon.Before(e.next) {
		e.next = soon
	}
}
