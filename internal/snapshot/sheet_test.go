package snapshot_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// The file is made before the lock, written under it and before the freeze, and
// removed when nothing is held.
func TestCoordinatesFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		sheet := b.AddSheet()
		sheet.Found = "one was there"
		r := b.run(t, t.Context()).Result
		if r.Status != messages.Succeeded || !warned(r, "one was there") {
			t.Fatalf("%s %q", r.Message, r.Warnings)
		}
		calls := " " + strings.Join(b.Calls(), " ") + " "
		at := -1
		for _, c := range []string{"Sheet.Open", "Session.Lock", "Session.Coordinates", "Sheet.Write", "Guard.Freeze", "Guard.Thaw", "Session.Unlock", "Sheet.Close"} {
			i := strings.Index(calls, " "+c+" ")
			if i <= at {
				t.Errorf("%s is not in its place: %s", c, calls)
			}
			at = i
		}
		for _, want := range []string{"request_id: req-1\n", "plan: nightly\n", "gtid: 0-1-42\n"} {
			if !strings.Contains(sheet.Text, want) {
				t.Errorf("the file lacks %q: %s", want, sheet.Text)
			}
		}
	})
}

// A file that cannot be written is no reason to give up the set; one that cannot be made is.
func TestCoordinatesFileThatFails(t *testing.T) {
	inBubble(t, "write", func(t *testing.T) {
		b := newBed()
		b.AddSheet().WriteFunc = func(context.Context, string) error { return errors.New("disk full") }
		out := b.run(t, t.Context())
		if got := of(out); got != success(messages.ConsistencyApplication) || !warned(out.Result, "not in the snapshot's coordinates_file, or not whole: disk full") {
			t.Errorf("%+v, %q", got, out.Result.Warnings)
		}
	})
	inBubble(t, "a write that hangs", func(t *testing.T) {
		b := newBed()
		b.AddSheet().WriteFunc = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
		out := b.run(t, t.Context())
		if got := of(out); got != success(messages.ConsistencyApplication) || out.Result.Timings.LockHeld > 1100 {
			t.Errorf("%+v, held for %v ms", got, out.Result.Timings.LockHeld)
		}
	})
	inBubble(t, "open", func(t *testing.T) {
		b := newBed()
		b.AddSheet().OpenFunc = func(context.Context) error { return &snapshot.RefusedError{Sentence: "it is not ours"} }
		if got := of(b.run(t, t.Context())); got != failed(messages.ReasonPreflightFailed) {
			t.Errorf("%+v", got)
		}
	})
	inBubble(t, "close", func(t *testing.T) {
		b := newBed()
		b.AddSheet().CloseFunc = func() error { return errors.New("it is still there") }
		out := b.run(t, t.Context())
		if got := of(out); got != success(messages.ConsistencyApplication) || !warned(out.Result, "it is still there") {
			t.Errorf("%+v, %q", got, out.Result.Warnings)
		}
	})
}

// What a thaw could not end the guardian's end does, and the database's session
// lets go by its own: neither waits for the file, whose removal a frozen file system holds up.
func TestCoordinatesFileIsRemovedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.AddSheet()
		b.Freezer.ThawFunc = func(context.Context) (snapshot.Thawed, error) { return snapshot.Thawed{}, errors.New("no answer") }
		b.run(t, t.Context())
		calls := " " + strings.Join(b.Calls(), " ") + " "
		last := strings.Index(calls, " Sheet.Close ")
		for _, c := range []string{"Guard.Close", "Session.Close"} {
			if i := strings.Index(calls, " "+c+" "); i < 0 || i > last {
				t.Errorf("%s comes after the removal of the file: %s", c, calls)
			}
		}
	})
}
