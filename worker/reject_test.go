package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stillpoint/messages"
)

func TestWhatIsRejectedGoesToTheDeadLetterQueue(t *testing.T) {
	for name, tc := range map[string]struct {
		body   string
		reason messages.Reason
	}{
		"no JSON":             {"hello", messages.ReasonInvalidRequest},
		"an unknown key":      {`{"plam":"nightly"}`, messages.ReasonInvalidRequest},
		"another instance's":  {`{"instanceId":"i-0bbbbbbbbbbbbbbbb"}`, messages.ReasonMisrouted},
		"what is not allowed": {`{"plan":"secret"}`, messages.ReasonNotPermitted},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.runner.permit = func(q messages.Request) error {
					if q.Plan == "secret" {
						return &RejectedError{messages.ReasonNotPermitted, "not that one"}
					}
					return nil
				}
				stop := b.start(t.Context())
				b.queue.send("m", tc.body)
				time.Sleep(time.Minute)
				stop()
				b.expect(t, "receive m#1", "dead letter m "+string(tc.reason), "finish rejected", "publish rejected "+string(tc.reason), "published", "delete m#1")
				if r := b.topic.results()[0]; r.Source != messages.SourceSQS || len(r.Warnings) != 0 || r.InstanceID != "i-0aaa" {
					t.Errorf("result %+v", r)
				}
			})
		})
	}
}

// While a copy is sent to a queue that does not answer, a `stillpoint snapshot`
// is not refused as busy.
func TestARejectionDoesNotKeepTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.runner.permit = func(messages.Request) error { return &RejectedError{messages.ReasonNotPermitted, "no"} }
		b.runner.turn = func(context.Context) (func(), error) { return func() { b.add("the turn ends") }, nil }
		stop := b.start(t.Context())
		b.queue.send("m", plain)
		time.Sleep(time.Second)
		stop()
		if list := b.list(); slices.Index(list, "the turn ends") != slices.Index(list, "dead letter m not_permitted")-1 {
			t.Errorf("%q", list)
		}
	})
}

func TestWithoutADeadLetterQueueTheResultSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.queue.deadErr = fmt.Errorf("looked: %w", ErrNoDeadLetterQueue)
		stop := b.start(t.Context())
		b.queue.send("m", "hello")
		time.Sleep(time.Minute)
		stop()
		b.expect(t, "receive m#1", "dead letter fails", "finish rejected", "publish rejected invalid_request", "published", "delete m#1")
		if w := b.topic.results()[0].Warnings; len(w) != 1 || !strings.Contains(w[0], "no dead-letter queue") {
			t.Errorf("warnings %q", w)
		}
	})
}

func TestACopyThatIsOwedKeepsTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.queue.deadErr = errors.New("AccessDenied")
		stop := b.start(t.Context())
		b.queue.send("m", "hello")
		time.Sleep(10 * time.Second)
		b.expect(t, "receive m#1", "dead letter fails", "finish rejected", "publish rejected invalid_request", "published", "extend m#1 30s")
		b.queue.failDeadLetters(nil)
		time.Sleep(time.Minute)
		stop()
		if b.count("delete m#2") != 1 || b.count("dead letter m") != 1 {
			t.Fatalf("%q", b.list())
		}
		if n := len(b.topic.results()); n != 1 || b.count("finish") != 1 {
			t.Errorf("the result was published %d times and written down %d times", n, b.count("finish"))
		}
		if len(b.finished) != 1 {
			t.Errorf("counted %d times", len(b.finished))
		}
	})
}
