package scheduler

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"stillpoint/localstack/internal/sqs"
	"stillpoint/localstack/internal/target"
	"stillpoint/localstack/internal/wire"
)

// stamp writes a time as context attributes have it: whole seconds, in UTC.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// arm sets the timer for the schedule's first time after the given one. The lock is held.
func (s *Service) arm(sc *schedule, after time.Time) {
	sc.disarm()
	if sc.given.State == disabled {
		return
	}
	due, ok := sc.times.Next(after)
	if !ok {
		return
	}
	now := s.Clock.Now()
	if !due.After(now) {
		// It is due at the moment at which it is made. Its next time is set before it runs, so that a clock that is moved
		// right after this call leaves none out.
		s.run(sc, due)
		s.arm(sc, due)
		return
	}
	turn := sc.turn
	sc.due = due
	sc.timer = s.Clock.AfterFunc(due.Sub(now), func() { s.tick(sc, turn) })
}

// disarm stops the timer. The lock is held.
func (sc *schedule) disarm() {
	sc.turn++
	if sc.timer != nil {
		sc.timer.Stop()
		sc.timer = nil
	}
}

// tick runs a schedule whose time has come, or, in a flexible time window, will come.
func (s *Service) tick(sc *schedule, turn int) {
	s.mu.Lock()
	if sc.turn != turn {
		s.mu.Unlock()
		return
	}
	due := sc.due
	later := s.picked(sc, due).After(due)
	if later {
		s.run(sc, due)
	} else {
		sc.runs++
	}
	s.arm(sc, due)
	last := s.last(sc, due)
	s.mu.Unlock()
	if !later {
		s.invoke(sc, due, last)
	}
}

// run sets up the invocation that is due at the given time, for a moment in the flexible time window. The lock is held.
func (s *Service) run(sc *schedule, due time.Time) {
	at := s.picked(sc, due)
	sc.runs++
	last := s.last(sc, due)
	s.Clock.AfterFunc(at.Sub(s.Clock.Now()), func() {
		s.mu.Lock()
		g := s.groups[sc.group]
		gone := g == nil || g.schedules[sc.name] != sc
		s.mu.Unlock()
		if !gone {
			s.invoke(sc, due, last)
		}
	})
}

// picked is when within the flexible time window the next run comes. It hangs on the seed, the schedule and the number of the
// run, so that it is the same whenever a test is run.
func (s *Service) picked(sc *schedule, due time.Time) time.Time {
	h := fnv.New64a()
	var n [16]byte
	binary.LittleEndian.PutUint64(n[:8], s.seed())
	binary.LittleEndian.PutUint64(n[8:], uint64(sc.runs))
	_, _ = h.Write(n[:]) // a hash takes anything
	_, _ = h.Write([]byte(sc.arn))
	x := h.Sum64()
	x ^= x >> 33 // FNV alone leaves neighbours close together in the upper bits
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return sc.window.Pick(due, float64(x)/math.MaxUint64)
}

// last tells whether no run comes after the one at the given time, so that ActionAfterCompletion applies. "If you configure a schedule
// with automatic deletion but do not specify a value for EndDate, EventBridge Scheduler does not automatically delete the
// schedule", which is meant of those that recur:
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-delete.html
func (s *Service) last(sc *schedule, due time.Time) bool {
	if sc.times.OneTime() {
		return true
	}
	_, more := sc.times.Next(due)
	return !more && !sc.times.End.IsZero()
}

// invoke sends to the target, or to the target twice if a fault says so, as often as the retry policy says, and then to the dead-letter queue. After the last of all
// invocations the schedule may have to go; here it goes when that has been delivered or given up.
func (s *Service) invoke(sc *schedule, due time.Time, last bool) {
	t := sc.given.Target
	firing := uuid.NewString()
	var execution, text string
	s.Retry(t.RetryPolicy.Limits(), s.Clock.Now(), func(n int) *wire.Error {
		execution = executionID()
		text = s.input(sc, due, firing, execution, n)
		params := map[string]string{
			"ScheduleArn": sc.arn, "ScheduledTime": stamp(due), "ExecutionId": execution, "Attempt": strconv.Itoa(n),
		}
		_, apiErr := s.Invoke(s.Life, wire.Caller{Principal: principal, Account: s.Account, Region: s.Region, Source: sc.arn}, wire.Operation{
			Name: "scheduler:Invoke", Params: params, Fail: fail,
			Do: func(ctx context.Context, c *wire.Call) (wire.Reply, *wire.Error) {
				c.About(sc.arn, t.Arn)
				reply, apiErr := s.Invoke(ctx, s.role(sc), s.Call(t.Arn, text))
				if c.Wrong == target.Twice {
					reply, apiErr = s.Invoke(ctx, s.role(sc), s.Call(t.Arn, text))
				}
				return reply, apiErr
			},
		})
		return apiErr
	}, func(o target.Outcome) {
		if o.Err != nil {
			s.bury(sc, due, execution, text, o)
		}
		if last && sc.given.ActionAfterCompletion == deleteAfter {
			s.forget(sc)
		}
	})
}

