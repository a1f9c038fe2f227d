package snapshot

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/google/uuid"

	"stillpoint/messages"
)

// Pipeline carries out the requests for one plan, one at a time.
type Pipeline struct {
	Plan     Plan
	Identity messages.Identity
	// Database is nil for a plan without one; Freezer is not used where the
	// plan freezes nothing.
	Database Database
	Freezer  Freezer
	Volumes  Volumes
	EBS      EBS
	// Servers lists the database servers of this host, for a plan without a database:
	// those that it can, beside the error. nil: nobody looks.
	Servers func() ([]Neighbour, error)
	// Sheet is the plan's file for the coordinates; nil: none.
	Sheet CoordinatesFile
	// PreFreeze and PostThaw are the plan's commands; nil: none. A plan that
	// freezes nothing has none.
	PreFreeze, PostThaw Hook

	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Sleep waits, or returns the context's error; nil: a timer. It is never
	// called while anything is held.
	Sleep func(ctx context.Context, d time.Duration) error
	// NewAttemptID makes attempt ids; nil: a random UUID.
	NewAttemptID func() string
	// LookupDelays are the waits between look-ups after an ambiguous answer;
	// nil: three and a half minutes of growing ones.
	LookupDelays []time.Duration
	// Progress is told what comes next and what was found, and may log; it is
	// never called between the lock and the unlock. nil: nobody is told.
	Progress func(stage, note string)
	// Trace is told where each stage begins and ends, inside the window too:
	// it must not log, open, resolve or fetch. It is for tests that kill the
	// program at a given moment; nil, as in every release: nobody is told.
	Trace func(stage string, ended bool)
}

// lookupDelays add up to three and a half minutes: EC2's describe calls may
// lag behind its creates, "a couple of seconds, growing to minutes" (EC2 API
// reference, eventual consistency).
var lookupDelays = []time.Duration{
	2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second,
	30 * time.Second, 30 * time.Second, 30 * time.Second, 30 * time.Second, 30 * time.Second, 30 * time.Second,
}

// attempt is the state of one run.
type attempt struct {
	*Pipeline
	job    Job
	result *messages.Result
	// started has the monotonic reading that the result's StartedAt lacks.
	started time.Time

	unattended bool // nobody asked: what is open is settled, and nothing begun

	begun   bool // the journal knows of this attempt
	guard   Guard
	session DatabaseSession
	claim   Claim // of the session's lock
	applier bool  // a replica's applier may be stopped by us
	sheet   Sheet // of this window; nil: none
	// startErr is why the applier was not started again after the last try; nil: it was.
	startErr error
	// trusted says that where the server's files are is the plan's word.
	trusted bool
	// partsFrozen says that all of them lie on file systems that are frozen.
	partsFrozen bool
	attached    []Attachment
	volumes     []Volume
	userTags    map[string]string
	// description is made before the window, since it may log.
	description string
	ownTags     map[string]map[string]string // the volumes' own, with copy_tags

	killed []messages.Statement // by earlier sessions of the run
	before *messages.MySQL      // coordinates under the lock
	win    window
	quota  quotaWaits
	again  bool
	// recorded says that the verdict on the last window is durable, where it
	// has to be; unclean that something was left open after it.
	recorded, unclean bool
	owed              []PendingTags
}

// Run carries out one job. It always comes back with a Result; its error, if
// any, is in there. Cancelling ctx ends the run where nothing is held yet, and
// is not heard between the lock and the unlock.
func (p *Pipeline) Run(ctx context.Context, job Job) Outcome {
	a := &attempt{Pipeline: p, job: job}
	a.start()
	a.run(ctx)
	return a.outcome()
}

func (a *attempt) start() {
	a.started = a.now()
	a.result = a.Identity.Result(a.job.Delivery, a.started)
	a.result.Plan = a.Plan.Name
	a.userTags = userTagSet(a.Plan.Tags, a.job.Delivery.Request.Tags)
}

func (a *attempt) outcome() Outcome {
	a.seal(a.result)
	return Outcome{Result: a.result, Again: a.again, PendingTags: a.owed}
}

