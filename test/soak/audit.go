package soak

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"stillpoint/messages"
	"stillpoint/test/rig"
)

// audit holds the end against the promises and fills the report.
func (s *soak) audit(ctx context.Context, r *Report) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	s.Say("the audit")
	s.calls.read(s.AWS, 0)
	s.AWS.MoveClock(time.Minute) // past what describes lag behind
	s.auditMessages(r)
	if err := s.auditDeadLetters(ctx, r); err != nil {
		return err
	}
	if err := s.auditSets(ctx, r); err != nil {
		return err
	}
	if err := s.auditJournal(r); err != nil {
		return err
	}
	s.auditWorker(r)
	l, err := s.left(ctx)
	if err != nil {
		return err
	}
	if !l.queueEmpty() || l.handling != "" {
		r.wrong("not everything is settled: %s", l)
	}
	s.auditStalls(r)
	for _, g := range s.growth.grown(s.CheckMemory) {
		r.wrong("%s", g)
	}
	r.first, r.last, r.samples = s.growth.ends()
	if err := s.Load.Stop(); err != nil {
		return err
	}
	if err := rig.CheckInvariants(ctx, s.Server); err != nil {
		r.wrong("%v", err)
	}
	s.summarise(r)
	return nil
}

// auditMessages: every message has the result that it must come to, every
// request one final result, and every result a request.
func (s *soak) auditMessages(r *Report) {
	missing := s.ledger.missing()
	l := &s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.wrong {
		r.wrong("%s", w)
	}
	for _, m := range missing {
		r.wrong("no result of a message (%s, message id %s, request id %s): %.100q", m.kind, m.messageID, m.requestID, m.body)
	}
	rejections := map[string]bool{}
	for _, m := range l.sent {
		if m.expects == toReject {
			rejections[m.eventID] = true
		}
	}
	for id, results := range l.results {
		if len(l.byID[id]) == 0 {
			r.wrong("a result of a request that was not sent: %q, %s/%s: %s", id, results[0].Status, results[0].Reason, results[0].Message)
			continue
		}
		var final, skipped []*messages.Result
		for _, x := range results {
			switch {
			case usesID(x):
				final = append(final, x)
			case x.Status == messages.Rejected && !rejections[x.EventID]:
				r.wrong("%s was rejected and should not have been: %s: %s", id, x.Reason, x.Message)
			case x.Status == messages.Skipped:
				skipped = append(skipped, x)
			}
		}
		slices.SortFunc(final, func(a, b *messages.Result) int { return cmp.Compare(a.FinishedAt.UnixNano(), b.FinishedAt.UnixNano()) })
		switch {
		case len(final) == 1 && len(skipped) == 0:
		case len(final) == 0 && len(skipped) <= 1: // a dry run, a rejection, or one that was skipped
		case len(final) == 2 && len(skipped) == 0 && reopened(final[0], final[1]):
			r.reopened++
		default:
			r.wrong("%s has %d final results and %d skipped ones: %s", id, len(final), len(skipped), verdicts(slices.Concat(final, skipped)))
		}
	}
}

// reopened is the one exception of the contract: an ambiguous answer of which
// nothing was found, until a redelivery looked again.
func reopened(a, b *messages.Result) bool {
	return a.Status == messages.Failed && a.Reason == messages.ReasonSnapshotAmbiguous && b.Status == messages.Inconsistent
}

func verdicts(results []*messages.Result) (out string) {
	for i, x := range results {
		if i > 0 {
			out += ", "
		}
		out += fmt.Sprintf("%s/%s (attempt %s, event %s: %s)", x.Status, x.Reason, x.AttemptID, x.EventID, x.Message)
	}
	return out
}

// auditWorker: it ended only when it was asked to.
func (s *soak) auditWorker(r *Report) {
	s.keeper.mu.Lock()
	defer s.keeper.mu.Unlock()
	for _, d := range s.keeper.deaths {
		r.wrong("the worker ended and should not have: %s", d)
	}
	for _, word := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if n := s.keeper.logged(word); n > 0 {
			r.wrong("the worker's log says %q %d times", word, n)
		}
	}
	r.starts = s.keeper.starts
}

// auditStalls: writes are blocked no longer than max_hold and a second; where
// both were killed, a second after the thaw.
func (s *soak) auditStalls(r *Report) {
	stalls, writes, err := s.beat.read()
	r.writes = writes
	if err != nil {
		r.wrong("the writing client: %v", err)
	}
	s.keeper.mu.Lock()
	killed, thawed := slices.Clone(s.keeper.stalled), slices.Clone(s.keeper.thawed)
	s.keeper.mu.Unlock()
	for _, x := range stalls {
		r.stalls++
		if x.took() > r.longest.took() {
			r.longest = x
		}
		if x.tooLong(killed, thawed) {
			r.wrong("writes were blocked for %s, from %s on", x.took().Round(time.Millisecond), x.from.Format("15:04:05.000"))
		}
	}
}

// tooLong says whether a write was blocked for longer than is promised.
// killed are the times at which worker and guardian died together, thawed
// those at which the thaw after that had ended.
func (s stall) tooLong(killed, thawed []time.Time) bool {
	allowed := s.from.Add(maxHold + time.Second)
	for i, k := range killed {
		if i < len(thawed) && k.Before(s.to) && thawed[i].After(s.from) && thawed[i].Add(time.Second).After(allowed) {
			allowed = thawed[i].Add(time.Second)
		}
	}
	return s.to.After(allowed)
}
