package events

import (
	"context"
	"strconv"
	"time"

	"stillpoint/localstack/internal/sqs"
	"stillpoint/localstack/internal/target"
	"stillpoint/localstack/internal/wire"
)

// arm sets the timer for the rule's first time after the given one, and stops the one that was set. The lock is held.
func (s *Service) arm(r *rule, after time.Time) {
	r.disarm()
	if r.expression == "" || !r.on() {
		return
	}
	due, ok := r.schedule.Next(after)
	if !ok {
		return
	}
	turn := r.turn
	r.due = due
	r.timer = s.Clock.AfterFunc(due.Sub(s.Clock.Now()), func() { s.tick(r, turn) })
}

// disarm stops the timer. The lock is held.
func (r *rule) disarm() {
	r.turn++
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}

// tick fires a rule whose time has come, after it set the timer for the next, so that none is left out however fast the clock
// is moved.
func (s *Service) tick(r *rule, turn int) {
	s.mu.Lock()
	if r.turn != turn {
		s.mu.Unlock()
		return
	}
	due := r.due
	s.arm(r, due)
	now := *r
	s.mu.Unlock()
	s.fire(&now, s.Clock.Now(), stamp(due), func() event { return s.scheduled(now.arn, due) })
}

func (s *Service) caller(r *rule) wire.Caller {
	return wire.Caller{Principal: principal, Account: s.Account, Region: s.Region, Source: r.arn}
}

// fire gives an event to all targets of a rule. It goes through the log of calls as "events:Invoke". A fault can make that fail,
// and then the rule fires again a second later, and so on; or lose its answer or want target.Twice of it, and then it fires twice
// for the same event, or for the same scheduled time with another event id: "In rare cases, a single rule can be run more than once for a single event or
// scheduled time", https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-troubleshooting.html. R is a copy.
func (s *Service) fire(r *rule, since time.Time, eventTime string, make func() event) {
	s.Retry(target.Limits{Retries: target.DefaultRetries, Age: target.DefaultAge}, since, func(n int) *wire.Error {
		e := make()
		params := map[string]string{"Rule": r.name, "EventId": e.ID, "EventTime": eventTime, "Attempt": strconv.Itoa(n)}
		_, apiErr := s.Invoke(s.Life, s.caller(r), wire.Operation{
			Name: "events:Invoke", Params: params, Fail: fail,
			Do: func(_ context.Context, c *wire.Call) (wire.Reply, *wire.Error) {
				c.About(r.arn)
				for i := range r.targets {
					c.About(r.targets[i].Arn)
				}
				for i := range r.targets {
					s.deliver(r, &r.targets[i], e, since)
				}
				if c.Wrong == target.Twice {
					again := make()
					for i := range r.targets {
						s.deliver(r, &r.targets[i], again, since)
					}
				}
				return wire.JSON("1.1", none{})
			},
		})
		return apiErr
	}, func(o target.Outcome) {
		if o.Err != nil {
			s.Log.Warn().Str("rule", r.arn).Str("event_time", eventTime).Str("error", o.Err.Code).Msg("rule did not fire")
		}
	})
}

// deliver gives an event to one target, as often as its retry policy says, and then to its dead-letter queue.
func (s *Service) deliver(r *rule, t *ruleTarget, e event, since time.Time) {
	text, apiErr := t.input(e, r, stamp(since))
	if apiErr != nil {
		s.bury(r, t, e, target.Outcome{Err: apiErr})
		return
	}
	s.Retry(t.RetryPolicy.Limits(), since, func(int) *wire.Error {
		_, apiErr := s.Invoke(s.Life, s.caller(r), s.Call(t.Arn, text))
		return apiErr
	}, func(o target.Outcome) {
		if o.Err != nil {
			s.bury(r, t, e, o)
		}
	})
}

// bury puts an event that could not be delivered into the target's dead-letter queue, as it is and not as the target would have
// got it, with attributes: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html. That it is the event itself
// is how we read "send all failed events to it". Without a queue it is lost.
func (s *Service) bury(r *rule, t *ruleTarget, e event, o target.Outcome) {
	warn := s.Log.Warn().Str("rule", r.arn).Str("target", t.Arn).Str("event_id", e.ID).
		Str("error", o.Err.Code).Str("reason", o.Err.Message).Int("retries", o.Retries)
	if t.DeadLetterConfig == nil || t.DeadLetterConfig.Arn == "" {
		warn.Msg("event lost: it cannot be delivered, and its target has no dead-letter queue")
		return
	}
	attributes := map[string]sqs.Attribute{
		"RULE_ARN": target.Text(r.arn), "TARGET_ARN": target.Text(t.Arn), "ERROR_CODE": target.Text(errorCode(o.Err)),
		"ERROR_MESSAGE": target.Text(o.Err.Message), "RETRY_ATTEMPTS": target.Text(strconv.Itoa(o.Retries)),
	}
	if o.Exhausted != "" {
		attributes["EXHAUSTED_RETRY_CONDITION"] = target.Text(o.Exhausted)
	}
	if apiErr := s.Bury(s.caller(r), t.DeadLetterConfig.Arn, sqs.Message{Body: string(e.text()), Attributes: attributes}); apiErr != nil {
		warn.Str("dead_letter_queue", t.DeadLetterConfig.Arn).Str("dead_letter_error", apiErr.Code).
			Msg("event lost: it cannot be put into its target's dead-letter queue")
	}
}

// errorCode is the ERROR_CODE of a dead letter. The document lists the codes, not when each of them is used; which goes with
// which is a guess, but for NO_PERMISSIONS and NO_RESOURCE, which speak for themselves.
func errorCode(e *wire.Error) string {
	switch {
	case e.Code == "InvalidJson":
		return "INVALID_JSON"
	case target.Lost(e):
		return "TIMEOUT"
	case target.Throttled(e):
		return "THROTTLING"
	case target.Missing(e):
		return "NO_RESOURCE"
	case target.Denied(e):
		return "NO_PERMISSIONS"
	case e.Receiver():
		return "ERROR_FROM_TARGET"
	case e.Code == "InvalidParameterValue", e.Code == "InvalidParameter", e.Code == "InvalidMessageContents":
		return "INVALID_PARAMETER"
	default:
		return "SDK_CLIENT_ERROR"
	}
}