// forget deletes a schedule that is done, unless it was changed or deleted meanwhile.
func (s *Service) forget(sc *schedule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.groups[sc.group]; g != nil && g.schedules[sc.name] == sc {
		sc.disarm()
		delete(g.schedules, sc.name)
	}
}

// role is who sends: a session of the schedule's role. The name of the session is not documented; here it stays the same for a
// schedule.
func (s *Service) role(sc *schedule) wire.Caller {
	h := fnv.New64a()
	_, _ = h.Write([]byte(sc.arn)) // a hash takes anything
	name := ""
	if m := roleARN.FindStringSubmatch(sc.given.Target.RoleArn); m != nil {
		name = m[2]
	}
	return wire.Caller{
		Principal: "arn:aws:sts::" + s.Account + ":assumed-role/" + name + "/" + hex.EncodeToString(h.Sum(nil)),
		Account:   s.Account, Region: s.Region, Source: sc.arn,
	}
}

// executionID is one like d32c5kddcf5bb8c3, the example of the documents: sixteen characters, new for each attempt.
func executionID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// input is what the target gets: the schedule's Input with its context attributes replaced,
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html, or a notification.
func (s *Service) input(sc *schedule, due time.Time, firing, execution string, n int) string {
	if in := sc.given.Target.Input; in != nil {
		return strings.NewReplacer(
			"<aws.scheduler.schedule-arn>", sc.arn,
			"<aws.scheduler.scheduled-time>", stamp(due),
			"<aws.scheduler.execution-id>", execution,
			"<aws.scheduler.attempt-number>", strconv.Itoa(n),
		).Replace(*in)
	}
	text, err := json.Marshal(notification{
		Version: "0", ID: firing, DetailType: "Scheduled Event", Source: "aws.scheduler", Account: s.Account, Time: stamp(due),
		Region: s.Region, Resources: []string{sc.arn}, Detail: "{}",
	})
	if err != nil { // it is made of strings alone
		return "{}"
	}
	return string(text)
}

// notification is what a target gets of a schedule without Input, "a default notification". The documents do not show it. It looks
// like the event of a rule, but for its detail, which is a string: https://github.com/cloud-custodian/cloud-custodian/pull/9566
type notification struct {
	Version    string   `json:"version"`
	ID         string   `json:"id"`
	DetailType string   `json:"detail-type"`
	Source     string   `json:"source"`
	Account    string   `json:"account"`
	Time       string   `json:"time"`
	Region     string   `json:"region"`
	Resources  []string `json:"resources"`
	Detail     string   `json:"detail"`
}

// bury puts what could not be delivered into the dead-letter queue, as the role: what the last attempt sent, and why it failed.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html shows such a message of a universal target,
// whose body is its Input; that it is the same here is a guess. ERROR_CODE is the code that the target answered with.
func (s *Service) bury(sc *schedule, due time.Time, execution, text string, o target.Outcome) {
	t := sc.given.Target
	warn := s.Log.Warn().Str("schedule", sc.arn).Str("target", t.Arn).Str("scheduled_time", stamp(due)).
		Str("error", o.Err.Code).Str("reason", o.Err.Message).Int("retries", o.Retries)
	if t.DeadLetterConfig == nil || t.DeadLetterConfig.Arn == "" {
		warn.Msg("invocation lost: it cannot be delivered, and its schedule has no dead-letter queue")
		return
	}
	attributes := map[string]sqs.Attribute{
		"SCHEDULE_ARN": target.Text(sc.arn), "TARGET_ARN": target.Text(t.Arn), "SCHEDULED_TIME": target.Text(stamp(due)),
		"EXECUTION_ID": target.Text(execution), "RETRY_ATTEMPTS": target.Text(strconv.Itoa(o.Retries)),
		"ERROR_CODE": target.Text(o.Err.Code), "ERROR_MESSAGE": target.Text(o.Err.Message), "IS_PAYLOAD_TRUNCATED": target.Text("false"),
	}
	if o.Exhausted != "" {
		attributes["EXHAUSTED_RETRY_CONDITION"] = target.Text(o.Exhausted)
	}
	if apiErr := s.Bury(s.role(sc), t.DeadLetterConfig.Arn, sqs.Message{Body: text, Attributes: attributes}); apiErr != nil {
		warn.Str("dead_letter_queue", t.DeadLetterConfig.Arn).Str("dead_letter_error", apiErr.Code).
			Msg("invocation lost: it cannot be put into its schedule's dead-letter queue")
	}
}
