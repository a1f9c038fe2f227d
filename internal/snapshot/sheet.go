package snapshot

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// CoordinatesFile puts the database's coordinates on a volume of the set, while
// that is locked. The adapter is internal/coordfile; a plan without has none.
type CoordinatesFile interface {
	// Open makes the file, with room for all that it may hold, while nothing is held.
	// found says that one was there already that a run left which was killed; "" where
	// none was. Its error is a *RefusedError.
	Open(ctx context.Context) (s Sheet, found string, err error)
}

// Sheet is the open file.
type Sheet interface {
	// Write puts the text into it, under the lock and before the freeze. It opens
	// nothing, allocates nothing on the disk, and comes back when ctx ends.
	Write(ctx context.Context, text string) error
	// Close removes the file, after the window.
	Close() error
}

// sheetWithin bounds the writing of the coordinates file under the lock.
const sheetWithin = time.Second

// owesSheet pushes the removal of the file, before anything else is pushed: it
// waits for a file system that could not be thawed, and Guard.Close, which then ends
// the freeze, must have run by then.
func (a *attempt) owesSheet(open *undo) {
	a.sheet = nil
	open.push(func() error {
		if a.sheet == nil {
			return nil
		}
		return a.sheet.Close()
	})
}

// openSheet makes the file, where the plan has one.
func (a *attempt) openSheet(ctx context.Context) error {
	if a.Sheet == nil || a.session == nil {
		return nil
	}
	s, found, err := a.Sheet.Open(ctx)
	if err != nil {
		return err
	}
	a.sheet = s
	if found != "" {
		a.warn("%s", found)
	}
	return nil
}

// writeSheet writes the coordinates to the volume, where the plan wants that. That it
// failed is no reason to give the set up, which has them in its tags as well.
func (a *attempt) writeSheet(held context.Context) {
	if a.sheet == nil {
		return
	}
	ctx, cancel := context.WithTimeout(held, sheetWithin)
	defer cancel()
	a.win.sheetErr = a.stage("coordinates-file", func() error {
		var text strings.Builder
		r := a.result
		fmt.Fprintf(&text, "request_id: %s\nattempt_id: %s\nplan: %s\ninstance_id: %s\nread_at: %s\n",
			r.RequestID, r.AttemptID, r.Plan, r.InstanceID, a.now().UTC().Format(time.RFC3339Nano))
		text.WriteString(a.session.Tell(*a.before))
		if !a.claim.worth().stops {
			text.WriteString("note: commits went on until the freeze, so that the set may hold more than these say; its own binlogs have its end\n")
		}
		return a.sheet.Write(ctx, text.String())
	})
}
