package look

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
)

// tableUsers reads who holds what on MySQL [facts, "Finding blockers"], which is
// whatever FTWRL waits for there (TestWhatBlocks):
//   - a table in use (a handle with an external lock): its flush waits for it, be
//     it a SELECT, or a session that sleeps after LOCK TABLES, FLUSH TABLES ... WITH
//     READ LOCK or FOR EXPORT;
//   - a table opened by HANDLER (a metadata lock of its own, without external
//     lock), also where the session sleeps;
//   - the right to write (a granted intention on the global lock): DML, and DDL
//     also where it waits itself, for a transaction or behind LOCK INSTANCE FOR BACKUP.
//
// LOCK INSTANCE FOR BACKUP and another's FTWRL do not block FTWRL themselves. The age is
// that of the outermost statement that runs, else that of the sleep.
func (w *Watcher) tableUsers(ctx context.Context) ([]Blocker, error) {
	return w.sessionsOf(ctx, `SELECT OWNER_THREAD_ID FROM performance_schema.table_handles WHERE EXTERNAL_LOCK IS NOT NULL
			UNION SELECT OWNER_THREAD_ID FROM performance_schema.metadata_locks
				WHERE LOCK_STATUS = 'GRANTED' AND (OBJECT_TYPE = 'GLOBAL' AND LOCK_TYPE = 'INTENTION_EXCLUSIVE'
					OR OBJECT_TYPE = 'TABLE' AND LOCK_DURATION = 'EXPLICIT')`)
}

// definers reads what LOCK INSTANCE FOR BACKUP waits for: DDL and account
// management, which hold the backup lock with the intention to change what it
// protects (TestLockModes).
func (w *Watcher) definers(ctx context.Context) ([]Blocker, error) {
	if !w.Server.MDL {
		return nil, nil // only DDL can be held up by the try, and for no longer than lock_timeout
	}
	return w.sessionsOf(ctx, `SELECT OWNER_THREAD_ID FROM performance_schema.metadata_locks
			WHERE OBJECT_TYPE = 'BACKUP LOCK' AND LOCK_TYPE = 'INTENTION_EXCLUSIVE' AND LOCK_STATUS = 'GRANTED'`)
}

// sessionsOf reads what the threads do that a query selects.
func (w *Watcher) sessionsOf(ctx context.Context, threads string) ([]Blocker, error) {
	rows, err := w.B.Query(ctx, fmt.Sprintf(`SELECT t.PROCESSLIST_ID AS id, t.THREAD_ID AS thread, COALESCE(t.PROCESSLIST_USER, '') AS user,
			t.PROCESSLIST_COMMAND AS command, t.PROCESSLIST_STATE AS state,
			COALESCE(e.TIMER_WAIT / 1000000000, t.PROCESSLIST_TIME * 1000, 0) AS ms,
			e.EVENT_ID AS run, e.EVENT_NAME AS event, e.DIGEST_TEXT AS digest, t.PROCESSLIST_INFO AS info,
			(SELECT MIN(CONCAT(h.OBJECT_SCHEMA, '.', h.OBJECT_NAME)) FROM performance_schema.metadata_locks h
				WHERE h.OWNER_THREAD_ID = t.THREAD_ID AND h.OBJECT_TYPE = 'TABLE' AND h.LOCK_STATUS = 'GRANTED') AS holds,
			(COALESCE(t.PROCESSLIST_USER, '') = 'system user' OR t.NAME LIKE 'thread/sql/slave%%' OR t.NAME LIKE 'thread/sql/replica%%') AS applier
		FROM performance_schema.threads t
		LEFT JOIN performance_schema.events_statements_current e ON e.THREAD_ID = t.THREAD_ID AND e.END_EVENT_ID IS NULL
			AND e.EVENT_ID = (SELECT MIN(o.EVENT_ID) FROM performance_schema.events_statements_current o
				WHERE o.THREAD_ID = t.THREAD_ID AND o.END_EVENT_ID IS NULL)
		WHERE t.PROCESSLIST_ID NOT IN (%d, %d) AND t.NAME <> 'thread/sql/event_scheduler' AND t.THREAD_ID IN (
			%s)
		ORDER BY ms DESC`, w.A.ID, w.B.ID, threads))
	if err != nil {
		return nil, w.StatementError(w.B, "read the performance_schema of", err)
	}
	list := make([]Blocker, 0, len(rows))
	for _, r := range rows {
		b := toBlocker(r)
		b.reads = r["event"] == "statement/sql/select"
		list = append(list, b)
	}
	return list, w.mysqlBehind(ctx, list)
}

