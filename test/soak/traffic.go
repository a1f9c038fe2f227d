package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"stillpoint/messages"
	"stillpoint/messages/messagestest"
	"stillpoint/test/scene"
)

// ahead is how many messages may wait to be received.
const ahead = 3

// sender makes messages up and sends them.
type sender struct {
	*soak
	dice    *rand.Rand
	serial  int
	waiting []func(context.Context) error // what is to be sent later, such as a duplicate
	used    []string                      // request ids that were sent
	bad     []messagestest.Message
}

// upTo sends until there are n messages in the ledger.
func (s *sender) upTo(ctx context.Context, n int) error {
	for {
		if now, _, _ := s.ledger.count(); now >= n {
			return nil
		}
		if err := s.room(ctx); err != nil {
			return err
		}
		if err := s.one(ctx); err != nil {
			return err
		}
	}
}

// room waits until the worker has caught up.
func (s *sender) room(ctx context.Context) error {
	for {
		visible, _, err := s.Depth(ctx, s.QueueURL)
		if err != nil {
			return err
		}
		if n, _ := strconv.Atoi(visible); n < ahead {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the worker does not keep up: %w", context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// one sends a message, or two that belong together.
func (s *sender) one(ctx context.Context) error {
	if len(s.waiting) > 0 && s.dice.IntN(4) == 0 {
		next := s.waiting[0]
		s.waiting = s.waiting[1:]
		return next(ctx)
	}
	s.serial++
	id := fmt.Sprintf("soak/%05d", s.serial)
	now := time.Now().UTC()
	twice := func(kind, body string) error { // at once, or some messages later
		if err := s.put(ctx, kind, toRun, body); err != nil {
			return err
		}
		again := func(ctx context.Context) error { return s.put(ctx, kind+", again", toRun, body) }
		if s.dice.IntN(2) == 0 {
			return again(ctx)
		}
		s.waiting = append(s.waiting, again)
		return nil
	}
	switch p := s.dice.IntN(100); {
	case p < 42:
		s.used = append(s.used, id)
		return s.put(ctx, "request id", toRun, fmt.Sprintf(`{"requestId":%q,"tags":{"ticket":"T-%d"}}`, id, s.serial))
	case p < 50:
		return s.put(ctx, "no id", toRun, `{"plan":"nightly"}`)
	case p < 56:
		return twice("EventBridge tick", scene.Event(fmt.Sprintf("e-%d", s.serial), fmt.Sprintf("every-night-%d", s.serial), now.Truncate(time.Minute).Format(time.RFC3339)))
	case p < 60:
		return twice("SNS notification", scene.Notification(fmt.Sprintf("n-%d", s.serial), `{"plan":"nightly"}`, now.Format(time.RFC3339)))
	case p < 68:
		s.used = append(s.used, id)
		return twice("the same id", fmt.Sprintf(`{"requestId":%q}`, id))
	case p < 71: // two requests, since nothing names them
		if err := s.put(ctx, "the same body, no id", toRun, `{}`); err != nil {
			return err
		}
		return s.put(ctx, "the same body, no id", toRun, `{}`)
	case p < 74:
		return s.conflict(ctx)
	case p < 89:
		return s.hostile(ctx)
	case p < 96:
		return s.put(ctx, "dry run", toCheck, fmt.Sprintf(`{"requestId":%q,"dryRun":true}`, id+"/dry"))
	default:
		return s.put(ctx, "stale", toRun, fmt.Sprintf(`{"requestId":%q,"scheduledTime":%q}`, id+"/stale", now.Add(-3*time.Hour).Format(time.RFC3339)))
	}
}

// conflict sends an id that is used up with another plan.
func (s *sender) conflict(ctx context.Context) error {
	for range 20 {
		if len(s.used) == 0 {
			break
		}
		id := s.used[s.dice.IntN(len(s.used))]
		if s.ledger.final(id) != nil {
			return s.put(ctx, "conflict", toReject, fmt.Sprintf(`{"requestId":%q,"plan":"weekly"}`, id))
		}
	}
	return nil
}

// hostile sends a broken or forbidden message. Each of the table comes once before any comes again.
func (s *sender) hostile(ctx context.Context) error {
	for {
		if len(s.bad) == 0 {
			s.bad = append(messagestest.Hostile(), messagestest.RefusedByWorker()...)
			s.dice.Shuffle(len(s.bad), func(i, j int) { s.bad[i], s.bad[j] = s.bad[j], s.bad[i] })
		}
		m := s.bad[0]
		s.bad = s.bad[1:]
		if m.Sendable() {
			return s.put(ctx, "bad", toReject, m.Body)
		}
	}
}

// put sends a message and enters it.
func (s *soak) put(ctx context.Context, kind string, expects expectation, body string) error {
	at := time.Now()
	id, err := s.Send(ctx, body)
	if err != nil {
		return err
	}
	m := sent{kind: kind, expects: expects, messageID: id, body: body, at: at}
	// Who it is, by the same rules as in the worker; an error is what some are sent for.
	d, _ := messages.Decode([]byte(body), messages.Meta{MessageID: id, SentAt: at})
	m.requestID = d.Request.RequestID
	if expects == toReject {
		r := messages.Identity{InstanceID: s.InstanceID, Region: "eu-west-1"}.Result(d, at)
		r.Status = messages.Rejected
		r.Seal(id, at)
		m.eventID = r.EventID
	}
	s.ledger.send(m)
	return nil
}
