package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"stillpoint/internal/snapshot"
)

// stopWithin bounds the stop of all appliers of one try. A stop waits for what the
// applier is in the middle of: one statement, on MySQL all that its workers have
// been given. Nothing is held meanwhile, the replica only falls behind.
const stopWithin = 10 * time.Second

// applier is what one run has stopped of a replica.
type applier struct {
	// channels are those whose SQL thread ran when we came, and was stopped, or is
	// about to be.
	channels []string
	// whole says that all of them were seen to have stopped.
	whole bool
	note  *note
	// late says that StartApplier failed, and that it is still owed.
	late bool
	// within is stopWithin, except in tests.
	within time.Duration
}

// StopApplier stops the SQL thread of every channel in which it runs, and makes
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
func (s *Session) StopApplier(ctx context.Context) (int, error) {
	switch {
	case !s.cfg.StopApplier:
		return 0, nil
	case s.applier.late && !s.closed && !s.held:
		if err := s.startLate(ctx); err != nil {
			return 0, err
		}
	case s.closed || s.held || len(s.applier.channels) > 0:
		return 0, fmt.Errorf("cannot stop the applier of %s: the session is closed, holds the lock, or has stopped it already", s.target)
	}
	if err := s.revive(ctx); err != nil {
		return 0, err
	}
	running, err := s.runningAppliers(ctx)
	if err != nil || len(running) == 0 {
		return 0, err
	}
	n, err := s.newNote(ctx, running)
	if err != nil {
		return 0, err
	}
	s.applier.channels, s.applier.whole, s.applier.note = running, false, n
	if err := s.stopAll(ctx, running); err != nil {
		return 0, err
	}
	s.applier.whole = true
	if err := n.stopped(); err != nil {
		return 0, err
	}
	return len(running), s.noOpenTables(ctx)
}

// startLate makes up for a StartApplier of an earlier try that failed, most likely
// because the stop before it was still waiting for the applier.
func (s *Session) startLate(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, s.stopWithin())
	defer cancel()
	err := s.StartApplier(within)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("cannot start the applier of %s: %w", s.target, ctx.Err())
	case within.Err() != nil:
		return &snapshot.LockNotGrantedError{Waited: true, Blockers: "the replica's applier has not stopped since the try before, and so was not started again: it is in the middle of something long"}
	}
	return err
}

func (s *Session) stopWithin() time.Duration {
	if s.applier.within > 0 {
		return s.applier.within
	}
	return stopWithin
}

// runningAppliers names the channels in which the SQL thread runs.
func (s *Session) runningAppliers(ctx context.Context) ([]string, error) {
	channels, err := s.readChannels(ctx, s.b)
	if err != nil {
		return nil, s.statementError(s.b, "read the replica status of", err)
	}
	var running []string
	for _, ch := range channels {
		switch {
		case !ch.applying:
		case strings.HasPrefix(ch.name, "group_replication_"):
			return nil, s.target.refused("is a member of a replication group, whose applier cannot be stopped: take replica: stop_applier out of the plan", nil)
		case !goodName(ch.name):
			return nil, s.target.refused(fmt.Sprintf("has a replication channel whose name cannot be put into a statement (%s)", printable(ch.name)), nil)
		default:
			running = append(running, ch.name)
		}
	}
	return running, nil
}

// stopAll stops the channels one after the other on A, and sees that they have.
func (s *Session) stopAll(ctx context.Context, channels []string) error {
	within := s.stopWithin()
	deadline, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	d := s.server.dialect()
	for _, name := range channels {
		err := s.a.execWithin(deadline, d.stop(name))
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return fmt.Errorf("cannot stop the applier of %s: %w", s.target, ctx.Err())
		case deadline.Err() != nil:
			return &snapshot.LockNotGrantedError{Waited: true, Blockers: fmt.Sprintf("the replica's applier%s did not stop within %v: it is in the middle of something long", ofName(name), within)}
		default:
			return s.statementError(s.a, "stop the applier of", err)
		}
	}
	still, err := s.runningAppliers(ctx)
	if err != nil {
		return err
	}
	for _, name := range channels {
		if slices.Contains(still, name) {
			return &snapshot.LockNotGrantedError{Waited: true, Blockers: fmt.Sprintf("the replica's applier%s was started by someone else while it was being stopped", ofName(name))}
		}
	}
	return nil
}

// noOpenTables says that no temporary table of the stopped appliers is open: they
// are in no snapshot, and the statements to come would not find them.
func (s *Session) noOpenTables(ctx context.Context) error {
	name := s.server.dialect().openTempTables
	rows, err := s.b.query(ctx, "SHOW GLOBAL STATUS LIKE '"+name+"'")
	if err != nil {
		return s.statementError(s.b, "read the status of", err)
	}
	n, err := oneUint(rows, "value")
	if err != nil {
		return fmt.Errorf("cannot read %s of %s: %w", name, s.target, err)
	}
	if n > 0 {
		return &snapshot.LockNotGrantedError{Waited: true, Blockers: fmt.Sprintf("the replica's applier was in between statements that use %d temporary table(s)", n)}
	}
	return nil
}

// StartApplier starts again what StopApplier has stopped, and nothing else. It
// may be called when nothing is stopped, and again after an error. See
// snapshot.DatabaseSession.
func (s *Session) StartApplier(ctx context.Context) error {
	if len(s.applier.channels) == 0 {
		return nil
	}
	s.applier.late = true
	if !s.b.alive() || s.b.exec(ctx, "DO 0") != nil {
		s.b.drop()
		fresh, err := open(ctx, s.dial)
		if err != nil {
			return s.target.connectError(ctx, err)
		}
		s.b = fresh
	}
	if s.applier.note != nil {
		restarted, err := s.applier.note.outlived(ctx, s.b)
		if err != nil {
			return s.statementError(s.b, "ask", err)
		}
		if restarted {
			return s.applierDone()
		}
	}
	d := s.server.dialect()
	var errs []error
	left := s.applier.channels[:0:0]
	for _, name := range s.applier.channels {
		if err := s.b.execWithin(ctx, d.start(name)); err != nil {
			errs = append(errs, fmt.Errorf("cannot start the applier%s of %s: %w", ofName(name), s.target, err))
			left = append(left, name)
		}
	}
	if s.applier.channels = left; len(left) > 0 {
		return errors.Join(errs...)
	}
	return s.applierDone()
}

func (s *Session) applierDone() error {
	n := s.applier.note
	s.applier.channels, s.applier.note, s.applier.late = nil, nil, false
	return n.remove()
}

// ofName names a channel in a sentence.
func ofName(channel string) string {
	if channel == "" {
		return ""
	}
	return " of channel " + strconv.Quote(channel)
}

// execWithin runs one statement, bounded by ctx alone: it is for those that may
// take longer than statementTimeout. Running into the bound costs the
// connection, and does not end the statement in the server.
func (c *conn) execWithin(ctx context.Context, statement string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_, err := c.raw.ExecContext(ctx, statement, nil)
	return err
}
