package model

import (
	"slices"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// final says whether a result is the last word on its request id.
func final(r *messages.Result) bool {
	return !r.DryRun && r.Status != messages.Rejected && r.Status != messages.Skipped
}

// reopens: the one final result that another one may follow.
func reopens(r *messages.Result) bool {
	return r.Status == messages.Failed && r.Reason == messages.ReasonSnapshotAmbiguous
}

// finished notes that a request is done, durably or before all the world. mu is held.
func (w *world) finished(r *messages.Result) {
	if final(r) {
		w.final[r.RequestID] = r.EventID
	}
}

// forgotten says that a result was the word of a process that could not write
// it down, on a full disk, and is no more: it is not held against what comes
// after it. What was asked of EC2 is. mu is held.
func (w *world) forgotten(r *messages.Result) bool {
	p := w.unwritten[r.EventID]
	return p != nil && p.isDead
}

// done is the event that a request is finished with; "": it is not. mu is held.
func (w *world) done(request string) string {
	event := w.final[request]
	for _, r := range w.topic {
		if r.EventID == event && w.forgotten(r) {
			return ""
		}
	}
	return event
}

// heard checks a result that reaches SNS against all before it. mu is held.
func (w *world) heard(p *process, r *messages.Result) {
	c, gone := *r, w.forgotten(r) // an earlier word of the same event
	if final(r) && !w.written[r.EventID] {
		w.unwritten[r.EventID] = p
	}
	for _, before := range w.topic {
		switch {
		case before.EventID == r.EventID:
			// What uses up no id is looked at anew when SQS brings it back after
			// its deletion, and may come out with another reason.
			switch {
			case !final(r) || same(before, r):
			case gone:
				*before = c // it is this word from now on
				w.counts.add("a result that could not be written down was forgotten", 1)
			default:
				w.breach("event %s of %s says two things: %s %s with %d snapshots, and now %s %s with %d",
					r.EventID, r.RequestID, before.Status, before.Reason, len(before.Snapshots), r.Status, r.Reason, len(r.Snapshots))
			}
			w.topic = append(w.topic, &c)
			return
		case before.RequestID != r.RequestID || r.RequestID == "":
		case !final(r) && final(before) && r.Status == messages.Skipped && !r.DryRun:
			w.breach("%s was finished and is now %s %s", r.RequestID, r.Status, r.Reason)
		case !final(r) || !final(before):
		case reopens(before) && r.Status == messages.Inconsistent:
		case w.forgotten(before):
			w.counts.add("a result that could not be written down was forgotten", 1)
		default:
			w.breach("%s has two final results: %s %s (%s) and now %s %s (%s)",
				r.RequestID, before.Status, before.Reason, before.EventID, r.Status, r.Reason, r.EventID)
		}
	}
	w.topic = append(w.topic, &c)
	w.finished(r)
	w.counts.add("result "+string(r.Status)+" "+string(r.Reason), 1)
	if r.DryRun {
		if len(r.Snapshots) > 0 {
			w.breach("a dry run of %s has snapshots", r.RequestID)
		}
		return
	}
	w.provable(r)
}

func same(a, b *messages.Result) bool {
	ids := func(r *messages.Result) (out []string) {
		for _, s := range r.Snapshots {
			out = append(out, s.SnapshotID)
		}
		slices.Sort(out)
		return out
	}
	return a.RequestID == b.RequestID && a.AttemptID == b.AttemptID && a.Status == b.Status && a.Reason == b.Reason &&
		a.Consistency == b.Consistency && slices.Equal(ids(a), ids(b))
}

// provable checks what a result says of snapshots against what EC2 knows. mu is held.
func (w *world) provable(r *messages.Result) {
	for _, s := range r.Snapshots {
		i := slices.IndexFunc(w.made, func(m *made) bool { return m.SnapshotID == s.SnapshotID })
		if i < 0 || w.made[i].attempt != r.AttemptID {
			w.breach("the result of %s, attempt %s, names %s, which is not of that attempt", r.RequestID, r.AttemptID, s.SnapshotID)
		}
	}
	if r.Status != messages.Succeeded {
		return
	}
	held := false
	for _, c := range w.calls {
		held = held || c.attempt == r.AttemptID && c.took && c.held
	}
	if !held || len(r.Snapshots) != 2 {
		w.breach("%s is called succeeded (attempt %s, %d snapshots), and was not held", r.RequestID, r.AttemptID, len(r.Snapshots))
	}
}

// idle says what is still to be done; "" where nothing is.
func (w *world) idle(l *life) string {
	waiting, err := l.journal.Outbox()
	owed, err2 := l.journal.Owed()
	open, err3 := l.journal.Unfinished() // the look-ups for several take minutes each, one after the other
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil || err2 != nil || err3 != nil:
		return "the journal cannot be read"
	case len(waiting) > 0:
		return "results wait in the outbox"
	case len(owed) > 0:
		return "tags are owed"
	case len(open) > 0:
		return "a request was begun and has no result"
	case w.turn != nil:
		return "a request runs"
	}
	for _, m := range w.queue {
		if !m.deleted && !m.redriven {
			return "a message is on the queue"
		}
	}
	return ""
}

