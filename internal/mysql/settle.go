package mysql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stillpoint/internal/snapshot"
)

// statementFlush closes all open tables. It must be LOCAL: without, it is
// written to the binlog and on a MySQL replica makes an errant GTID [facts].
const statementFlush = "FLUSH LOCAL TABLES"

const (
	// flushTimeoutMariaDB bounds the flush where it blocks nobody and only has to write.
	flushTimeoutMariaDB = 10 * time.Second
	// flushTimeoutMySQL bounds it where a statement that came in between could make it wait.
	flushTimeoutMySQL = time.Second
)

// Settle runs the preliminary flush where it can do no harm. On MariaDB it waits
// for no statement and nobody waits for it [facts, "What FTWRL waits for"].
//
// On MySQL it waits for whatever uses a table, makes the table's later users
// wait as well, and what it has begun no timeout undoes. That nothing is in use can be
// looked up, but a statement may begin between the look and the flush: so there
// FlushAuto leaves it out. What it would save is little: with 800 open tables
// (half of them MyISAM, a row written to each) FTWRL took 5-8 ms without and 0.2-0.3 ms after
// it. FlushAlways runs it, bounded by a second. A flush that was withdrawn is no error.
func (s *Session) Settle(ctx context.Context) (string, error) {
	if s.closed || s.held {
		return "", fmt.Errorf("cannot flush %s: the session is closed or holds the lock", s.target)
	}
	if s.cfg.PreliminaryFlush == FlushNever {
		return "no preliminary flush: the plan says never", nil
	}
	if s.method.kind != snapshot.LockFTWRL && s.method.kind != snapshot.LockBackupStage && s.cfg.PreliminaryFlush != FlushAlways {
		return "no preliminary flush: the lock flushes no table", nil
	}
	if s.cfg.PreliminaryFlush == FlushAuto && !s.server.mariadb() {
		return "no preliminary flush: on MySQL it can do harm, see preliminary_flush", nil
	}
	if err := s.revive(ctx); err != nil {
		return "", err
	}
	bound := flushTimeoutMariaDB
	if !s.server.mariadb() {
		bound = flushTimeoutMySQL
	}
	if err := s.a.exec(ctx, "SET SESSION lock_wait_timeout = 1"); err != nil {
		return "", s.statementError(s.a, "prepare the flush in", err)
	}
	start := time.Now()
	err := s.request(ctx, statementFlush, bound)
	took := time.Since(start).Round(100 * time.Microsecond)
	var loose *notWithdrawnError
	switch {
	case err == nil:
		return fmt.Sprintf("%s in %v", statementFlush, took), nil
	case errors.As(err, &loose):
	case errors.Is(err, errWithdrawn), isNotGranted(err):
		return fmt.Sprintf("the preliminary flush was given up after %v: something in use blocked it", took), nil
	}
	return "", s.lockError(ctx, "flush the tables of", err)
}
