package snapshot

import (
	"fmt"
	"time"

	"stillpoint/messages"
)

// RefusedError is a refusal before anything was held: trying again without a
// change by someone is of no use.
type RefusedError struct {
	// What was looked at, why it will not do and what to do, as one sentence.
	Sentence string
	Err      error // the cause; may be nil
}

func (e *RefusedError) Error() string {
	if e.Err == nil {
		return e.Sentence
	}
	return fmt.Sprintf("%s: %v", e.Sentence, e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// OutOfReachError says that something the run needs (the database, AWS) did
// not answer; it may later.
type OutOfReachError struct {
	What string // "the database at /run/mysqld/mysqld.sock", "EC2 (DescribeInstances)"
	Err  error
}

func (e *OutOfReachError) Error() string { return fmt.Sprintf("cannot reach %s: %v", e.What, e.Err) }
func (e *OutOfReachError) Unwrap() error { return e.Err }

// HookNotStartedError says that a hook's command did not run at all, because
// its time had passed before it could: the program may have been stopped.
type HookNotStartedError struct{ Err error }

func (e *HookNotStartedError) Error() string { return e.Err.Error() }
func (e *HookNotStartedError) Unwrap() error { return e.Err }

// LockNotGrantedError says that one try for the lock ran into its time and was
// withdrawn: nothing of it is queued in the server.
type LockNotGrantedError struct {
	// Blockers says in a few words what stood in the way; "" where unknown.
	Blockers string
	// Waited says that no lock was requested, because something in use would have blocked it.
	Waited bool
}

func (e *LockNotGrantedError) Error() string {
	s := "the lock was not granted in time"
	if e.Waited {
		s = "the lock was not requested, since it would have had to wait"
	}
	if e.Blockers == "" {
		return s
	}
	return s + ": " + e.Blockers
}

// LockUnknownError says that a request for the lock could not be withdrawn, or
// a lock not be let go of, as far as anybody can tell: it may still be queued or held.
type LockUnknownError struct {
	// Until is how long the server may take to end it by itself, from now.
	Until time.Duration
	Err   error
}

func (e *LockUnknownError) Error() string {
	return fmt.Sprintf("it cannot be proved that the database lock is gone, which the server itself ends within %s: %v", e.Until.Round(time.Second), e.Err)
}
func (e *LockUnknownError) Unwrap() error { return e.Err }

// LockLostError says that the session which held the lock no longer did.
type LockLostError struct{ Err error }

func (e *LockLostError) Error() string {
	if e.Err == nil {
		return "the database lock was lost"
	}
	return fmt.Sprintf("the database lock was lost: %v", e.Err)
}
func (e *LockLostError) Unwrap() error { return e.Err }

// LeaseLostError says that the message no longer belongs to this worker.
type LeaseLostError struct{ Err error }

func (e *LeaseLostError) Error() string {
	return fmt.Sprintf("the message's lease was lost: %v", e.Err)
}
func (e *LeaseLostError) Unwrap() error { return e.Err }

// QuotaError says that EC2 refused because of a limit; nothing was made.
type QuotaError struct {
	Code string // EC2's
	// Wait is after how long asking again makes sense, the first time; zero:
	// not within minutes.
	Wait time.Duration
	Err  error
}

func (e *QuotaError) Error() string { return fmt.Sprintf("EC2 refused with %s: %v", e.Code, e.Err) }
func (e *QuotaError) Unwrap() error { return e.Err }

// SnapshotRefusedError says that EC2 refused for good; nothing was made.
type SnapshotRefusedError struct {
	Code string // EC2's; "" where the call never left the host
	Err  error
}

func (e *SnapshotRefusedError) Error() string {
	return fmt.Sprintf("EC2 did not start the snapshots: %v", e.Err)
}
func (e *SnapshotRefusedError) Unwrap() error { return e.Err }

// AmbiguousError says that EC2's answer leaves open whether snapshots were made.
type AmbiguousError struct {
	Err error
	// Made are those that separate calls are known to have made.
	Made []messages.Snapshot
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("EC2's answer leaves open whether snapshots were made: %v", e.Err)
}
func (e *AmbiguousError) Unwrap() error { return e.Err }
