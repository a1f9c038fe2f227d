// Package fault makes calls slow, lose their answers, or fail, as they are told to.
package fault

import (
	"sync"
	"time"
)

// Fault makes calls of one operation slow or fail. The zero value does nothing.
type Fault struct {
	// Operation is the one meant, such as "ec2:CreateSnapshots" or "sqs:ReceiveMessage"; "*" is all.
	Operation string

	// Latency is added to the call. The effect (for CreateSnapshots the clone) happens half-way through it; where nothing is
	// to take effect, the error comes at its end.
	Latency time.Duration

	// Code is the AWS error code to answer with, such as "RequestLimitExceeded". Empty: none.
	Code string

	// Status is the HTTP status of that error. Zero is what AWS uses for it, else 400.
	Status int

	// After lets the call take effect before it fails. Without it the error, the drop or the hang comes instead of the effect.
	After bool

	// Drop closes the connection without an answer.
	Drop bool

	// Hang gives no answer until the client goes away or the server closes.
	Hang bool

	// Times is how many calls it applies to. Zero: until the faults are replaced.
	Times int
}

// Fails tells whether the call ends otherwise than it would.
func (f Fault) Fails() bool { return f.Code != "" || f.Drop || f.Hang }

// String says in a word what the fault does to a call, for the log; empty for nothing.
func (f Fault) String() string {
	switch {
	case f.Hang:
		return "hang"
	case f.Drop:
		return "drop"
	case f.Code != "":
		return f.Code
	case f.Latency > 0:
		return "latency"
	}
	return ""
}

// Set holds the faults that are set. Its zero value holds none.
type Set struct {
	mu     sync.Mutex
	faults []Fault
}

// Replace sets the faults in place of all others; none clears them.
func (s *Set) Replace(f ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append([]Fault(nil), f...)
}

// List returns the faults that are set, with how often they still apply.
func (s *Set) List() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Fault{}, s.faults...)
}

// Take finds the fault for a call and counts it. The zero Fault: none.
func (s *Set) Take(operation string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.Operation != operation && f.Operation != "*" {
			continue
		}
		if f.Times == 1 {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
		} else if f.Times > 1 {
			s.faults[i].Times--
		}
		return f
	}
	return Fault{}
}
