package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

// check is what a row sees: the target that it runs against, and a place for its expectations. All but its clients is for the
// goroutine of the row alone.
type check struct {
	*target
	ctx    context.Context //nolint:containedctx // that of the row
	t      *testing.T      // for Cleanup and TempDir; rows do not fail it themselves
	row    behaviour
	unmet  []unmet
	paused float64 // ticks
}

// unmet is an expectation that was not met.
type unmet struct {
	what string // the expectation, the same in each run
	saw  string // what was there instead
}

// prepared is the expectation that the steps before the point of a row work.
const prepared = "the steps before it work"

// patience is how long a row may take on a machine that is busy with other things.
const patience = 2 * time.Minute

// prove runs b against the target and returns what was not met.
func prove(t *testing.T, to *target, b behaviour) []unmet {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := &check{target: to, ctx: ctx, t: t, row: b}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				c.miss("it does not fall over", "%v\n%s", p, debug.Stack())
			}
		}()
		b.Run(c)
	}()
	<-done
	return c.unmet
}

// name is one that nothing else has, of at most 64 letters, digits and hyphens.
func (c *check) name() string {
	id := c.row.ID
	return id[:min(len(id), 40)] + "-" + strings.ToLower(rand.Text()[:10])
}

func (c *check) miss(what, format string, args ...any) {
	c.unmet = append(c.unmet, unmet{what, fmt.Sprintf(format, args...)})
}

// stop ends the row.
func (c *check) stop() { runtime.Goexit() }

// must is for a step that only prepares: an error ends the row.
func must[T any](out T, err error) func(c *check) T {
	return func(c *check) T {
		if err != nil {
			c.miss(prepared, "%v", err)
			c.stop()
		}
		return out
	}
}

// ok expects that there is no error. It returns whether there is none.
func (c *check) ok(what string, err error) bool {
	if err != nil {
		c.miss(what, "%v", err)
	}
	return err == nil
}

// is expects that ok. saw is shown if not.
func (c *check) is(what string, ok bool, saw ...any) bool {
	if !ok {
		c.miss(what, "%s", strings.TrimSpace(fmt.Sprintln(saw...)))
	}
	return ok
}

// equal expects that got is want, as cmp.Equal has it.
func (c *check) equal(what string, got, want any) bool {
	if cmp.Equal(got, want) {
		return true
	}
	is, should := fmt.Sprint(got), fmt.Sprint(want)
	if is == should {
		is, should = fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want)
	}
	c.miss(what, "got %s, want %s", is, should)
	return false
}

// need ends the row unless ok, because what follows would make no sense.
func (c *check) need(what string, ok bool, saw ...any) {
	if !c.is(what, ok, saw...) {
		c.stop()
	}
}

// refused expects an error of the API with this HTTP status and one of the codes. Status 0 is any of 400 and above, no codes are any.
func (c *check) refused(what string, err error, status int, codes ...string) {
	got, code, message := failure(err)
	switch {
	case err == nil:
		c.miss(what, "it is accepted")
	case code == "" && got == 0:
		c.miss(what, "an error that is not of the API: %v", err)
	case status != 0 && got != status, status == 0 && got < 400, len(codes) > 0 && !contains(codes, code):
		c.miss(what, "%s, HTTP %d: %s", code, got, message)
	}
}

// refusedSaying is refused, with words that the message has to have.
func (c *check) refusedSaying(what string, err error, status int, code, words string) {
	c.refused(what, err, status, code)
	if _, got, message := failure(err); got == code && !strings.Contains(message, words) {
		c.miss(what+", in AWS's words", "%s", message)
	}
}

// contains compares codes of SQS with and without the prefix that they have in the query protocol.
func contains(codes []string, code string) bool {
	const prefix = "AWS.SimpleQueueService."
	for _, one := range codes {
		if strings.TrimPrefix(one, prefix) == strings.TrimPrefix(code, prefix) {
			return true
		}
	}
	return false
}

// failure takes an error of the API apart. The code is empty if it is not one, the status if there was no answer.
func failure(err error) (status int, code, message string) {
	var raw *wireError
	if errors.As(err, &raw) {
		return raw.status, raw.code, raw.message
	}
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		status = answer.HTTPStatusCode()
	}
	var of smithy.APIError
	if errors.As(err, &of) {
		code, message = of.ErrorCode(), of.ErrorMessage()
	}
	return status, code, message
}

// tick is what rows that pause count in: a second where it really has to pass, and thirty where a clock is moved, so that what a busy
// machine adds does not show.
func (c *check) tick() time.Duration {
	if c.ours != nil {
		return 30 * time.Second
	}
	return time.Second
}

// ticks is n ticks in seconds, for timeouts and delays that end in a pause.
func (c *check) ticks(n int) int32 { return int32(n) * int32(c.tick()/time.Second) } //nolint:gosec // small

// pause lets up to three ticks pass in all: for localstack by its clock, for moto really.
func (c *check) pause(ticks float64) {
	c.paused += ticks
	d := time.Duration(ticks * float64(c.tick()))
	switch {
	case !c.row.Needs.has(pauses) || c.paused > 3:
		c.miss("it pauses for three ticks at most, and says so", "%v", c.paused)
		c.stop()
	case c.ours != nil:
		c.ours.MoveClock(d)
	default:
		time.Sleep(d)
	}
}

// move puts the clock of localstack forward.
func (c *check) move(d time.Duration) {
	if !c.row.Needs.has(clock) {
		c.miss("it says that it needs the clock", "")
		c.stop()
	}
	c.ours.MoveClock(d)
}

// soon expects that ok is true within two seconds. It is for what happens behind an answer.
func (c *check) soon(what string, ok func() bool) bool {
	for end := time.Now().Add(2 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) || c.ctx.Err() != nil {
			c.miss(what, "not within two seconds")
			return false
		}
	}
	return true
}
