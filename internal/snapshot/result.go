package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stillpoint/messages"
)

// end fills in how the run ended.
func (a *attempt) end(s messages.Status, r messages.Reason, c messages.Consistency, format string, args ...any) {
	a.result.Status, a.result.Reason, a.result.Consistency = s, r, c
	a.result.Message = fmt.Sprintf(format, args...)
}

func (a *attempt) succeed(c messages.Consistency, format string, args ...any) {
	a.end(messages.Succeeded, "", c, format, args...)
}

// fail ends a run of which no snapshots are known.
func (a *attempt) fail(r messages.Reason, format string, args ...any) bool {
	a.end(messages.Failed, r, messages.ConsistencyNone, format, args...)
	return false
}

func (a *attempt) skip(r messages.Reason, format string, args ...any) bool {
	a.end(messages.Skipped, r, messages.ConsistencyNone, format, args...)
	return false
}

// warn adds a warning, once: a further try at a limit of EC2's may find the same again.
func (a *attempt) warn(format string, args ...any) {
	if w := fmt.Sprintf(format, args...); !slices.Contains(a.result.Warnings, w) {
		a.result.Warnings = append(a.result.Warnings, w)
	}
}

// preflightFailed ends a run in which nothing was held yet. What did not
// answer may do so later; what was refused stays refused.
func (a *attempt) preflightFailed(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return a.interrupted(ctx)
	}
	var away *OutOfReachError
	if errors.As(err, &away) {
		a.again = a.mayTryAgain()
	}
	return a.fail(messages.ReasonPreflightFailed, "nothing was locked or frozen: %v", err)
}
