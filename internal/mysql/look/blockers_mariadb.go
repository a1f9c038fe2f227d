package look

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"stillpoint/internal/mysql/wire"
)

// maxInfo is how much of a statement MariaDB's processlist shows
// (PROCESS_LIST_INFO_WIDTH); of a longer one the end is unknown.
const maxInfo = 65535

// usersOfNobody and commandsOfNobody are what in a process list is no statement of a user: the event
// scheduler, and what sends binlogs to replicas or fetches them. Their times are not those of a
// statement, and they are never the answer to "what is in the way" (mydumper issue 236).
var (
	usersOfNobody    = []string{"event_scheduler", "unauthenticated user"}
	commandsOfNobody = []string{"Daemon", "Binlog Dump", "Binlog Dump GTID", "Slave_IO"}
)

var notOfUsers = "USER NOT IN ('" + strings.Join(usersOfNobody, "', '") + "') AND COMMAND NOT IN ('" + strings.Join(commandsOfNobody, "', '") + "')"

// backupModes are the metadata locks that FTWRL waits for on MariaDB. Those of BACKUP STAGE,
// BACKUP LOCK and another's FTWRL are not among them: it was granted beside each (TestWhatBlocks).
var backupModes = []string{"BACKUP_DML", "BACKUP_TRANS_DML", "BACKUP_SYS_DML", "BACKUP_DDL", "BACKUP_ALTER_COPY", "BACKUP_COMMIT"}

// heldLocks is a query, if the server has one, for the sessions (thread_id, one of the
// tables) that hold one of backupModes, also where they sleep: "" where it has none.
func (w *Watcher) heldLocks() string {
	modes := "'" + strings.Join(backupModes, "','") + "'"
	switch {
	case w.Server.MDLInfo:
		return `SELECT THREAD_ID AS thread_id, MIN(IF(TABLE_NAME = '', NULL, CONCAT(TABLE_SCHEMA, '.', TABLE_NAME))) AS holds,
			MAX(SUBSTRING(LOCK_MODE, 5) IN (` + modes + `)) AS blocks FROM information_schema.METADATA_LOCK_INFO GROUP BY THREAD_ID HAVING blocks = 1`
	case w.Server.MDLPerf:
		return `SELECT x.PROCESSLIST_ID AS thread_id, MIN(IF(m.OBJECT_TYPE = 'TABLE', CONCAT(m.OBJECT_SCHEMA, '.', m.OBJECT_NAME), NULL)) AS holds,
			MAX(m.LOCK_TYPE IN (` + modes + `)) AS blocks FROM performance_schema.metadata_locks m
			JOIN performance_schema.threads x ON x.THREAD_ID = m.OWNER_THREAD_ID
			WHERE m.LOCK_STATUS = 'GRANTED' GROUP BY x.PROCESSLIST_ID HAVING blocks = 1`
	}
	return ""
}

// mariadbBlockers reads what runs, and where the server can say it, who holds
// what, idle sessions included. Where it cannot, whatever is not clearly a
// reader counts as a blocker, see reads.
func (w *Watcher) mariadbBlockers(ctx context.Context) ([]Blocker, error) {
	held, from, which := w.heldLocks(), "", "NULL AS holds"
	// An applier shows no statement while it applies rows.
	where := "(p.INFO IS NOT NULL AND p.COMMAND <> 'Sleep' OR p.STATE LIKE '%rows_log_event%')"
	if held != "" {
		from, which = "JOIN ("+held+") h ON h.thread_id = p.ID", "h.holds AS holds"
		where = "1 = 1"
	}
	rows, err := w.B.Query(ctx, fmt.Sprintf(`SELECT p.ID AS id, p.USER AS user, p.COMMAND AS command, p.TIME_MS AS ms, p.STATE AS state,
			LEFT(p.INFO, %d) AS info, CHAR_LENGTH(p.INFO) AS length, p.QUERY_ID AS run, %s,
			(p.USER = 'system user' OR p.COMMAND IN ('Slave_SQL', 'Slave_worker')) AS applier
		FROM information_schema.PROCESSLIST p %s
		WHERE %s AND p.ID NOT IN (%d, %d) AND %s ORDER BY p.TIME_MS DESC`,
		maxInfo, which, from, where, w.A.ID, w.B.ID, notOfUsers))
	if err != nil {
		return nil, w.StatementError(w.B, "read the processes of", err)
	}
	var list []Blocker
	for _, r := range rows {
		n, err := strconv.Atoi(r["length"])
		whole := err == nil && n < maxInfo
		if held == "" && whole && reads(r["info"]) {
			continue
		}
		b := toBlocker(r)
		b.reads = whole && changesNothing(r["info"])
		list = append(list, b)
	}
	w.addDigests(ctx, list)
	return list, w.mariadbBehind(ctx, list)
}

