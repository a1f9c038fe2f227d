package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stillpoint/internal/mysql/wire"
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

// Flush says when the preliminary flush runs.
type Flush string

// When it runs.
const (
	// FlushAuto: only where nothing in use would block it.
	FlushAuto Flush = "auto"
	// FlushAlways: even where something in use may block it. On MySQL this
	// can leave tables flush-pending behind a long query, see Holder.Lock.
	FlushAlways Flush = "always"
	// FlushNever: not at all.
	FlushNever Flush = "never"
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
func (h *Holder) Settle(ctx context.Context) (string, error) {
	if h.Closed || h.Held {
		return "", fmt.Errorf("cannot flush %s: the session is closed or holds the lock", h.Target)
	}
	if h.Flush == FlushNever {
		return "no preliminary flush: the plan says never", nil
	}
	if h.method.Kind != snapshot.LockFTWRL && h.method.Kind != snapshot.LockBackupStage && h.Flush != FlushAlways {
		return "no preliminary flush: the lock flushes no table", nil
	}
	if h.Flush == FlushAuto && !h.Server.IsMariaDB() {
		return "no preliminary flush: on MySQL it can do harm, see preliminary_flush", nil
	}
	if err := h.Revive(ctx); err != nil {
		return "", err
	}
	bound := flushTimeoutMariaDB
	if !h.Server.IsMariaDB() {
		bound = flushTimeoutMySQL
	}
	if err := h.A.Exec(ctx, "SET SESSION lock_wait_timeout = 1"); err != nil {
		return "", h.StatementError(h.A, "prepare the flush in", err)
	}
	start := time.Now()
	err := h.request(ctx, statementFlush, bound)
	took := time.Since(start).Round(100 * time.Microsecond)
	var loose *notWithdrawnError
	switch {
	case err == nil:
		return fmt.Sprintf("%s in %v", statementFlush, took), nil
	case errors.As(err, &loose):
	case errors.Is(err, errWithdrawn), wire.IsNotGranted(err):
		return fmt.Sprintf("the preliminary flush was given up after %v: something in use blocked it", took), nil
	}
	return "", h.lockError(ctx, "flush the tables of", err)
}