// mysqlBehind finds for whom a statement that waits for a metadata lock waits.
func (w *Watcher) mysqlBehind(ctx context.Context, list []Blocker) error {
	waiting := waitingForMetadata(list)
	if len(waiting) == 0 || !w.Server.MDL {
		return nil
	}
	rows, err := w.B.Query(ctx, fmt.Sprintf(`SELECT DISTINCT w.PROCESSLIST_ID AS waiter, t.PROCESSLIST_ID AS id, COALESCE(t.PROCESSLIST_USER, '') AS user,
			t.PROCESSLIST_COMMAND AS command, t.PROCESSLIST_STATE AS state, t.PROCESSLIST_TIME * 1000 AS ms
		FROM performance_schema.threads w
		JOIN performance_schema.metadata_locks p ON p.OWNER_THREAD_ID = w.THREAD_ID AND p.LOCK_STATUS = 'PENDING'
		JOIN performance_schema.metadata_locks g ON g.OBJECT_TYPE = p.OBJECT_TYPE AND g.OBJECT_SCHEMA <=> p.OBJECT_SCHEMA
			AND g.OBJECT_NAME <=> p.OBJECT_NAME AND g.LOCK_STATUS = 'GRANTED' AND g.OWNER_THREAD_ID <> p.OWNER_THREAD_ID
		JOIN performance_schema.threads t ON t.THREAD_ID = g.OWNER_THREAD_ID
		WHERE w.PROCESSLIST_ID IN (%s) ORDER BY ms DESC LIMIT 20`, idList(waiting)))
	if err != nil {
		return w.StatementError(w.B, "read the performance_schema of", err)
	}
	noteBehind(list, rows)
	return nil
}

// withProcesses adds what runs and is not in the list, for a performance_schema
// that does not show all that is in use.
func (w *Watcher) withProcesses(ctx context.Context, list []Blocker) ([]Blocker, error) {
	running, err := w.mysqlProcesses(ctx)
	for _, b := range running {
		if !slices.ContainsFunc(list, func(o Blocker) bool { return o.id == b.id }) {
			list = append(list, b)
		}
	}
	return list, err
}

// mysqlProcesses is what is left on a MySQL without performance_schema: what runs.
func (w *Watcher) mysqlProcesses(ctx context.Context) ([]Blocker, error) {
	rows, err := w.ShowProcesses(ctx)
	if err != nil {
		return nil, w.StatementError(w.B, "read the processes of", err)
	}
	var list []Blocker
	for _, r := range rows {
		if _, runs := r["info"]; !runs || slices.Contains(usersOfNobody, r["user"]) || slices.Contains(commandsOfNobody, r["command"]) {
			continue
		}
		seconds, _ := strconv.ParseFloat(r["time"], 64)
		r["ms"] = strconv.FormatFloat(seconds*1000, 'f', 0, 64)
		if r["user"] == "system user" {
			r["applier"] = "1"
		}
		if b := toBlocker(r); b.id != w.A.ID && b.id != w.B.ID {
			list = append(list, b)
		}
	}
	slices.SortStableFunc(list, func(a, b Blocker) int { return cmp.Compare(b.age, a.age) })
	return list, nil
}
