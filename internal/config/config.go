// Package config is the worker's file: what may stand in it, what holds where
// nothing stands in it, and whether it makes sense. An error shows the line and
// names the fix. What can only be found out on the host or from AWS (does the
// mount point exist, is the queue there) is not its business.
package config

import (
	"time"
)

// DefaultPath is where the file is looked for.
const DefaultPath = "/etc/stillpoint/stillpoint.yaml"

// File is the worker's file. Every field's zero and default are those of
// Default; the comments of the sample, infra/stillpoint.yaml, explain the keys.
type File struct {
	// QueueURL and TopicARN may be "" except for the worker, see CheckWorker.
	QueueURL string `yaml:"queue_url"`
	TopicARN string `yaml:"topic_arn"`
	// DeadLetterQueueURL is "" where the queue's redrive policy is to say it.
	DeadLetterQueueURL string `yaml:"dead_letter_queue_url"`
	// Region is "" where the usual AWS chain and then the metadata decide.
	Region string `yaml:"region"`
	// InstanceID is "" where the metadata decide.
	InstanceID string `yaml:"instance_id"`
	// StateDir holds the journal and the outbox.
	StateDir   string `yaml:"state_dir"`
	RuntimeDir string `yaml:"runtime_dir"`
	// HTTPAddr is host:port for metrics and health; "" turns it off.
	HTTPAddr string `yaml:"http_addr"`
	// AllowEventSources are the EventBridge sources, beside aws.events and
	// aws.scheduler, whose detail is a request.
	AllowEventSources []string `yaml:"allow_event_sources"`
	// DefaultPlan is the plan of a request that names none; "": there is none.
	DefaultPlan string           `yaml:"default_plan"`
	Plans       map[string]*Plan `yaml:"plans"`
}

// Plan is what one set of snapshots consists of and how it is made.
type Plan struct {
	// Name is the plan's key in the file.
	Name string `yaml:"-"`
	// Description is a template, see DescriptionFor.
	Description string `yaml:"description"`
	// MySQL is nil for file systems alone.
	MySQL *MySQL `yaml:"mysql"`
	// Freeze are the mount points to freeze.
	Freeze []string `yaml:"freeze"`
	// NoFreeze are mount points whose volumes belong to the set, but are not frozen.
	NoFreeze []string `yaml:"no_freeze"`
	// Volumes is the set by volume ids; empty where the mount points say it.
	Volumes         []string      `yaml:"volumes"`
	ExpediteFreeze  bool          `yaml:"expedite_freeze"`
	SnapshotTimeout time.Duration `yaml:"snapshot_timeout"`
	// MaxHold bounds how long writes are blocked, from the winning lock try on.
	MaxHold     time.Duration `yaml:"max_hold"`
	MaxAge      time.Duration `yaml:"max_age"`
	MinInterval time.Duration `yaml:"min_interval"`
	StartWithin time.Duration `yaml:"start_within"`
	// Tags are set on every snapshot, beside Stillpoint's own.
	Tags map[string]string `yaml:"tags"`
	// RequestTags are the tag keys that a request may set; "*" stands for all. See Permit.
	RequestTags []string `yaml:"request_tags"`
	CopyTags    bool     `yaml:"copy_tags"`
	// PreFreeze and PostThaw are a program and its arguments; empty: none.
	PreFreeze   []string      `yaml:"pre_freeze"`
	PostThaw    []string      `yaml:"post_thaw"`
	HookTimeout time.Duration `yaml:"hook_timeout"`
}

// MySQL is how to reach the server and how to lock it.
type MySQL struct {
	// DefaultsFile is an option file with a [client] section; "": none. What
	// else is set here wins over it.
	DefaultsFile string `yaml:"defaults_file"`
	Socket       string `yaml:"socket"`
	Host         string `yaml:"host"`
	// Port is 3306 where neither file says otherwise; see PortSet.
	Port int    `yaml:"port"`
	User string `yaml:"user"`
	// PortSet says that the file gives the port, which then wins over DefaultsFile.
	PortSet bool `yaml:"-"`
	// Lock is LockFTWRL, LockBackup, LockAuto or LockNone.
	Lock string `yaml:"lock"`
	// LockTimeout bounds one try, LockTries counts them, LockSleep lies between them.
	LockTimeout time.Duration `yaml:"lock_timeout"`
	LockTries   int           `yaml:"lock_tries"`
	LockSleep   time.Duration `yaml:"lock_sleep"`
	// PreliminaryFlush is FlushAuto, FlushAlways or FlushNever.
	PreliminaryFlush string `yaml:"preliminary_flush"`
	// LongQueries is LongQueriesWait, LongQueriesFail or LongQueriesKill.
	LongQueries string `yaml:"long_queries"`
	// LongQueryAfter is what counts as long.
	LongQueryAfter time.Duration `yaml:"long_query_after"`
	// KillAfter and KillMaxRows bound what may be killed, with LongQueriesKill.
	KillAfter   time.Duration `yaml:"kill_after"`
	KillMaxRows int           `yaml:"kill_max_rows"`
	// LogStatements lets the text of statements that are in the way into the local log.
	LogStatements bool `yaml:"log_statements"`
	// CoordinatesFile is written on the volume while it is locked; "": none.
	CoordinatesFile string `yaml:"coordinates_file"`
	// Replica is ReplicaRun or ReplicaStopApplier.
	Replica string `yaml:"replica"`
	// TrustLocation takes the server's word for where its files are.
	TrustLocation bool `yaml:"trust_location"`
}

// The values of the enumerated keys. Which of them this build supports is
// decided by the table in unsupported.go.
const (
	LockFTWRL  = "ftwrl"
	LockBackup = "backup"
	LockAuto   = "auto"
	LockNone   = "none"
	LockStop   = "stop"

	FlushAuto   = "auto"
	FlushAlways = "always"
	FlushNever  = "never"

	LongQueriesWait = "wait"
	LongQueriesFail = "fail"
	LongQueriesKill = "kill"

	ReplicaRun         = "run"
	ReplicaStopApplier = "stop_applier"
)

// Default is what holds where the file says nothing: no queue, no topic and no plan.
func Default() *File {
	return &File{
		StateDir:   "/var/lib/stillpoint",
		RuntimeDir: "/run/stillpoint",
		HTTPAddr:   "127.0.0.1:9180",
		Plans:      map[string]*Plan{},
	}
}

// NewPlan is a plan about which nothing but its name is said. It is not valid
// until it names something to snapshot.
func NewPlan(name string) *Plan {
	return &Plan{
		Name:            name,
		Description:     "{{.Plan}} {{.InstanceID}}",
		ExpediteFreeze:  true,
		SnapshotTimeout: 10 * time.Second,
		MaxHold:         45 * time.Second,
		MaxAge:          time.Hour,
		HookTimeout:     10 * time.Second,
	}
}

// NewMySQL is a server about which nothing is said.
func NewMySQL() *MySQL {
	return &MySQL{
		Port:             3306,
		Lock:             LockFTWRL,
		LockTimeout:      500 * time.Millisecond,
		LockTries:        60,
		LockSleep:        5 * time.Second,
		PreliminaryFlush: FlushAuto,
		LongQueries:      LongQueriesWait,
		LongQueryAfter:   time.Second,
		KillAfter:        60 * time.Second,
		KillMaxRows:      1000,
		Replica:          ReplicaRun,
	}
}
