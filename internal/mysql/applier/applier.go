package applier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/position"
	"stillpoint/internal/mysql/session"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
)

// Applier is what one run stops and starts of a replica.
type Applier struct {
	*session.Pair
	// at is where the server is, for the note.
	at wire.Address
	// dir is where the note is written before anything is stopped; "" for nowhere.
	dir string
	// Within bounds the stop of all appliers of one try.
	Within time.Duration

	// channels are those whose SQL thread ran when we came, and was stopped, or is
	// about to be.
	channels []string
	// whole says that all of them were seen to have stopped.
	whole bool
	note  *note
	// late says that a start failed, and that it is still owed.
	late bool
}

// New notes in dir ("" for nowhere) what it stops of the server at that
// address. within bounds the stop of all appliers of one try: it waits
// for what the applier is in the middle of.
func New(p *session.Pair, at wire.Address, dir string, within time.Duration) *Applier {
	return &Applier{Pair: p, at: at, dir: dir, Within: within}
}

// Stopped are the channels that we have stopped, and seen to have stopped.
func (a *Applier) Stopped() []string {
	if !a.whole {
		return nil
	}
	return a.channels
}

// LetGo leaves what is still stopped to Settle.
func (a *Applier) LetGo() { a.note.letGo() }

// Stop stops the SQL thread of every channel in which it runs, and makes
// sure that no temporary table of theirs is open. See snapshot.DatabaseSession.
//
// It must be done before the lock is requested: under it a stop waits for an
// applier that waits for the lock (TestApplier, "a
// stop under the lock"), on both flavors. Nothing ends a stop that has begun: not KILL QUERY (on MySQL 9.7 it then
// failed with error 1146 about mysql.slave_relay_log_info, when the applier had
// stopped nevertheless), not the end of its connection. It goes on in the
// server until the applier has stopped. And a START that is sent meanwhile waits for
// it, also without its connection, so that what was sent last is what comes of it.
// Therefore a stop that takes too long is left to the server, followed by a start.
//
// Before the first stop a note is written to the runtime directory, for whoever
// comes after a SIGKILL.
func (a *Applier) Stop(ctx context.Context) (int, error) {
	switch {
	case a.late && !a.Closed && !a.Held:
		if err := a.startLate(ctx); err != nil {
			return 0, err
		}
	case a.Closed || a.Held || len(a.channels) > 0:
		return 0, fmt.Errorf("cannot stop the applier of %s: the session is closed, holds the lock, or has stopped it already", a.Target)
	}
	if err := a.Revive(ctx); err != nil {
		return 0, err
	}
	running, err := a.runningAppliers(ctx)
	if err != nil || len(running) == 0 {
		return 0, err
	}
	n, err := a.newNote(ctx, running)
	if err != nil {
		return 0, err
	}
	a.channels, a.whole, a.note = running, false, n
	if err := a.stopAll(ctx, running); err != nil {
		return 0, err
	}
	a.whole = true
	if err := n.stopped(); err != nil {
		return 0, err
	}
	return len(running), a.noOpenTables(ctx)
}

// startLate makes up for a start of an earlier try that failed, most likely
// because the stop before it was still waiting for the applier.
func (a *Applier) startLate(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, a.Within)
	defer cancel()
	err := a.Start(within)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("cannot start the applier of %s: %w", a.Target, ctx.Err())
	case within.Err() != nil:
		return &snapshot.LockNotGrantedError{Waited: true, Blockers: "the replica's applier has not stopped since the try before, and so was not started again: it is in the middle of something long"}
	}
	return err
}

