// Package fault makes calls slow, lose their answers, fail, or be answered wrongly, as they are told to; and in the same way again
// where it is told the same seed.
package fault

import (
	"fmt"
	"strings"
	"time"
)

// Fault is what happens to calls of one operation. The zero value does nothing.
type Fault struct {
	// Operation is the one meant, such as "ec2:CreateSnapshots" or "sqs:ReceiveMessage"; * stands for any text: "sqs:*", "*".
	Operation string `json:"operation"`

	// Principal is who has to be calling: an ARN or the name of a service, in which * stands for any text. Empty: anybody.
	Principal string `json:"principal,omitempty"`

	// Skip is how many matching calls it lets pass before it applies. Times is to how many it applies then; zero: until the
	// faults are replaced.
	Skip  int `json:"skip,omitzero"`
	Times int `json:"times,omitzero"`

	// Chance is how likely it is to apply to a call: 0.1 is one in ten. Zero: it always does. Calls that it spares go on to the
	// next fault of the list, and count neither for Skip nor for Times.
	Chance float64 `json:"chance,omitzero"`

	// Latency is added to the call, and what Spread draws for it on top.
	Latency time.Duration `json:"latency,omitzero"`
	Spread  *Spread       `json:"spread,omitempty"`

	// Moment is where in the latency the effect happens: "middle" (also empty), "first" (a late answer) or "last" (a slow call).
	// Where nothing is to take effect, the error comes at the end of the latency.
	Moment string `json:"moment,omitempty"`

	// Code is the AWS error code to answer with, such as "RequestLimitExceeded". Empty: none. Status is the HTTP status of that
	// error; zero is what AWS uses for it, else 400.
	Code   string `json:"code,omitempty"`
	Status int    `json:"status,omitzero"`

	// After lets the call take effect before it fails. Without it the error, the drop, the cut or the silence comes instead of
	// the effect.
	After bool `json:"after,omitzero"`

	// Drop closes the connection without an answer. Hang gives no answer until the client goes away or the server closes. Cut
	// sends half of the answer and closes the connection. HalfOpen sends half of it, and then nothing more until the client goes
	// away: what a peer looks like that has vanished. Cut and HalfOpen need an answer, so the call takes effect first.
	Drop     bool `json:"drop,omitzero"`
	Hang     bool `json:"hang,omitzero"`
	Cut      bool `json:"cut,omitzero"`
	HalfOpen bool `json:"halfOpen,omitzero"`

	// Wrong lets the call succeed with an answer that is plausible and not true. Which there are depends on the operation.
	Wrong string `json:"wrong,omitempty"`
}

// The moments of an effect.
const (
	Middle = "middle"
	First  = "first"
	Last   = "last"
)

// Fails tells whether the client gets another end than that of the call.
func (f Fault) Fails() bool { return f.Code != "" || f.Lost() }

// Lost tells whether the client gets no whole answer.
func (f Fault) Lost() bool { return f.Drop || f.Hang || f.Cut || f.HalfOpen }

// Instead tells whether the failure comes instead of the effect.
func (f Fault) Instead() bool { return f.Fails() && !f.After && !f.Cut && !f.HalfOpen }

// Waits are how long to wait before the effect and after it.
func (f Fault) Waits() (before, after time.Duration) {
	switch f.Moment {
	case First:
		return 0, f.Latency
	case Last:
		return f.Latency, 0
	}
	return f.Latency / 2, f.Latency - f.Latency/2
}

// String says in a word what the fault does to a call, for the log; empty for nothing.
func (f Fault) String() string {
	switch {
	case f.Hang:
		return "hang"
	case f.Drop:
		return "drop"
	case f.Cut:
		return "cut"
	case f.HalfOpen:
		return "half-open"
	case f.Code != "":
		return f.Code
	case f.Wrong != "":
		return "wrong: " + f.Wrong
	case f.Latency > 0:
		return "latency"
	}
	return ""
}

// Check says what is wrong with a fault. One that cannot do what it says would test nothing.
func (f Fault) Check() error {
	ends := 0
	for _, set := range []bool{f.Drop, f.Hang, f.Cut, f.HalfOpen, f.Code != "", f.Wrong != ""} {
		if set {
			ends++
		}
	}
	switch {
	case f.Operation == "":
		return fmt.Errorf(`a fault has no operation; give one such as "ec2:CreateSnapshots", or "*"`)
	case f.Operation != "*" && !strings.Contains(f.Operation, ":"):
		return fmt.Errorf("the operation %q names no service; write it as ec2:CreateSnapshots or sqs:*", f.Operation)
	case ends == 0 && f.Latency == 0 && f.Spread == nil:
		return fmt.Errorf("the fault of %q does nothing; give it one of code, drop, hang, cut, halfOpen, wrong, latency and spread", f.Operation)
	case ends > 1:
		return fmt.Errorf("the fault of %q wants several ends of one call; choose one of code, drop, hang, cut, halfOpen and wrong", f.Operation)
	case f.Status != 0 && f.Code == "":
		return fmt.Errorf("the fault of %q has a status and no code", f.Operation)
	case f.Status != 0 && (f.Status < 300 || f.Status > 599):
		return fmt.Errorf("the fault of %q has the status %d, which is not that of an error", f.Operation, f.Status)
	case f.Chance < 0 || f.Chance > 1:
		return fmt.Errorf("the fault of %q has the chance %g; it is from 0 to 1", f.Operation, f.Chance)
	case f.Skip < 0 || f.Times < 0 || f.Latency < 0:
		return fmt.Errorf("the fault of %q has a skip, times or latency below zero", f.Operation)
	case f.After && (f.Code == "" && !f.Drop && !f.Hang):
		return fmt.Errorf("the fault of %q says after, and not what then: code, drop or hang", f.Operation)
	}
	switch f.Moment {
	case "", First, Middle, Last:
	default:
		return fmt.Errorf("the fault of %q has the moment %q; it is first, middle or last", f.Operation, f.Moment)
	}
	if f.Spread == nil {
		return nil
	}
	if err := f.Spread.Check(); err != nil {
		return fmt.Errorf("the fault of %q: %w", f.Operation, err)
	}
	return nil
}

// matches tells whether the fault is meant for a call.
func (f Fault) matches(operation, principal string) bool {
	return Match(f.Operation, operation) && (f.Principal == "" || Match(f.Principal, principal))
}

// Match tells whether text is what pattern says, in which * stands for any text.
func Match(pattern, text string) bool {
	first, rest, starred := strings.Cut(pattern, "*")
	if !starred {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	for i := 0; i <= len(text); i++ {
		if Match(rest, text[i:]) {
			return true
		}
	}
	return false
}