func (a *attempt) run(ctx context.Context) {
	if !a.lookUp(ctx) || !a.timely() || !a.spread(ctx) {
		return
	}
	var open undo // sessions and descriptors; nothing in it is held
	defer func() {
		if err := open.unwind(); err != nil {
			a.warn("cannot clean up after the run: %v", err)
		}
	}()
	if !a.prepare(ctx, &open) {
		return
	}
	if a.job.Delivery.Request.DryRun {
		a.doubt()
		a.succeed(messages.ConsistencyNone, "dry run: every check passed, and nothing was done; a real run would snapshot %s while %s (consistency: %s)",
			a.setWords(), a.heldWords(a.wanted()), a.wanted())
		return
	}
	a.quota.round, a.quota.warnings = len(a.result.Stages), len(a.result.Warnings)
	for a.holdAndSnapshot(ctx) {
		// Before the verdict, which may take minutes to come to: what a thaw or an
		// unlock could not end is ended here.
		if err := open.unwind(); err != nil {
			a.unclean = true
			a.warn("cannot clean up after the run: %v", err)
		}
		a.tellHooks()
		a.afterwards(ctx)
		if !a.tryPastQuota(ctx, &open) {
			return
		}
	}
}

// seal finishes a result of this run. Its total is what passed, whatever became of the clock on the wall.
func (a *attempt) seal(r *messages.Result) {
	now := a.now()
	if r.Timings.Total == 0 {
		r.Timings.Total = ms(now.Sub(a.started))
	}
	r.Seal(a.job.MessageID, now)
}

func (p *Pipeline) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

func (p *Pipeline) sleep(ctx context.Context, d time.Duration) error {
	if p.Sleep != nil {
		return p.Sleep(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Pipeline) newAttemptID() string {
	if p.NewAttemptID != nil {
		return p.NewAttemptID()
	}
	return uuid.NewString()
}

func (a *attempt) progress(stage, note string) {
	if a.Progress != nil {
		a.Progress(stage, note)
	}
}

// stage runs one step and notes its time and error. It does not log, so that
// the window may use it.
func (a *attempt) stage(name string, f func() error) error {
	a.trace(name, false)
	defer a.trace(name, true)
	start := a.now()
	err := f()
	s := messages.Stage{Name: name, StartedAt: start.UTC(), DurationMS: ms(a.now().Sub(start))}
	if err != nil {
		s.Error = err.Error()
	}
	a.result.Stages = append(a.result.Stages, s)
	return err
}

func (a *attempt) trace(stage string, ended bool) {
	if a.Trace != nil {
		a.Trace(stage, ended)
	}
}

// outside is stage for the steps that hold nothing: it tells of progress too.
func (a *attempt) outside(name string, f func() error) error {
	a.progress(name, "")
	return a.stage(name, f)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// spread waits for this request's and instance's place in the start window.
// A request that someone is waiting for at the terminal starts at once.
func (a *attempt) spread(ctx context.Context) bool {
	d := a.job.Delivery
	if a.Plan.StartWithin <= 0 || d.Source == messages.SourceCLI || d.Request.DryRun {
		return true
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(d.Request.RequestID + "\x00" + a.Identity.InstanceID))
	place := time.Duration(h.Sum64() % uint64(a.Plan.StartWithin))
	wait := d.RequestedAt.Add(place).Sub(a.now())
	if wait <= 0 {
		return true
	}
	err := a.outside("spread", func() error { return a.sleep(ctx, min(wait, a.Plan.StartWithin)) })
	return err == nil || a.interrupted(ctx)
}

// begin makes the attempt known to the journal, once. It counts from then on.
func (a *attempt) begin(ctx context.Context) error {
	if a.job.Delivery.Request.DryRun || a.job.Record == nil || a.begun {
		return nil
	}
	id := a.newAttemptID()
	err := a.stage("journal", func() error { return a.job.Record.Intend(ctx, id, nil) })
	if err != nil { // an attempt that nobody knows of is none, and has no id
		return fmt.Errorf("cannot write the journal: %w", err)
	}
	a.result.AttemptID = id
	a.begun = true
	return nil
}

// mayTryAgain says whether another attempt is left, and worth it.
func (a *attempt) mayTryAgain() bool {
	if a.job.Delivery.Request.DryRun {
		return false
	}
	made := len(a.job.Prior)
	if a.begun {
		made++
	}
	return made < MaxAttempts && a.stale() == 0
}

// interrupted ends a run that holds nothing, because the worker is stopping or
// the message is no longer ours. It returns false for use in a chain of steps.
func (a *attempt) interrupted(ctx context.Context) bool {
	a.again = a.mayTryAgain()
	a.fail(messages.ReasonInterrupted, "%s while nothing was locked; no snapshots were made; send the request again if it is still wanted", stopWords(ctx))
	return false
}

// stopWords says why ctx has ended.
func stopWords(ctx context.Context) string {
	if errors.As(context.Cause(ctx), new(*LeaseLostError)) {
		return "the message's lease was lost"
	}
	return "the worker was asked to stop"
}
