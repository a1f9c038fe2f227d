package snapshot

import (
	"context"
	"time"

	"stillpoint/messages"
)

// Database brings one server to rest. The adapter is internal/mysql; a plan
// without a database has none.
type Database interface {
	// Connect opens every session that the run will need and learns what the
	// server is. Nothing is held afterwards. The error is an *OutOfReachError
	// where the server does not answer and may later, a *RefusedError where
	// it answers and trying again is of no use (password, privileges).
	Connect(ctx context.Context) (DatabaseSession, error)
}

// DatabaseSession is a pair of open sessions: one that will hold the lock, one
// that watches it. It is used by one goroutine at a time.
type DatabaseSession interface {
	// Server says flavor and version.
	Server() messages.MySQL
	// Locate asks this host where the server's files are, with nothing held. That
	// it cannot be shown is no error, see Location. It holds for the session that
	// was asked: where that has to be opened again, Ready makes sure that it leads
	// to the same process.
	Locate(ctx context.Context) (Location, error)
	// Settle runs the preliminary flush where it can do no harm, and says in
	// a few words what it did or why it did not. Nothing is held afterwards.
	Settle(ctx context.Context) (did string, err error)
	// StopApplier stops a replica's applier, where the plan wants that, with none
	// of its temporary tables open, and says how many channels had one that ran. It
	// is called with nothing held, before each try. A *LockNotGrantedError with Waited
	// means that it did not come to rest in time. Whatever it returns,
	// StartApplier must follow.
	StopApplier(ctx context.Context) (stopped int, err error)
	// StartApplier starts again what StopApplier has stopped, and nothing else. It
	// is called when nothing is held, and may be called when nothing is stopped.
	// After an error a note is left for the next start, see cmd's settlement.
	StartApplier(ctx context.Context) error
	// Ready does what a try needs beforehand, so that Lock sends little more
	// than its request: it looks for what would block it and sets the server's
	// own bounds. Its errors are those of Lock; a *LockNotGrantedError has Waited.
	Ready(ctx context.Context, hold time.Duration) error
	// Lock makes one try, bounded by the plan's lock_timeout. hold is how
	// long the server is to keep the lock should it never hear from us again.
	// Where Ready was not called since the last try, Lock does that itself.
	// A *LockNotGrantedError means that the try ran into its time and that
	// nothing of it is queued in the server any more. Any other error ends
	// the run; nothing is held then either.
	Lock(ctx context.Context, hold time.Duration) error
	// Claim says what the lock is worth: after Lock of the one that is held, before
	// it of the one that a try would take as things stand. It asks nobody.
	Claim() Claim
	// Coordinates reads binlog position and GTID on the session that holds the lock.
	Coordinates(ctx context.Context) (messages.MySQL, error)
	// Tell is the coordinates as a person reads them. It asks nobody.
	Tell(m messages.MySQL) string
	// Verify proves that the lock has been held by the same session since
	// Lock returned. A *LockLostError means that it was not. With LockNone it
	// proves no more than that the session is the same.
	Verify(ctx context.Context) error
	// Unlock lets go. A *LockLostError means that there was nothing to let
	// go of; any other error means that the session was closed instead, by
	// which the server lets go. It may be called when nothing is held.
	Unlock(ctx context.Context) error
	// Close ends all sessions, and with them any lock. It may be called twice.
	Close() error
}

// Freezer brings file systems to rest. The adapter is internal/freeze.
type Freezer interface {
	// Arm opens the mount points, refuses those that must not or cannot be
	// frozen (*RefusedError, nothing is left behind), and starts the guardian.
	// Nothing is frozen afterwards.
	Arm(ctx context.Context, mounts []string) (Guard, error)
}

// Guard owns the freeze and the thaw of one run.
type Guard interface {
	// Settle flushes the file systems (syncfs), so that little is left to do in Freeze.
	Settle(ctx context.Context) error
	// Owe notes in the record of the freeze whether post_thaw is owed, so that
	// whoever cleans up after a worker and a guardian that both died runs it. It
	// is called, only in plans with a post_thaw, with true before pre_freeze
	// (or, where there is none, the freeze) begins and with false when post_thaw
	// has ended, however: inside the window, so it must not open, create, sync
	// or log, and keeps its error to itself.
	Owe(owed bool)
	// Ready asks the guardian for a sign of life, with nothing held: one that
	// was killed or is stopped would be noticed in Freeze only, under the lock.
	Ready(ctx context.Context) error
	// Freeze freezes all, or none and returns an error. The guardian thaws by
	// itself at the deadline. Where ctx ends while the kernel still has not
	// answered, Freeze returns and the guardian thaws as soon as the kernel does.
	Freeze(ctx context.Context, deadline time.Time) error
	// Thaw thaws all and says whether they had stayed frozen until then.
	// It may be called when nothing is frozen, and more than once.
	Thaw(ctx context.Context) (Thawed, error)
	// Close ends the guardian, thawing first what is still frozen.
	Close() error
}

// Hook is one command of the plan, run while writes are blocked. The adapter
// is internal/hook.
type Hook interface {
	// Check says, while nothing is held, whether the command could be run. Its
	// error is a *RefusedError.
	Check() error
	// Run runs it, and comes back soon after ctx has ended, whatever the
	// command does. output is what it wrote, shortened, for the log; nothing of
	// it is logged by Run itself. The error says in a sentence how it failed;
	// a *HookNotStartedError, that it never ran because ctx had ended first.
	Run(ctx context.Context) (output string, err error)
}

