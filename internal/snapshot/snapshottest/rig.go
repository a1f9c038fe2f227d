// Package snapshottest holds fakes for every port of internal/snapshot. They
// share one Rig: an ordered log of the calls, what is held at the moment, and
// a check that inside the window nothing is called that may block, open,
// fetch or log there. A fake does what a healthy part does, unless its XFunc
// field says otherwise; the log and the checks stay the same.
package snapshottest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// Rig is one host with its database, file systems and EC2. Make it with New.
type Rig struct {
	DB      *Database
	Freezer *Freezer
	Volumes *Volumes
	EBS     *EBS
	Record  *Record
	Lease   *Lease
	// PreFreeze and PostThaw are nil, as in a plan without hooks; see AddHooks.
	PreFreeze, PostThaw *Hook
	// Sheet is nil, as in a plan without a coordinates file; see AddSheet.
	Sheet *Sheet

	// Before is called at the beginning of every call, with its name; nil: nothing is.
	Before func(call string)

	mu     sync.Mutex
	calls  []string
	faults []string
	locked bool
	frozen bool
	owed   bool // post_thaw is
	// stopped says that a replica's applier is.
	stopped bool
	stuck   bool // Thaw was called and could not thaw: what follows has to go on without
}

// permitted are the calls that may be made while anything is held.
var permitted = []string{
	"Session.Coordinates", "Sheet.Write", "Session.Verify", "Session.Unlock", "Session.Close",
	"Guard.Freeze", "Guard.Thaw", "Guard.Close", "Record.Sending", "EBS.Create", "EBS.Find",
	"Guard.Owe true", "Guard.Owe false", "PreFreeze.Run", "PostThaw.Run",
}

// whileFrozen are those that may be made while file systems are frozen: no SQL is among them.
var whileFrozen = []string{"Guard.Freeze", "Guard.Thaw", "Guard.Close", "Record.Sending", "EBS.Create", "EBS.Find"}

// New makes a healthy host with two volumes under one mount point, beside a root volume.
func New() *Rig {
	r := &Rig{}
	r.DB = &Database{rig: r, Position: messages.MySQL{Flavor: "mariadb", Version: "10.11", Lock: "ftwrl", BinlogFile: "bin.000007", BinlogPosition: 4711, GTID: "0-1-42"}}
	r.Freezer = &Freezer{rig: r}
	r.Volumes = &Volumes{rig: r, Set: []snapshot.Volume{
		{ID: "vol-0aaaaaaaaaaaaaaaa", DeviceName: "/dev/sdf", Mount: "/var/lib/mysql"},
		{ID: "vol-0bbbbbbbbbbbbbbbb", DeviceName: "/dev/sdg", Mount: "/var/lib/mysql"},
	}}
	r.EBS = &EBS{rig: r, Instance: []snapshot.Attachment{
		{VolumeID: "vol-0000000000000root", DeviceName: "/dev/xvda", Root: true},
		{VolumeID: "vol-0aaaaaaaaaaaaaaaa", DeviceName: "/dev/sdf"},
		{VolumeID: "vol-0bbbbbbbbbbbbbbbb", DeviceName: "/dev/sdg"},
	}, Tags: map[string]map[string]string{}}
	r.Record = &Record{rig: r}
	r.Lease = &Lease{rig: r}
	return r
}

// Pipeline is one for the plan on this host, with a database and a freezer.
func (r *Rig) Pipeline(plan snapshot.Plan) *snapshot.Pipeline {
	p := &snapshot.Pipeline{
		Plan: plan, Database: r.DB, Freezer: r.Freezer, Volumes: r.Volumes, EBS: r.EBS,
		Identity: messages.Identity{InstanceID: "i-0123456789abcdef0", Region: "eu-west-1", Agent: messages.Agent{Name: "stillpoint", Version: "test"}},
		Progress: func(stage, _ string) { r.note("Progress " + stage) },
		Sleep: func(ctx context.Context, d time.Duration) error {
			r.note("Sleep")
			t := time.NewTimer(d)
			defer t.Stop()
			select {
			case <-t.C:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
	if r.Sheet != nil {
		p.Sheet = r.Sheet
	}
	// A nil *Hook in the interface would not be no hook.
	if r.PreFreeze != nil {
		p.PreFreeze = r.PreFreeze
	}
	if r.PostThaw != nil {
		p.PostThaw = r.PostThaw
	}
	return p
}

// Calls is the log so far.
func (r *Rig) Calls() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// Count is how often a call was made.
func (r *Rig) Count(call string) int {
	n := 0
	for _, c := range r.Calls() {
		if c == call {
			n++
		}
	}
	return n
}

// Faults are the rules that were broken: calls inside the window that must not
// be there, and what is still held or open. Call it when the run is over.
func (r *Rig) Faults() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Clone(r.faults)
	add := func(bad bool, what string) {
		if bad {
			out = append(out, what)
		}
	}
	add(r.locked, "the database is still locked")
	add(r.frozen, "the file systems are still frozen")
	add(r.owed, "post_thaw is still owed")
	add(r.stopped, "the replica's applier is still stopped")
	add(r.DB.opened != r.DB.closed, fmt.Sprintf("%d sessions were opened and %d closed", r.DB.opened, r.DB.closed))
	add(r.Sheet != nil && r.Sheet.opened != r.Sheet.closed, "the coordinates file is still there")
	add(r.Freezer.armed != r.Freezer.closed, fmt.Sprintf("%d guardians were armed and %d closed", r.Freezer.armed, r.Freezer.closed))
	return out
}

// Held says whether anything is.
func (r *Rig) Held() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.locked || r.frozen
}

func (r *Rig) note(call string) {
	if r.Before != nil {
		r.Before(call)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call)
	switch {
	case r.frozen && !r.stuck && !slices.Contains(whileFrozen, call):
		r.faults = append(r.faults, call+" while file systems are frozen")
	case r.locked && !slices.Contains(permitted, call):
		r.faults = append(r.faults, call+" under the lock")
	}
}

func (r *Rig) set(what *bool, to bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*what = to
}

func (r *Rig) fault(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// bounded notes a call that releases something without a bound, or on a context that is over.
func (r *Rig) bounded(ctx context.Context, call string) {
	if _, ok := ctx.Deadline(); !ok {
		r.fault("%s without a bound", call)
	}
	if ctx.Err() != nil {
		r.fault("%s on a context that is over: %v", call, context.Cause(ctx))
	}
}
