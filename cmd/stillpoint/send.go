package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"stillpoint/internal/config"
	"stillpoint/internal/queue"
	"stillpoint/messages"
)

type sendCommand struct {
	Plan          string            `arg:"" optional:"" help:"The plan; none: the worker's default plan."`
	QueueURL      string            `help:"The queue (default: queue_url of the file)." placeholder:"URL"`
	RequestID     string            `help:"Names the request: the same id never makes a second set on one instance." placeholder:"ID"`
	InstanceID    string            `help:"The instance that it is meant for." placeholder:"i-..."`
	ScheduledTime string            `help:"When it was due (RFC 3339)." placeholder:"TIME"`
	MaxAge        string            `help:"Skip it when it is picked up later than this." placeholder:"DURATION"`
	Description   string            `help:"For the snapshots."`
	Tag           map[string]string `help:"A tag for the snapshots, where the plan lets requests set it; may be repeated." placeholder:"KEY=VALUE" mapsep:"none"`
	DryRun        bool              `help:"All checks and look-ups; no lock, no freeze, no snapshot."`
	Region        string            `help:"Region of the queue (default: the AWS configuration, the queue's URL, or the file)." placeholder:"REGION"`
}

// Run sends the request.
func (c sendCommand) Run(ctx context.Context, g *globals) error {
	req := messages.Request{
		SchemaVersion: messages.SchemaVersion, RequestID: c.RequestID, Action: messages.ActionSnapshot, Plan: c.Plan,
		InstanceID: c.InstanceID, Description: c.Description, Tags: c.Tag, DryRun: c.DryRun,
	}
	var err error
	if c.ScheduledTime != "" {
		if req.ScheduledTime, err = time.Parse(time.RFC3339, c.ScheduledTime); err != nil {
			return coded(exitUsage, fmt.Errorf("--scheduled-time: %q is no RFC 3339 time, such as 2026-11-22T03:00:00Z", c.ScheduledTime))
		}
	}
	if c.MaxAge != "" {
		d, err := messages.ParseDuration(c.MaxAge)
		if err != nil {
			return coded(exitUsage, fmt.Errorf("--max-age: %w", err))
		}
		req.MaxAge = messages.Duration(d)
	}
	if err := req.Validate(time.Now()); err != nil {
		return coded(exitRefused, fmt.Errorf("the worker would reject this request: %w", err))
	}
	body, err := messages.Encode(req)
	if err != nil {
		return err
	}
	url, region := c.QueueURL, c.Region
	if url == "" {
		f, err := config.Load(g.configPath())
		if err != nil {
			return coded(exitConfig, fmt.Errorf("%w (or give --queue-url)", err))
		}
		if url = f.QueueURL; url == "" {
			return coded(exitConfig, errors.New("the file has no queue_url: add it, or give --queue-url"))
		}
		if err := permitted(f, req); err != nil {
			return coded(exitRefused, fmt.Errorf("the worker would reject this request: %w (with --queue-url the file %s is not asked)", err, g.configPath()))
		}
		if region == "" {
			region = f.Region
		}
	}
	cfg, err := awsConfig(ctx, region)
	if err != nil {
		return err
	}
	if cfg.Region == "" {
		if cfg.Region = config.QueueRegion(url); cfg.Region == "" {
			return coded(exitConfig, errors.New("the queue's region is not known: give --region or set AWS_REGION"))
		}
	}
	id, err := queue.New(cfg, queue.Config{URL: url}).Send(ctx, body)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(g.out, "sent: message id", id)
	return err
}

// permitted says whether the file lets a request be what it is. A file without
// plans is one that only says where the queue is: the worker's is elsewhere.
func permitted(f *config.File, req messages.Request) error {
	if len(f.Plans) == 0 {
		return nil
	}
	name := cmp.Or(req.Plan, f.DefaultPlan)
	if name == "" {
		return errors.New("it names no plan, and the file has no default_plan")
	}
	p, ok := f.Plans[name]
	if !ok {
		return fmt.Errorf("there is no plan %q: there is %s", name, strings.Join(slices.Sorted(maps.Keys(f.Plans)), ", "))
	}
	return p.Permit(req)
}
