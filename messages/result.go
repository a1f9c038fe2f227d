package messages

import (
	"time"
)

// ResultType is the `type` of every Result.
const ResultType = "stillpoint.snapshot.result"

// SchemaVersion is the version of Request and Result that this build speaks.
const SchemaVersion = "1"

// Status is how a request ended.
type Status string

// The five ways in which a request ends.
const (
	// Succeeded: the whole set was started while everything was held, and that was checked.
	Succeeded Status = "succeeded"
	// Failed: there are no snapshots that Stillpoint knows of.
	Failed Status = "failed"
	// Inconsistent: snapshots exist and must not be trusted for what the plan asked.
	Inconsistent Status = "inconsistent"
	// Rejected: the request cannot be carried out as it stands, now or later.
	Rejected Status = "rejected"
	// Skipped: the request was fine, but its time was not.
	Skipped Status = "skipped"
)

// Severity is the SNS attribute by which on-call filters.
func (s Status) Severity() string {
	switch s {
	case Succeeded:
		return "info"
	case Rejected, Skipped:
		return "warning"
	default:
		return "critical"
	}
}

// Reason is the stable code of a Result that did not succeed; "" on success.
type Reason string

// Every reason of the contract.
const (
	ReasonInvalidRequest    Reason = "invalid_request"
	ReasonMisrouted         Reason = "misrouted"
	ReasonUnknownPlan       Reason = "unknown_plan"
	ReasonNotPermitted      Reason = "not_permitted"
	ReasonConflict          Reason = "conflict"
	ReasonStale             Reason = "stale"
	ReasonTooSoon           Reason = "too_soon"
	ReasonBusy              Reason = "busy"
	ReasonPreflightFailed   Reason = "preflight_failed"
	ReasonLockTimeout       Reason = "lock_timeout"
	ReasonLockLost          Reason = "lock_lost"
	ReasonFreezeFailed      Reason = "freeze_failed"
	ReasonThawedEarly       Reason = "thawed_early"
	ReasonMaxHoldExceeded   Reason = "max_hold_exceeded"
	ReasonHookFailed        Reason = "hook_failed"
	ReasonSnapshotFailed    Reason = "snapshot_failed"
	ReasonSnapshotAmbiguous Reason = "snapshot_ambiguous"
	ReasonQuota             Reason = "quota"
	ReasonInterrupted       Reason = "interrupted"
	ReasonInternal          Reason = "internal"
)

// Consistency is what is proved of a set of snapshots.
type Consistency string

// From the strongest claim to none.
const (
	// ConsistencyApplication: database locked and every file system frozen throughout.
	ConsistencyApplication Consistency = "application"
	// ConsistencyDatabase: locked throughout, not everything frozen.
	ConsistencyDatabase Consistency = "database"
	// ConsistencyFilesystem: everything frozen throughout, no lock.
	ConsistencyFilesystem Consistency = "filesystem"
	// ConsistencyCrash: neither; like pulling the plug.
	ConsistencyCrash Consistency = "crash"
	// ConsistencyNone: there is no set.
	ConsistencyNone Consistency = "none"
)

// Source is where a request came from.
type Source string

// The innermost envelope that held the request decides: a request in an
// EventBridge event that an SNS topic passed on is SourceEventBridge, a bare
// message or raw SNS delivery is SourceSQS.
const (
	SourceSQS         Source = "sqs"
	SourceEventBridge Source = "eventbridge"
	SourceSNS         Source = "sns"
	SourceCLI         Source = "cli"
)

// Result is what happened to one request, as published to SNS: at most
// MaxResultBytes of JSON. The same EventID may arrive twice; it is the same event.
type Result struct {
	SchemaVersion string `json:"schemaVersion"`
	Type          string `json:"type"`
	// EventID is a UUIDv5, see Seal.
	EventID string `json:"eventId"`
	Status  Status `json:"status"`
	// Reason is "" (and left out) where Status is succeeded.
	Reason Reason `json:"reason,omitzero"`
	// Message is one sentence for a person: what happened, to what, and what to do.
	Message    string `json:"message"`
	RequestID  string `json:"requestId,omitzero"`
	AttemptID  string `json:"attemptId,omitzero"`
	Plan       string `json:"plan,omitzero"`
	InstanceID string `json:"instanceId,omitzero"`
	Region     string `json:"region,omitzero"`
	Source     Source `json:"source"`

	RequestedAt time.Time `json:"requestedAt,omitzero"`
	StartedAt   time.Time `json:"startedAt,omitzero"`
	FinishedAt  time.Time `json:"finishedAt,omitzero"`

	Consistency Consistency `json:"consistency"`
	Snapshots   []Snapshot  `json:"snapshots"`
	// MySQL is nil where the plan has no database or it was never reached.
	MySQL    *MySQL   `json:"mysql,omitzero"`
	Timings  Timings  `json:"timings"`
	Stages   []Stage  `json:"stages"`
	Warnings []string `json:"warnings"`
	DryRun   bool     `json:"dryRun"`
	Agent    Agent    `json:"agent"`
}