// ThawCause is who ended a freeze.
type ThawCause string

// The causes of a thaw.
const (
	// ThawNone: nothing was frozen.
	ThawNone ThawCause = ""
	// ThawCommand: Thaw was called, and every file system was found frozen.
	ThawCommand ThawCause = "command"
	// ThawDeadline: the guardian's deadline passed.
	ThawDeadline ThawCause = "deadline"
	// ThawGuardianLost: the guardian died or stopped answering and the worker thawed.
	ThawGuardianLost ThawCause = "guardian lost"
	// ThawForeign: someone else had thawed a file system before we did.
	ThawForeign ThawCause = "someone else"
)

// Thawed is what a thaw found.
type Thawed struct {
	Cause ThawCause
	// At is when the first file system was let go, as far as we know.
	At time.Time
	// Detail names the file system and what was found; "" with ThawCommand.
	Detail string
}

// Held says that everything stayed frozen until Thaw was called.
func (t Thawed) Held() bool { return t.Cause == ThawCommand }

// Attachment is one volume of the instance, as EC2 tells it.
type Attachment struct {
	VolumeID string
	// DeviceName is EC2's name for it, such as "/dev/sdf".
	DeviceName string
	// Root says that it is the instance's root volume.
	Root bool
}

// Volume is one member of the set that is to be snapshotted.
type Volume struct {
	ID string
	// DeviceName is EC2's name for the attachment; "" where unknown.
	DeviceName string
	// Mount is the mount point whose file system lies on it; "" for a volume
	// that only the plan's list names.
	Mount string
}

// Volumes finds the volumes under mount points. The adapter is internal/volume.
type Volumes interface {
	// Resolve returns the set: the volumes under the mount points, checked
	// against the listed ones and against what EC2 says is attached. Where
	// they disagree, or a device says nothing and nothing is listed, the
	// error is a *RefusedError.
	Resolve(ctx context.Context, mounts, listed []string, attached []Attachment) ([]Volume, error)
	// Others names the mounted file systems that lie on the same disks as the
	// mount points and that none of these is.
	Others(ctx context.Context, mounts []string) ([]string, error)
	// Cover says of each file system how it lies to the set, in the same order.
	Cover(ctx context.Context, set Set, systems []FileSystem) ([]Coverage, error)
}

// EBS is what the pipeline needs of EC2. The adapter is internal/ebs.
type EBS interface {
	// Find returns the snapshots of this instance that bear the request id, over all attempts.
	Find(ctx context.Context, requestID string) ([]Existing, error)
	// Attached lists the volumes of the instance.
	Attached(ctx context.Context) ([]Attachment, error)
	// Warm takes a copy of credentials that outlive the window, for Find and
	// Create; the Find that follows it opens the connection that Create uses.
	Warm(ctx context.Context, window time.Duration) error
	// Create starts one snapshot of each volume of the set. Its error is a
	// *QuotaError, *SnapshotRefusedError (nothing was made) or
	// *AmbiguousError (something may have been). It makes no call twice,
	// whatever EC2's answer: to wait is for those who hold nothing.
	Create(ctx context.Context, set CreateSet) ([]messages.Snapshot, error)
	// Tag adds tags to one snapshot.
	Tag(ctx context.Context, snapshotID string, tags map[string]string) error
	// VolumeTags reads the volumes' own tags, by volume id.
	VolumeTags(ctx context.Context, volumeIDs []string) (map[string]map[string]string, error)
	// CheckCreate asks EC2 whether Create would be allowed (DryRun).
	CheckCreate(ctx context.Context, set CreateSet) error
}

// CreateSet is one set to be made.
type CreateSet struct {
	Volumes []Volume
	// Attached is every volume of the instance: those that are not in Volumes are left out of the call.
	Attached    []Attachment
	Description string
	Tags        map[string]string
	// AllFrozen allows separate calls where one cannot take the whole set.
	AllFrozen bool
}

// Existing is a snapshot that was found by its tags.
type Existing struct {
	messages.Snapshot
	Tags map[string]string
}

// Record is what the pipeline makes durable about one attempt. The adapter is internal/journal.
type Record interface {
	// Intend is durable (fsync) when it returns: this attempt is about to
	// take the lock for these volumes. It is called once without volumes, when
	// the attempt begins, then with them, and again after Settled with a limit of
	// EC2's, which it takes back together with what Sending noted: the attempt
	// goes on, and what became of its next call is not known until Settled.
	Intend(ctx context.Context, attemptID string, volumeIDs []string) error
	// Sending notes, through a descriptor opened by Intend and without a sync,
	// that the create call is about to be sent. It never blocks on a frozen disk
	// and allocates nothing on disk; its error is remembered, not returned.
	Sending()
	// Settled is durable when it returns: what the attempt came to. It is
	// called after everything was let go, before the tags are written.
	Settled(ctx context.Context, r *messages.Result) error
}

// Lease is the hold on the message that asked for the run; nil for a run
// without a queue.
type Lease interface {
	// Cover makes sure that the message stays ours over the window to come.
	// Its error is a *LeaseLostError, or says that SQS could not be asked.
	Cover(ctx context.Context, window time.Duration) error
}
