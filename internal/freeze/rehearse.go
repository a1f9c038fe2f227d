package freeze

import (
	"context"
	"errors"
	"slices"
)

// rehearsing is a Freezer that leaves no trace of what it does on this host: its
// record has no name, so that it is in nobody's way and settles nothing, and the
// standard streams, which are not the worker's, do not count.
func (f *Freezer) rehearsing() *Freezer {
	c := f.config
	if c.RuntimeDir != "" {
		c.Forbidden = append(slices.Clone(c.Forbidden), c.RuntimeDir)
	}
	c.RuntimeDir = ""
	return &Freezer{config: c, rehearsal: true}
}

// Examine says of each mount point, in their order, why Arm would refuse it; nil
// where it would not. It opens them, and does nothing else.
func (f *Freezer) Examine(mounts []string) []error {
	r := f.rehearsing()
	errs := make([]error, len(mounts))
	for i, m := range mounts {
		var targets []*target
		targets, errs[i] = r.resolve([]string{m})
		for _, t := range targets {
			_ = t.file.Close()
		}
	}
	return errs
}

// Rehearse starts a guardian for the mount points as Arm does, asks it for a sign
// of life, and ends it. Nothing is frozen, and no run is in its way or it in
// theirs. notes are what the guardian could not do that is not fatal, one
// sentence each. The error is that of Arm, Ready or Close.
func (f *Freezer) Rehearse(ctx context.Context, mounts []string) (notes []string, err error) {
	g, err := f.rehearsing().Arm(ctx, mounts)
	if err != nil {
		return nil, err
	}
	err = g.Ready(ctx)
	if guard, ok := g.(*Guard); ok {
		notes = guard.Report().Notes
	}
	return notes, errors.Join(err, g.Close())
}