// Snapshot is one EBS snapshot of the set.
type Snapshot struct {
	SnapshotID string `json:"snapshotId"`
	VolumeID   string `json:"volumeId"`
	// Device is the name that EC2 knows the attachment by ("/dev/sdf"); "" where unknown.
	Device string `json:"device,omitzero"`
	// Mount is the mount point on the host; "" where unknown.
	Mount string `json:"mount,omitzero"`
	// SizeGiB is the size of the volume in GiB.
	SizeGiB int32 `json:"sizeGiB,omitzero"`
	// StartTime is EC2's own.
	StartTime time.Time `json:"startTime,omitzero"`
	// State is EC2's: pending, completed, error.
	State string `json:"state,omitzero"`
}

// MySQL is what was learned of the database while it was locked.
type MySQL struct {
	// Flavor is "mysql", "mariadb" or "percona".
	Flavor  string `json:"flavor"`
	Version string `json:"version"`
	// Lock is the kind of lock that was taken, "ftwrl" or "backup"; "none" where
	// the plan wants none, and "" where it was not come to.
	Lock string `json:"lock,omitzero"`
	// LockReason says why it was this one, where the plan left the choice.
	LockReason string `json:"lockReason,omitzero"`
	// LocationTrusted repeats the plan's trust_location: that the server's files
	// lie on the set is what the plan says, and was not shown.
	LocationTrusted bool `json:"locationTrusted,omitzero"`
	// Killed are the statements that were ended because they would have blocked the lock.
	Killed []Statement `json:"killed,omitzero"`
	// BinlogFile and BinlogPosition are "" and 0 where the server writes no binlog.
	BinlogFile     string `json:"binlogFile,omitzero"`
	BinlogPosition uint64 `json:"binlogPosition,omitzero"`
	GTID           string `json:"gtid,omitzero"`
	// CoordinatesExact says that they were the same before the freeze and after the thaw.
	CoordinatesExact bool     `json:"coordinatesExact"`
	Replica          *Replica `json:"replica,omitzero"`
	// OtherSources are the further connections of a server with several sources.
	OtherSources []Replica `json:"otherSources,omitzero"`
}

// Statement is a statement of the database's users that was in the way. Its text is no part of it.
type Statement struct {
	// ID is the session's, as in the process list.
	ID   uint64 `json:"id"`
	User string `json:"user"`
	// AgeSeconds is how long it had been running.
	AgeSeconds float64 `json:"ageSeconds"`
	State      string  `json:"state,omitzero"`
	// Digest is the statement without its literals, as the server keeps it; "" where it keeps none.
	Digest string `json:"digest,omitzero"`
}

// Replica is how far a replica had come in what its source wrote.
type Replica struct {
	// Channel is the connection's name where it has one.
	Channel    string `json:"channel,omitzero"`
	SourceHost string `json:"sourceHost,omitzero"`
	SourcePort uint16 `json:"sourcePort,omitzero"`
	// ExecutedFile and ExecutedPosition are the place in the source's binlog up to
	// which everything, and behind which nothing, has been executed; left out
	// where that cannot be said, see PositionOmitted.
	ExecutedFile     string `json:"executedFile,omitzero"`
	ExecutedPosition uint64 `json:"executedPosition,omitzero"`
	// PositionOmitted says why ExecutedFile and ExecutedPosition are left out.
	PositionOmitted string `json:"positionOmitted,omitzero"`
	// GTID is what has been executed of all sources' transactions; "" where they have none.
	GTID string `json:"gtid,omitzero"`
}

// Timings are milliseconds, with fractions; zero where a thing did not happen.
type Timings struct {
	// LockWait is how long the winning try waited for its lock.
	LockWait  float64 `json:"lockWait"`
	LockTries int     `json:"lockTries"`
	LockHeld  float64 `json:"lockHeld"`
	// Frozen is from the start of the freeze to the end of the thaw.
	Frozen       float64 `json:"frozen"`
	SnapshotCall float64 `json:"snapshotCall"`
	// WritesBlocked is from the start of the winning lock try to the unlock.
	WritesBlocked float64 `json:"writesBlocked"`
	// WritesBlockedTotal is the same over all tries.
	WritesBlockedTotal float64 `json:"writesBlockedTotal"`
	Total              float64 `json:"total"`
}

// Stage is one step of a run, in the order in which they ran.
type Stage struct {
	Name       string    `json:"name"`
	StartedAt  time.Time `json:"startedAt"`
	DurationMS float64   `json:"durationMs"`
	Error      string    `json:"error,omitzero"`
}

// Agent is the program that made the result.
type Agent struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}
