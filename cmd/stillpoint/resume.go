package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/rs/zerolog"

	"stillpoint/internal/config"
	"stillpoint/internal/ebs"
	"stillpoint/internal/snapshot"
	"stillpoint/messages"
	"stillpoint/worker"
)

// resumer settles what dead workers left. It has pipelines and a client to EC2
// of its own: a run may be inside its window meanwhile, with a connection that
// was warmed for it.
type resumer struct {
	id      messages.Identity
	client  *ebs.Client
	inForce *atomic.Pointer[config.File]
	log     zerolog.Logger

	run *runner // of the file that was in force last
}

var _ worker.Resumer = (*resumer)(nil)

// newResumer makes one for the file that the worker starts with, which makes sense.
func newResumer(l *life, cfg aws.Config, id messages.Identity, log zerolog.Logger) *resumer {
	r := &resumer{id: id, client: ebs.New(cfg, id.InstanceID), inForce: &l.inForce, log: log}
	r.client.OnError = l.metrics.EC2Error
	r.run = r.build(l.file)
	return r
}

// build leaves out the plans that cannot be built: what they left is settled
// all the same.
func (r *resumer) build(f *config.File) *runner {
	run, err := newRunner(f, r.id, r.client, func(bool) {}, r.log)
	if err != nil {
		r.log.Debug().Err(err).Msg("a plan cannot be built")
	}
	run.log = zerolog.Nop() // that it waits for its turn is of no interest
	return run
}

func (r *resumer) current() *runner {
	if f := r.inForce.Load(); f != nil && f != r.run.file {
		r.run = r.build(f)
	}
	return r.run
}

// Turn is the runner's, without a word to the monitor: nobody waits for it.
func (r *resumer) Turn(ctx context.Context) (func(), error) { return r.current().Turn(ctx) }

// MaxAge is the plan's, or the default where the file has no such plan any more.
func (r *resumer) MaxAge(plan string) time.Duration {
	if p := r.current().file.Plans[plan]; p != nil {
		return p.MaxAge
	}
	return config.NewPlan(plan).MaxAge
}

// Reconcile is that of the plan's pipeline. A plan that is not in the file any
// more, or never was (`stillpoint snapshot` with flags), has one that does no
// more than this.
func (r *resumer) Reconcile(ctx context.Context, job snapshot.Job) snapshot.Outcome {
	name := job.Delivery.Request.Plan
	p := r.current().pipelines[name]
	if p == nil {
		p = &snapshot.Pipeline{Plan: snapshot.Plan{Name: name, SnapshotTimeout: config.NewPlan(name).SnapshotTimeout}, Identity: r.id, EBS: r.client}
		_, p.LookupDelays = tracing()
	}
	return p.Reconcile(ctx, job)
}
