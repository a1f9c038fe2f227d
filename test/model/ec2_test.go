package model

import (
	"context"
	"fmt"
	"maps"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// made is one snapshot that EC2 has.
type made struct {
	snapshot.Existing
	attempt string
	shown   time.Time // from then on describe calls show it
	held    bool      // everything was locked and frozen when it was made
}

// createCall is one call that reached EC2, or may have.
type createCall struct {
	request, attempt string
	nothing          bool // it was refused: nothing was or will be made
	took             bool // something was
	held             bool // from the effect to the answer
}

// start makes the set; with mu held. p is nil, or dead, where nobody holds anything any more.
func (w *world) start(call int, set snapshot.CreateSet, p *process, lag time.Duration) []messages.Snapshot {
	c := &w.calls[call]
	c.took = true
	c.held = p.held.all()
	var out []messages.Snapshot
	for _, v := range set.Volumes {
		s := messages.Snapshot{SnapshotID: fmt.Sprintf("snap-%03d", len(w.made)+1), VolumeID: v.ID, SizeGiB: 8, StartTime: time.Now().UTC(), State: "pending"}
		out = append(out, s)
		w.made = append(w.made, &made{
			Existing: snapshot.Existing{Snapshot: s, Tags: maps.Clone(set.Tags)},
			attempt:  c.attempt, shown: time.Now().Add(lag), held: c.held,
		})
	}
	w.note("EC2 made the set of %s, attempt %s, held: %v, shown after %s", c.request, c.attempt, c.held, lag)
	w.counts.add("sets made", 1)
	return out
}

// create is EC2's CreateSnapshots.
func (p *process) create(ctx context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error) {
	f := &fault{how: "ok"}
	var at int
	p.effect(func() {
		if g := p.take("EBS.Create"); g != nil {
			f = g
		}
		p.called(set, f.how == "refused" || f.how == "quota")
		at = len(p.calls) - 1
	})
	lag := time.Duration(0)
	switch f.how {
	case "quota":
		return nil, &snapshot.QuotaError{Code: "ConcurrentSnapshotLimitExceeded", Err: errFault}
	case "refused":
		return nil, &snapshot.SnapshotRefusedError{Code: "UnauthorizedOperation", Err: errFault}
	case "nothing":
		return nil, &snapshot.AmbiguousError{Err: errFault}
	case "late", "late and killed": // the set appears after the call has failed
		time.AfterFunc(f.d, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.start(at, set, p, 0)
			p.counts.add("sets made late", 1)
		})
		if f.how == "late and killed" {
			p.effect(func() { p.kill("EBS.Create in flight", sigkill) })
		}
		return nil, &snapshot.AmbiguousError{Err: errFault}
	case "unlocked", "thawed": // by somebody else, just before
		p.effect(func() { p.lose(f.how) })
	case "lags", "lost":
		lag = f.d
	}
	var out []messages.Snapshot
	p.effect(func() { out = p.start(at, set, p, lag) })
	p.step("EBS.Create after")
	switch f.how {
	case "unlocked after", "thawed after":
		p.effect(func() { p.lose(f.how) })
	case "hangs":
		select {
		case <-ctx.Done():
		case <-p.gone:
		}
		p.effect(func() {})
		return nil, &snapshot.AmbiguousError{Err: ctx.Err()}
	case "lost":
		return nil, &snapshot.AmbiguousError{Err: errFault}
	case "empty":
		return nil, nil
	}
	p.effect(func() { p.calls[at].held = p.calls[at].held && p.held.all() })
	return out, nil
}

// called checks each call against those before it; with mu held.
func (p *process) called(set snapshot.CreateSet, nothing bool) {
	c := createCall{request: set.Tags[snapshot.TagRequestID], attempt: set.Tags[snapshot.TagAttemptID], nothing: nothing}
	p.note("EC2 is asked for the set of %s, attempt %s", c.request, c.attempt)
	if !p.held.all() {
		p.breach("the create call of %s is sent while not everything is held: %+v", c.request, p.held)
	}
	if event := p.done(c.request); event != "" {
		p.breach("%s is finished with %s and EC2 is asked again", c.request, event)
	}
	for _, before := range p.calls {
		if before.request == c.request && !before.nothing {
			p.breach("EC2 is asked again for %s, although attempt %s may have made a set", c.request, before.attempt)
		}
	}
	p.calls = append(p.calls, c)
}

func (p *process) lose(how string) {
	p.held.broken = true
	if how == "unlocked" || how == "unlocked after" {
		p.held.locked = false
	} else {
		p.held.frozen = false
	}
	p.note("%s by somebody else", how)
}

func (p *process) existing(ctx context.Context, request string) ([]snapshot.Existing, error) {
	var found []snapshot.Existing
	err := p.ask(ctx, "EBS.Find", "EC2 (DescribeSnapshots)", func() {
		for _, s := range p.made {
			if s.Tags[snapshot.TagRequestID] == request && !s.shown.After(time.Now()) {
				found = append(found, snapshot.Existing{Snapshot: s.Snapshot, Tags: maps.Clone(s.Tags)})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// ask is a call that changes nothing; it fails or hangs.
func (p *process) ask(ctx context.Context, name, what string, answer func()) error {
	f := p.taken(name)
	switch {
	case f == nil:
		p.effect(answer)
		if ctx.Err() != nil {
			return away(what, ctx.Err())
		}
		return nil
	case f.how == "hangs":
		t := time.NewTimer(30 * time.Second) // as the SDK's own bounds would have it
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-p.gone:
		}
		p.effect(func() {})
	}
	return away(what, errFault)
}

// tag is EC2's CreateTags, for the pipeline and for the outbox.
func (p *process) tag(ctx context.Context, name, id string, tags map[string]string) error {
	err := p.call(ctx, name, func() {
		for _, s := range p.made {
			if s.SnapshotID == id {
				maps.Copy(s.Tags, tags)
				p.note("tagged %s %s", id, tags[snapshot.TagStatus])
			}
		}
	})
	if err != nil {
		return away("EC2 (CreateTags)", err)
	}
	return nil
}

// tagger implements worker.Tagger for the outbox.
type tagger struct{ *process }

func (t tagger) Tag(ctx context.Context, id string, tags map[string]string) error {
	return t.tag(ctx, "outbox: EBS.Tag", id, tags)
}
