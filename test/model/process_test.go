package model

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/internal/snapshot"
	"stillpoint/internal/snapshot/snapshottest"
	"stillpoint/messages"
	"stillpoint/worker"
)

var self = messages.Identity{InstanceID: "i-0aaaaaaaaaaaaaaaa", Region: "eu-west-1", Agent: messages.Agent{Name: "stillpoint", Version: "model"}}

var plans = []string{"nightly", "weekly"}

func plan(name string) snapshot.Plan {
	return snapshot.Plan{
		Name: name, Freeze: []string{"/var/lib/mysql"},
		LockTries: 2, LockSleep: 5 * time.Second, LockTimeout: 500 * time.Millisecond,
		SnapshotTimeout: 10 * time.Second, MaxHold: 45 * time.Second, MaxAge: time.Hour,
	}
}

// process makes a living one; with mu held.
func (w *world) process(name string, dies func()) *process {
	p := &process{world: w, name: name, gone: make(chan struct{}), dies: dies}
	w.living = append(w.living, p)
	return p
}

// runner implements worker.Runner with the real pipeline on fakes.
type runner struct {
	*process
	lane   string // "" for the requests, "start: " for what is settled without them
	rig    *snapshottest.Rig
	faults int // of the rig that have been told
}

var _ worker.Runner = (*runner)(nil)

func newRunner(p *process, lane string) *runner {
	r := &runner{process: p, lane: lane, rig: snapshottest.New()}
	g := r.rig
	g.Before = r.before
	g.DB.ConnectFunc = func(ctx context.Context) error {
		return p.ask(ctx, "Database.Connect", "the database", func() {})
	}
	g.DB.LockFunc = func(ctx context.Context, _ time.Duration) error {
		if p.taken("Session.Lock") != nil {
			return &snapshot.LockNotGrantedError{Blockers: "a long query"}
		}
		p.effect(func() { p.held = hold{locked: true} })
		return nil
	}
	g.DB.VerifyFunc = func(context.Context) error { return r.lockLost() }
	g.DB.UnlockFunc = func(context.Context) error {
		err := r.lockLost()
		p.effect(func() { p.held.locked = false })
		return err
	}
	g.DB.CloseFunc = func() error {
		p.effect(func() { p.held.locked = false })
		return nil
	}
	g.Freezer.FreezeFunc = func(context.Context, time.Time) error {
		if p.taken("Guard.Freeze") != nil {
			return errFault
		}
		p.effect(func() { p.held.frozen = true })
		return nil
	}
	froze := false
	g.Freezer.ArmFunc = func(context.Context, []string) error { froze = false; return nil }
	g.Freezer.ThawFunc = func(context.Context) (t snapshot.Thawed, err error) {
		p.effect(func() {
			switch {
			case p.held.frozen:
				t, froze = snapshot.Thawed{Cause: snapshot.ThawCommand, At: time.Now()}, true
			case p.held.broken && !froze:
				t = snapshot.Thawed{Cause: snapshot.ThawForeign, At: time.Now(), Detail: "somebody else thawed it"}
			}
			p.held.frozen = false
		})
		return t, nil
	}
	g.Freezer.CloseFunc = func() error {
		p.effect(func() { p.held.frozen = false })
		return nil
	}
	g.EBS.FindFunc = p.existing
	g.EBS.CreateFunc = p.create
	g.EBS.TagFunc = func(ctx context.Context, id string, tags map[string]string) error {
		return p.tag(ctx, lane+"EBS.Tag", id, tags)
	}
	instance := g.EBS.Instance
	g.EBS.AttachedFunc = func(ctx context.Context) ([]snapshot.Attachment, error) {
		return instance, p.ask(ctx, "EBS.Attached", "EC2 (DescribeInstances)", func() {})
	}
	return r
}

// before is every call of the pipeline's ports.
func (r *runner) before(call string) {
	if call != "EBS.Tag" { // it has steps of its own
		r.step(r.lane + call + " before")
	}
	if call == "Session.Lock" || call == "Guard.Freeze" {
		r.effect(func() {
			if event := r.done(r.running); event != "" {
				r.breach("%s is finished with %s and is run again as far as %s", r.running, event, call)
			}
		})
	}
}

func (r *runner) lockLost() (err error) {
	r.effect(func() {
		if !r.held.locked {
			err = &snapshot.LockLostError{Err: errFault}
		}
	})
	return err
}

func (*runner) DefaultPlan() string { return plans[0] }

func (*runner) Permit(r messages.Request) error {
	if !slices.Contains(plans, r.Plan) {
		return &worker.RejectedError{Reason: messages.ReasonUnknownPlan, Sentence: "there is no such plan"}
	}
	return nil
}

