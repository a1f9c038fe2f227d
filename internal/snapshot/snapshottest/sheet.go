package snapshottest

import (
	"context"

	"stillpoint/internal/snapshot"
)

// Sheet fakes snapshot.CoordinatesFile and what it opens. Set Rig.Sheet to use it.
type Sheet struct {
	// Found is what a run that was killed has left.
	Found string
	// Text is what was written last.
	Text string

	OpenFunc  func(ctx context.Context) error
	WriteFunc func(ctx context.Context, text string) error
	CloseFunc func() error

	rig            *Rig
	opened, closed int
}

type openSheet struct {
	*Sheet
	open bool
}

var _ snapshot.CoordinatesFile = (*Sheet)(nil)

// AddSheet gives the host's plan a coordinates file.
func (r *Rig) AddSheet() *Sheet {
	r.Sheet = &Sheet{rig: r}
	return r.Sheet
}

// Open implements snapshot.CoordinatesFile.
func (f *Sheet) Open(ctx context.Context) (snapshot.Sheet, string, error) {
	f.rig.note("Sheet.Open")
	if f.OpenFunc != nil {
		if err := f.OpenFunc(ctx); err != nil {
			return nil, "", err
		}
	}
	f.opened++
	return &openSheet{f, true}, f.Found, ctx.Err()
}

func (s *openSheet) Write(ctx context.Context, text string) error {
	s.rig.note("Sheet.Write")
	s.rig.bounded(ctx, "Sheet.Write")
	if !s.rig.locked {
		s.rig.fault("the coordinates are written without the lock")
	}
	if s.WriteFunc != nil {
		if err := s.WriteFunc(ctx, text); err != nil {
			return err
		}
	}
	s.Text = text
	return nil
}

func (s *openSheet) Close() error {
	s.rig.note("Sheet.Close")
	if s.open {
		s.open = false
		s.closed++
	}
	if s.CloseFunc != nil {
		return s.CloseFunc()
	}
	return nil
}
