package snapshot

import (
	"time"
)

// Plan is what one plan of the file asks for, as far as the pipeline cares.
type Plan struct {
	Name string
	// Describe makes the snapshots' description where the request brings none; nil: "".
	Describe func(requestID string) string
	// Freeze are the mount points to freeze; NoFreeze those whose volumes
	// belong to the set all the same. Volumes lists the set where the devices
	// say nothing, and must agree where they do.
	Freeze, NoFreeze, Volumes []string

	LockTries int           // at least 1
	LockSleep time.Duration // between tries, with nothing held
	// LockTimeout is the bound of one try; the Database knows it too.
	LockTimeout time.Duration
	// StopApplier stops a replica's applier for each try.
	StopApplier bool
	// SnapshotTimeout is for EC2's answer.
	SnapshotTimeout time.Duration
	// HookTimeout is for each hook; not used where there is none.
	HookTimeout time.Duration
	// MaxHold is absolute, from the start of the lock try that wins.
	MaxHold time.Duration

	MaxAge      time.Duration // zero: no limit
	MinInterval time.Duration // zero: none
	StartWithin time.Duration // zero: at once

	Tags     map[string]string
	CopyTags bool
}

// EverythingFrozen says whether every file system of the set is to be frozen.
func (p *Plan) EverythingFrozen() bool { return len(p.Freeze) > 0 && len(p.NoFreeze) == 0 }

// lookupHeld is how long a look-up after an ambiguous answer may keep
// everything held. It is part of the 4 s that the file's check on max_hold
// adds to the other bounds.
const lookupHeld = 2 * time.Second

// letGo is what is left of max_hold for the thaw and the unlock when
// everything before ran into its time.
const letGo = time.Second

// lastWords is how long coordinates and proof of the hold may take when
// max_hold has passed already.
const lastWords = 250 * time.Millisecond