func (r *runner) Turn(ctx context.Context) (end func(), err error) {
	for {
		mine := false
		r.effect(func() {
			if mine = r.turn == nil; mine {
				r.turn = r.process
			}
		})
		if mine {
			return func() {
				r.mu.Lock()
				defer r.mu.Unlock()
				if r.turn == r.process {
					r.turn = nil
				}
			}, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// pipeline is the real one.
func (r *runner) pipeline(name string) *snapshot.Pipeline {
	p := r.rig.Pipeline(plan(name))
	p.Identity = self
	p.NewAttemptID = func() (id string) {
		r.effect(func() { r.ids++; id = fmt.Sprintf("a-%d", r.ids) })
		return id
	}
	return p
}

// resumer implements worker.Resumer with pipelines of its own, as cmd/stillpoint does.
type resumer struct{ *runner }

var _ worker.Resumer = resumer{}

func (resumer) MaxAge(string) time.Duration { return plan("").MaxAge }

func (r resumer) Reconcile(ctx context.Context, job snapshot.Job) snapshot.Outcome {
	out := r.pipeline(job.Delivery.Request.Plan).Reconcile(ctx, job)
	r.effect(func() {
		r.note("reconciled %s: %s %s, attempt %s, again %v", job.Delivery.Request.RequestID, out.Result.Status, out.Result.Reason, out.Result.AttemptID, out.Again)
		r.counts.add("reconciled "+string(out.Result.Status)+" "+string(out.Result.Reason), 1)
	})
	return out
}

// Run is the real pipeline's, with the checks of what must hold whenever one ends.
func (r *runner) Run(ctx context.Context, job snapshot.Job) snapshot.Outcome {
	id := job.Delivery.Request.RequestID
	r.effect(func() { r.running = id })
	out := r.pipeline(job.Delivery.Request.Plan).Run(ctx, job)
	r.effect(func() {
		r.running = ""
		r.note("ran %s: %s %s, attempt %s, again %v", id, out.Result.Status, out.Result.Reason, out.Result.AttemptID, out.Again)
		r.counts.add("ran "+string(out.Result.Status)+" "+string(out.Result.Reason), 1)
		if r.held.locked || r.held.frozen {
			r.breach("the run of %s ended and something is held: %+v", id, r.held)
		}
		broken := r.rig.Faults()
		for _, f := range broken[min(r.faults, len(broken)):] {
			r.breach("a rule of the window, in the run of %s: %s", id, f)
		}
		r.faults = len(broken)
	})
	return out
}

// life is one worker from its start to its end.
type life struct {
	*process
	journal worker.Journal // for looking, not for the worker
	stop    context.CancelFunc
	all     sync.WaitGroup
	ended   chan struct{}
}

// start starts the worker, as cmd/stillpoint wires it.
func (w *world) startWorker() (*life, error) {
	j, err := w.open()
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.ids++
	name := fmt.Sprintf("worker %d", w.ids)
	w.note("start of %s", name)
	ctx, cancel := context.WithCancel(context.Background())
	rest, cancelRest := context.WithCancel(context.Background())
	p := w.process(name, func() { cancel(); cancelRest() })
	w.mu.Unlock()
	l := &life{process: p, journal: j, stop: cancel, ended: make(chan struct{})}
	half := func() float64 { return 0.5 }
	outbox := &worker.Outbox{
		Journal: recorder{j, p, "outbox: "}, Publisher: sns{p, "outbox: "}, Tagger: tagger{p}, Log: zerolog.Nop(), Random: half,
		Idle: time.Minute, // fewer passes over a real directory in hours of the model's time
	}
	handler := &worker.Handler{
		Identity: self, Runner: newRunner(p, ""), Journal: recorder{j, p, ""}, Publisher: sns{p, ""}, Outbox: outbox, Log: zerolog.Nop(),
	}
	loop := &worker.Loop{Queue: sqs{p}, Log: zerolog.Nop(), Random: half, Handler: handler}
	resumption := &worker.Resumption{Handler: handler, Resumer: resumer{newRunner(p, "start: ")}, Log: zerolog.Nop()}
	l.all.Go(func() { outbox.Run(rest) })
	l.all.Go(func() { resumption.Run(rest) })
	l.all.Go(func() {
		defer cancelRest()
		loop.Run(ctx)
	})
	go func() {
		l.all.Wait()
		close(l.ended)
	}()
	return l, nil
}

// cli is one `stillpoint snapshot`: it says who is busy instead of waiting.
func (w *world) cli(request, plan string) error {
	j, err := w.open()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.mu.Lock()
	if w.turn != nil {
		w.mu.Unlock()
		cancel()
		return nil
	}
	w.ids++
	p := w.process(fmt.Sprintf("cli %d", w.ids), cancel)
	w.turn = p
	w.note("start of %s for %s", p.name, request)
	w.byHand[request] = true
	w.mu.Unlock()
	go func() {
		defer func() { // a clean end: the kernel takes the lock back, too
			p.mu.Lock()
			defer p.mu.Unlock()
			p.end()
		}()
		h := &worker.Handler{
			Identity: self, Runner: locked{newRunner(p, "")}, Journal: recorder{j, p, ""}, Publisher: sns{p, ""}, NoQueue: true, Log: zerolog.Nop(),
		}
		d := messages.Delivery{Request: messages.Request{RequestID: request, Plan: plan}, Source: messages.SourceCLI, RequestedAt: time.Now()}
		h.Handle(ctx, d, "cli:"+p.name, nil)
	}()
	return nil
}

// locked is the runner of a process that has the turn already.
type locked struct{ *runner }

func (locked) Turn(context.Context) (func(), error) { return func() {}, nil }