// addDigests reads the statements without their literals, where performance_schema
// is on, keeps them and may be read; MariaDB's default is none of it.
func (w *Watcher) addDigests(ctx context.Context, list []Blocker) {
	if len(list) == 0 || !w.Server.Digests {
		return
	}
	rows, err := w.B.Query(ctx, fmt.Sprintf(`SELECT t.PROCESSLIST_ID AS id, e.DIGEST_TEXT AS digest
		FROM performance_schema.threads t JOIN performance_schema.events_statements_current e ON e.THREAD_ID = t.THREAD_ID
		WHERE t.PROCESSLIST_ID IN (%s) AND e.END_EVENT_ID IS NULL ORDER BY e.EVENT_ID DESC`, idList(list)))
	if err != nil {
		return
	}
	for _, r := range rows { // the outermost last
		for i := range list {
			if strconv.FormatUint(list[i].id, 10) == r["id"] && !list[i].idle {
				list[i].digest = shortDigest(r["digest"])
			}
		}
	}
}

// mariadbBehind names, for a statement that waits for a metadata lock, the
// sessions that sleep in an open transaction. MariaDB does not say for which of
// them it waits.
func (w *Watcher) mariadbBehind(ctx context.Context, list []Blocker) error {
	waiting := waitingForMetadata(list)
	if len(waiting) == 0 {
		return nil
	}
	rows, err := w.B.Query(ctx, `SELECT p.ID AS id, p.USER AS user, p.COMMAND AS command, p.TIME_MS AS ms, p.STATE AS state
		FROM information_schema.INNODB_TRX x JOIN information_schema.PROCESSLIST p ON p.ID = x.trx_mysql_thread_id
		WHERE p.COMMAND = 'Sleep' ORDER BY x.trx_started LIMIT 3`)
	if err != nil {
		return w.StatementError(w.B, "read the transactions of", err)
	}
	for _, w := range waiting {
		for _, r := range rows {
			r["waiter"] = strconv.FormatUint(w.id, 10)
		}
		noteBehind(list, rows)
	}
	return nil
}

// metadataWait is the state of a statement that waits for a metadata lock, on both flavors.
const metadataWait = "Waiting for table metadata lock"

func waitingForMetadata(list []Blocker) []Blocker {
	var waiting []Blocker
	for _, b := range list {
		if b.state == metadataWait {
			waiting = append(waiting, b)
		}
	}
	return waiting
}

// noteBehind puts into each waiter of the list for whom it waits: the first two.
func noteBehind(list []Blocker, rows []wire.Row) {
	for i := range list {
		var names []string
		for _, r := range rows {
			holder := toBlocker(r)
			if r["waiter"] != strconv.FormatUint(list[i].id, 10) || holder.id == list[i].id || len(names) == 2 {
				continue
			}
			if holder.idle {
				holder.state, holder.idle = "idle in a transaction", false
			}
			names = append(names, holder.String())
		}
		if len(names) > 0 {
			list[i].behind = strings.Join(names, " and ")
		}
	}
}
