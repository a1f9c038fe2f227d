package whoami

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/sys/unix"
)

// Clock compares this host's clock with the Date of AWS's answers. The zero value
// is ready; it is safe for use by several goroutines.
type Clock struct {
	mu   sync.Mutex
	best Skew // of all answers the one that came soonest
	seen bool
}

// Skew is how far this host's clock is ahead of AWS's (below zero: behind), and
// how far off that may be: half of the way there and back, and of the second in
// which a Date is told.
type Skew struct{ Ahead, By time.Duration }

// Watch has the clients that are made from cfg from now on compare it with every
// answer that bears AWS's request id: what a proxy in between says does not count.
func (c *Clock) Watch(cfg *aws.Config) {
	cfg.APIOptions = append(cfg.APIOptions, func(stack *middleware.Stack) error {
		// After: next to the transport, once for each try.
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("StillpointClock", c.note), middleware.After)
	})
}

func (c *Clock) note(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	sent := time.Now()
	out, metadata, err := next.HandleDeserialize(ctx, in)
	got := time.Now()
	if answer, ok := out.RawResponse.(*smithyhttp.Response); ok && answer != nil && answer.Header.Get("x-amzn-RequestId")+answer.Header.Get("x-amz-request-id") != "" {
		if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
			c.add(skew(sent, got, date))
		}
	}
	return out, metadata, err
}

// skew is what one answer tells. Its Date has whole seconds, cut off.
func skew(sent, got, date time.Time) Skew {
	way := got.Sub(sent)
	return Skew{Ahead: sent.Add(way / 2).Sub(date.Add(time.Second / 2)), By: way/2 + time.Second/2}
}

func (c *Clock) add(s Skew) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.seen || s.By < c.best.By {
		c.best, c.seen = s, true
	}
}

// Skew is what the answers have told so far; known is false where none did.
func (c *Clock) Skew() (s Skew, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.best, c.seen
}

// Synchronized asks the kernel whether somebody keeps its clock: the state of
// adjtimex(2) is TIME_ERROR, or its status has STA_UNSYNC, where nobody does.
func Synchronized() (bool, error) {
	var t unix.Timex // Modes is 0: nothing is set
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, fmt.Errorf("cannot ask the kernel about its clock: %w", err)
	}
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, nil
}
