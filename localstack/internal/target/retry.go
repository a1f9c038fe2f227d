package target

import (
	"net/http"
	"strings"
	"time"

	"stillpoint/localstack/internal/constraint"
	"stillpoint/localstack/internal/wire"
)

// What both services do without a RetryPolicy: "EventBridge retries sending the event for 24 hours and up to 185 times",
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-event-delivery.html, and what GetSchedule shows of a schedule
// that was made without one.
const (
	DefaultRetries = 185
	DefaultAge     = 24 * time.Hour
)

// Why tries came to an end, as EXHAUSTED_RETRY_CONDITION has it.
const (
	ByRetries = "MaximumRetryAttempts"
	ByAge     = "MaximumEventAgeInSeconds"
)

// RetryPolicy is that of both APIs. A member that is nil has its default.
type RetryPolicy struct {
	MaximumEventAgeInSeconds *int `json:",omitzero"`
	MaximumRetryAttempts     *int `json:",omitzero"`
}

// Check holds the policy to its ranges. Member is its name in the request: "targets.1.member.retryPolicy".
func (p *RetryPolicy) Check(c *constraint.Checks, member string) {
	if p != nil {
		c.Number(member+".maximumEventAgeInSeconds", p.MaximumEventAgeInSeconds, 60, 86_400)
		c.Number(member+".maximumRetryAttempts", p.MaximumRetryAttempts, 0, 185)
	}
}

// Limits are how often and how long to try. P may be nil.
func (p *RetryPolicy) Limits() Limits {
	l := Limits{Retries: DefaultRetries, Age: DefaultAge}
	if p != nil && p.MaximumRetryAttempts != nil {
		l.Retries = *p.MaximumRetryAttempts
	}
	if p != nil && p.MaximumEventAgeInSeconds != nil {
		l.Age = time.Duration(*p.MaximumEventAgeInSeconds) * time.Second
	}
	return l
}

// Limits are how often to try again, and how old an event may get. Zero retries is a single try.
type Limits struct {
	Retries int
	Age     time.Duration
}

// Outcome is how tries ended.
type Outcome struct {
	Err       *wire.Error // of the last one; nil: it worked
	Retries   int         // after the first
	Exhausted string      // ByRetries, ByAge, or empty for an error that no retry would help
}

// Retry tries now, and then by the clock until a try works, its error is final, or the limits are reached, whichever is first.
// The age counts from since, and tries are numbered from 1. Then it calls end, in the goroutine of the last try. It returns when
// the first try is over.
//
// A try whose answer was lost has worked all the same, so what is delivered may arrive twice: at least once is what both
// services promise.
func (t *Targets) Retry(l Limits, since time.Time, try func(n int) *wire.Error, end func(Outcome)) {
	t.retry(l, since.Add(l.Age), 1, try, end)
}

func (t *Targets) retry(l Limits, deadline time.Time, n int, try func(n int) *wire.Error, end func(Outcome)) {
	apiErr := try(n)
	switch {
	case apiErr == nil || !Retriable(apiErr):
		end(Outcome{Err: apiErr, Retries: n - 1})
		return
	case n > l.Retries:
		end(Outcome{Err: apiErr, Retries: n - 1, Exhausted: ByRetries})
		return
	}
	now := t.Clock.Now()
	t.Clock.AfterFunc(min(pause(n), deadline.Sub(now)), func() {
		if !t.Clock.Now().Before(deadline) {
			end(Outcome{Err: apiErr, Retries: n - 1, Exhausted: ByAge})
			return
		}
		t.retry(l, deadline, n+1, try, end)
	})
}

// longest is the longest pause. With it 185 retries take 23 hours and 37 minutes, so that both documented limits make sense.
const longest = 480 * time.Second

// pause is how long to wait after the n-th try: 1 s, 2 s, 4 s and so on. AWS says "exponential back off and jitter" without
// figures, so these are a guess; without jitter, so that tests know when to look.
func pause(n int) time.Duration {
	if n > 9 {
		return longest
	}
	return min(time.Second<<(n-1), longest)
}

// throttled are the codes of calls that came too fast. Their status is not always 429.
var throttled = map[string]bool{
	"ThrottlingException": true, "Throttling": true, "ThrottledException": true, "RequestThrottled": true,
	"RequestThrottledException": true, "TooManyRequestsException": true, "RequestLimitExceeded": true, "SlowDown": true,
}

// Throttled tells whether the target was asked too fast.
func Throttled(e *wire.Error) bool {
	return throttled[e.Code] || e.HTTPStatus() == http.StatusTooManyRequests
}

// Lost tells whether there was no answer: the target may have got it or not.
func Lost(e *wire.Error) bool { return e.Code == "Dropped" }

// Missing tells whether there is no such target.
func Missing(e *wire.Error) bool {
	return e.HTTPStatus() == http.StatusNotFound || strings.Contains(e.Code, "NonExistentQueue") || strings.Contains(e.Code, "DoesNotExist")
}

// Denied tells whether the target's policy, or that of the role, does not allow it.
func Denied(e *wire.Error) bool {
	return e.HTTPStatus() == http.StatusForbidden || e.HTTPStatus() == http.StatusUnauthorized || strings.Contains(e.Code, "AccessDenied")
}

// Retriable tells whether a later try may work. EventBridge retries "5xx or 429 HTTP status codes" and no other 4xx:
// https://repost.aws/knowledge-center/eventbridge-resolve-failedinvocation-errors. Missing permissions and missing targets go
// "directly to the DLQ": https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html. That Scheduler does the same
// is a guess.
func Retriable(e *wire.Error) bool { return Lost(e) || Throttled(e) || e.Receiver() }