// settled checks the world when all is done that will be. mu is held.
func (w *world) settled(seenAgain bool) {
	for _, m := range w.queue {
		switch i := slices.IndexFunc(w.dead, func(d deadLetter) bool { return d.message == m.ID }); {
		case m.redriven:
		case m.rejected && (i < 0 || w.dead[i].reason == "" || w.dead[i].text == ""):
			w.breach("%s is no request and is not in the dead-letter queue with a reason", m.ID)
		case m.request != "" && !w.published(m.request):
			w.breach("%s is gone, and nothing of %s was ever published", m.ID, m.request)
		}
	}
	bad, said := 0, map[string]bool{}
	for _, m := range w.queue {
		if m.rejected && !m.redriven {
			bad++
		}
	}
	for _, r := range w.topic {
		if r.Reason == messages.ReasonInvalidRequest {
			said[r.EventID] = true
		}
	}
	if len(said) < bad {
		w.breach("%d messages were no requests, and SNS has heard of %d", bad, len(said))
	}
	for id, attempt := range w.begun {
		if last := w.last(id); last == nil {
			w.breach("attempt %s of %s was begun, and nothing of it was ever published", attempt, id)
		}
	}
	attempts := map[string]map[string]bool{}
	for _, c := range w.calls {
		if attempts[c.request] == nil {
			attempts[c.request] = map[string]bool{}
		}
		attempts[c.request][c.attempt] = true
		if len(attempts[c.request]) > snapshot.MaxAttempts {
			w.breach("%s has more than %d attempts", c.request, snapshot.MaxAttempts)
		}
	}
	sets := map[string]string{} // request to attempt
	for _, s := range w.made {
		request, status := s.Tags[snapshot.TagRequestID], s.Tags[snapshot.TagStatus]
		if other := sets[request]; other != "" && other != s.attempt {
			w.breach("%s has two sets, of attempts %s and %s", request, other, s.attempt)
		}
		sets[request] = s.attempt
		switch last := w.last(request); {
		case last == nil:
			w.breach("EC2 holds %s of %s, which has no final result", s.SnapshotID, request)
		case last.Status == messages.Failed && !reopens(last):
			w.breach("EC2 holds %s of %s, whose result is failed %s", s.SnapshotID, request, last.Reason)
		case last.Status == messages.Failed && seenAgain:
			w.breach("EC2 shows %s of %s, and a redelivery that looked again did not find it", s.SnapshotID, request)
		case last.Status == messages.Failed && status == string(messages.Inconsistent): // found, and killed before that was durable
		case last.Status == messages.Failed && status != snapshot.Unverified:
			w.breach("%s of %s is tagged %s and the result is %s", s.SnapshotID, request, status, last.Status)
		case last.Status != messages.Failed && status != string(last.Status):
			w.breach("%s of %s is tagged %s and the result is %s", s.SnapshotID, request, status, last.Status)
		}
	}
}

// last is the newest of the final results of a request that SNS has; nil: none. mu is held.
func (w *world) last(request string) *messages.Result {
	var last *messages.Result
	for _, r := range w.topic {
		if r.RequestID == request && final(r) && (last == nil || reopens(last) || w.forgotten(last)) {
			last = r
		}
	}
	return last
}