// runningAppliers names the channels in which the SQL thread runs.
func (a *Applier) runningAppliers(ctx context.Context) ([]string, error) {
	channels, err := position.Channels(ctx, a.Pair, a.B)
	if err != nil {
		return nil, a.StatementError(a.B, "read the replica status of", err)
	}
	var running []string
	for _, ch := range channels {
		switch {
		case !ch.Applying:
		case strings.HasPrefix(ch.Name, "group_replication_"):
			return nil, a.Target.Refused("is a member of a replication group, whose applier cannot be stopped: take replica: stop_applier out of the plan", nil)
		case !dialect.GoodName(ch.Name):
			return nil, a.Target.Refused(fmt.Sprintf("has a replication channel whose name cannot be put into a statement (%s)", wire.Printable(ch.Name)), nil)
		default:
			running = append(running, ch.Name)
		}
	}
	return running, nil
}

// stopAll stops the channels one after the other on A, and sees that they have.
func (a *Applier) stopAll(ctx context.Context, channels []string) error {
	within := a.Within
	deadline, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	d := a.Server.Dialect()
	for _, name := range channels {
		err := a.A.ExecWithin(deadline, d.Stop(name))
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return fmt.Errorf("cannot stop the applier of %s: %w", a.Target, ctx.Err())
		case deadline.Err() != nil:
			return &snapshot.LockNotGrantedError{Waited: true, Blockers: fmt.Sprintf("the replica's applier%s did not stop within %v: it is in the middle of something long", OfName(name), within)}
		default:
			return a.StatementError(a.A, "stop the applier of", err)
		}
	}
	still, err := a.runningAppliers(ctx)
	if err != nil {
		return err
	}
	for _, name := range channels {
		if slices.Contains(still, name) {
			return &snapshot.LockNotGrantedError{Waited: true, Blockers: fmt.Sprintf("the replica's applier%s was started by someone else while it was being stopped", OfName(name))}
		}
	}
	return nil
}

// noOpenTables says that no temporary table of the stopped appliers is open: they
// are in no snapshot, and the statements to come would not find them.
func (a *Applier) noOpenTables(ctx context.Context) error {
	name := a.Server.Dialect().OpenTempTables
	rows, err := a.B.Query(ctx, "SHOW GLOBAL STATUS LIKE '"+name+"'")
	if err != nil {
		return a.StatementError(a.B, "read the status of", err)
	}
	n, err := wire.OneUint(rows, "value")
	if err != nil {
		return fmt.Errorf("cannot read %s of %s: %w", name, a.Target, err)
	}
	if n > 0 {
		return &snapshot.LockNotGrantedError{Waited: true, Blockers: fmt.Sprintf("the replica's applier was in between statements that use %d temporary table(s)", n)}
	}
	return nil
}

// Start starts again what stop has stopped, and nothing else. It
// may be called when nothing is stopped, and again after an error. See
// snapshot.DatabaseSession.
func (a *Applier) Start(ctx context.Context) error {
	if len(a.channels) == 0 {
		return nil
	}
	a.late = true
	if !a.B.Alive() || a.B.Exec(ctx, "DO 0") != nil {
		if err := a.OpenWatcher(ctx); err != nil {
			return err
		}
	}
	if a.note != nil {
		restarted, err := a.note.outlived(ctx, a.B)
		if err != nil {
			return a.StatementError(a.B, "ask", err)
		}
		if restarted {
			return a.applierDone()
		}
	}
	d := a.Server.Dialect()
	var errs []error
	left := a.channels[:0:0]
	for _, name := range a.channels {
		if err := a.B.ExecWithin(ctx, d.Start(name)); err != nil {
			errs = append(errs, fmt.Errorf("cannot start the applier%s of %s: %w", OfName(name), a.Target, err))
			left = append(left, name)
		}
	}
	if a.channels = left; len(left) > 0 {
		return errors.Join(errs...)
	}
	return a.applierDone()
}

func (a *Applier) applierDone() error {
	n := a.note
	a.channels, a.note, a.late = nil, nil, false
	return n.remove()
}

// OfName names a channel in a sentence.
func OfName(channel string) string {
	if channel == "" {
		return ""
	}
	return " of channel " + strconv.Quote(channel)
}
