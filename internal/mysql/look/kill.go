package look

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"stillpoint/internal/mysql/session"
	"stillpoint/internal/mysql/wire"
)

const (
	// maxKilled bounds what is ended in one session's life. More would be no
	// longer a matter of one statement that was forgotten.
	maxKilled = 16
	// goneTimeout bounds the wait until what was killed has rolled back and is gone.
	goneTimeout = 5 * time.Second
	// trxCacheAge is for how long both servers answer from a copy of
	// information_schema.INNODB_TRX that was made for someone else (100 ms:
	// CACHE_MIN_IDLE_TIME_US in trx0i_s.cc, read there).
	trxCacheAge = 110 * time.Millisecond
)

// killLong ends, of the statements in the list, those that the plan and
// common sense let be ended, and waits until they are gone. It returns those
// that are still there, each with the reason.
//
// Ended is only a statement (KILL QUERY): the session lives on, and what it
// holds between statements stays. Threads of replication are not in the list.
// A statement that changes data is ended only where InnoDB says by how much,
// since what it has changed elsewhere would stay half done.
func (w *Watcher) killLong(ctx context.Context, list []Blocker) (left []Blocker, err error) {
	var killed []Blocker
	now, err := w.recheck(ctx, list)
	if err != nil {
		return nil, err
	}
	for _, b := range list {
		look, there := now[b.key()]
		if !there && b.run != "" {
			continue // it has ended by itself
		}
		if b.spared = w.spare(b, look); b.spared == "" {
			err := w.killStatement(ctx, b)
			switch {
			case err == nil:
				w.noteKilled(b)
				killed = append(killed, b)
				continue
			case wire.Code(err) == wire.ErNoSuchThread, wire.Code(err) == wire.ErNoSuchQuery:
				continue // likewise
			case wire.IsDenied(err), wire.Code(err) == wire.ErKillDenied:
				b.spared = "the server does not let us; nobody without SYSTEM_USER may end what a user with it runs"
			default:
				return nil, w.StatementError(w.B, "end a statement of", err)
			}
		}
		left = append(left, b)
	}
	still, err := w.awaitGone(ctx, killed)
	for _, b := range still {
		b.spared = "it was, and is still rolling back"
		left = append(left, b)
	}
	return left, err
}

// spare says why a statement is not to be ended; "" where it is. now is what it
// is doing at this moment.
func (w *Watcher) spare(b Blocker, now running) string {
	switch {
	case b.idle:
		return "it sleeps, and only statements are ended"
	case b.run == "":
		return "the server does not tell it from the session's next one"
	case w.ended[b.key()]:
		return "it was, and is still rolling back"
	case b.age < w.KillAfter:
		return fmt.Sprintf("it is younger than kill_after (%v)", w.KillAfter)
	case len(w.Killed) >= maxKilled:
		return fmt.Sprintf("%d statements were already, and more would be an outage of its own", maxKilled)
	case now.trx && now.rows > uint64(w.KillMaxRows):
		return fmt.Sprintf("its transaction has changed %d rows, and kill_max_rows is %d", now.rows, w.KillMaxRows)
	case b.reads, now.trx && now.locks, b.state == metadataWait:
		return ""
	}
	return "it may have changed tables that cannot roll back"
}

// running is what is known of a statement right before it would be ended.
type running struct {
	trx   bool // it has an InnoDB transaction
	locks bool // which has locked tables, as one that writes has
	rows  uint64
}

// recheck looks at the statements again, and at how much their transactions have
// changed. INNODB_TRX is read here alone, and not from a copy older than the look.
func (w *Watcher) recheck(ctx context.Context, list []Blocker) (map[string]running, error) {
	if wait := trxCacheAge - time.Since(w.trxRead); wait > 0 {
		session.Pause(ctx, wait)
	}
	from := `information_schema.PROCESSLIST p`
	id, run := "p.ID", "p.QUERY_ID"
	if !w.Server.IsMariaDB() {
		from = `performance_schema.threads p JOIN performance_schema.events_statements_current e ON e.THREAD_ID = p.THREAD_ID AND e.END_EVENT_ID IS NULL`
		id, run = "p.PROCESSLIST_ID", "MIN(e.EVENT_ID)"
	}
	rows, err := w.B.Query(ctx, fmt.Sprintf(`SELECT %[1]s AS id, %[2]s AS run, MAX(x.trx_id) AS trx,
		MAX(x.trx_tables_locked) AS locked, MAX(x.trx_rows_modified) AS modified
		FROM %[3]s LEFT JOIN information_schema.INNODB_TRX x ON x.trx_mysql_thread_id = %[1]s
		WHERE %[1]s IN (%[4]s) GROUP BY %[1]s`, id, run, from, idList(list)))
	w.trxRead = time.Now()
	if err != nil {
		return nil, w.StatementError(w.B, "read the transactions of", err)
	}
	now := make(map[string]running, len(rows))
	for _, r := range rows {
		n, err := strconv.ParseUint(r["modified"], 10, 64)
		if err != nil && r["trx"] != "" {
			return nil, fmt.Errorf("cannot read trx_rows_modified: %w", err)
		}
		key := r["id"] + "/" + r["run"]
		now[key] = running{trx: r["trx"] != "", rows: n, locks: r["locked"] != "" && r["locked"] != "0"}
	}
	return now, nil
}

// killStatement ends a statement and nothing else: MariaDB kills by the
// statement's own number. MySQL kills whatever the session is running: the moment between
// recheck and this is what is left there, for a statement that had been running for KillAfter.
func (w *Watcher) killStatement(ctx context.Context, b Blocker) error {
	if w.Server.IsMariaDB() {
		return w.B.Exec(ctx, "KILL QUERY ID "+b.run)
	}
	return w.B.Exec(ctx, fmt.Sprintf("KILL QUERY %d", b.id))
}

// noteKilled keeps what was ended for the result, and tells whoever logs it.
func (w *Watcher) noteKilled(b Blocker) {
	if w.ended == nil {
		w.ended = map[string]bool{}
	}
	w.ended[b.key()] = true
	w.Killed = append(w.Killed, b.statement())
	if w.OnKill != nil {
		w.OnKill(b.statement())
	}
}

// awaitGone waits until none of them runs any more, and returns those that still do.
func (w *Watcher) awaitGone(ctx context.Context, list []Blocker) ([]Blocker, error) {
	for end := time.Now().Add(goneTimeout); len(list) > 0; session.Pause(ctx, lookEvery) {
		all, err := w.Blockers(ctx, 0)
		if err != nil {
			return nil, err
		}
		list = slices.DeleteFunc(slices.Clone(list), func(b Blocker) bool {
			return !slices.ContainsFunc(all, func(o Blocker) bool { return o.key() == b.key() })
		})
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("cannot lock %s: %w", w.Target, err)
		}
		if time.Now().After(end) {
			break
		}
	}
	return list, nil
}
