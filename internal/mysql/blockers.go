package mysql

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maxInfo is how much of a statement MariaDB's processlist shows
// (PROCESS_LIST_INFO_WIDTH); of a longer one the end is unknown.
const maxInfo = 65535

// blocker is a session in which something runs that would block the lock. What
// it runs is no part of it: a statement's text never leaves blockers.
type blocker struct {
	id    uint64
	user  string
	age   time.Duration
	state string
}

func (b blocker) String() string {
	s := fmt.Sprintf("id %d (user %s, for %s", b.id, b.user, b.age.Round(100*time.Millisecond))
	if b.state != "" {
		s += ", " + b.state
	}
	return s + ")"
}

// maxNamed is how many blockers a sentence names.
const maxNamed = 5

// describe names the blockers in a few words; "" where there are none.
func describe(list []blocker) string {
	if len(list) == 0 {
		return ""
	}
	words := make([]string, 0, maxNamed)
	for i, b := range list {
		if i == maxNamed {
			words = append(words, fmt.Sprintf("and %d more", len(list)-maxNamed))
			break
		}
		words = append(words, b.String())
	}
	return strings.Join(words, ", ")
}

// blockers looks for what would block the lock and has been running for at
// least age, the oldest first. It reads on the watcher and disturbs nobody.
// Our own two sessions are left out.
//
// MySQL says precisely who uses a table or the global lock; MariaDB, whose
// performance_schema is off by default, says what runs, and reading does not
// block there. A session that sleeps after LOCK TABLES ... WRITE is not seen on
// MariaDB; the lock's own bound is what is left against it.
func (s *Session) blockers(ctx context.Context, age time.Duration) ([]blocker, error) {
	switch {
	case s.server.mariadb():
		return s.processes(ctx, age, func(r row) bool {
			n, err := strconv.Atoi(r["length"])
			return err == nil && n < maxInfo && reads(r["info"])
		})
	case s.server.perf:
		return s.tableUsers(ctx, age)
	default:
		// Without performance_schema nobody says which statements use a table, and
		// on MySQL those that read block as well.
		return s.processes(ctx, age, func(row) bool { return false })
	}
}

// processes reads information_schema.processlist. Replication's own threads and
// the event scheduler's are left out: their times are not those of a statement
// and they are never the answer to "what is in the way" (mydumper issue 236).
// harmless says which statements do not block.
func (s *Session) processes(ctx context.Context, age time.Duration, harmless func(row) bool) ([]blocker, error) {
	ms := "TIME * 1000"
	if s.server.mariadb() {
		ms = "TIME_MS"
	}
	rows, err := s.b.query(ctx, fmt.Sprintf(`SELECT ID AS id, USER AS user, %s AS ms, STATE AS state,
		LEFT(INFO, %d) AS info, CHAR_LENGTH(INFO) AS length
		FROM information_schema.PROCESSLIST
		WHERE INFO IS NOT NULL AND ID NOT IN (%d, %d)
		AND USER NOT IN ('system user', 'event_scheduler', 'unauthenticated user')
		AND COMMAND NOT IN ('Sleep', 'Daemon', 'Binlog Dump', 'Binlog Dump GTID', 'Slave_IO', 'Slave_SQL', 'Slave_worker')
		AND %s >= %d ORDER BY 3 DESC`, ms, maxInfo, s.a.id, s.b.id, ms, age.Milliseconds()))
	if err != nil {
		return nil, s.statementError(s.b, "read the processes of", err)
	}
	return toBlockers(rows, harmless), nil
}

// tableUsers reads who holds what on MySQL [facts, "Finding blockers"]: an
// open table in use (a handle with an external lock), which FLUSH waits for, or
// the right to write (a granted intention on the global lock). The age is that
// of the outermost statement that runs, else of the sleep of a session that
// holds on to tables by LOCK TABLES.
func (s *Session) tableUsers(ctx context.Context, age time.Duration) ([]blocker, error) {
	return s.sessionsThat(ctx, age, `SELECT OWNER_THREAD_ID FROM performance_schema.table_handles WHERE EXTERNAL_LOCK IS NOT NULL
			UNION SELECT OWNER_THREAD_ID FROM performance_schema.metadata_locks
				WHERE OBJECT_TYPE = 'GLOBAL' AND LOCK_TYPE = 'INTENTION_EXCLUSIVE' AND LOCK_STATUS = 'GRANTED'`)
}

// sessionsThat reads on MySQL those sessions whose threads the query selects.
func (s *Session) sessionsThat(ctx context.Context, age time.Duration, threads string) ([]blocker, error) {
	rows, err := s.b.query(ctx, fmt.Sprintf(`SELECT * FROM (
		SELECT t.PROCESSLIST_ID AS id, COALESCE(t.PROCESSLIST_USER, '') AS user, t.PROCESSLIST_STATE AS state,
			COALESCE((SELECT MAX(e.TIMER_WAIT) DIV 1000000000 FROM performance_schema.events_statements_current e
				WHERE e.THREAD_ID = t.THREAD_ID AND e.END_EVENT_ID IS NULL),
				IF(t.PROCESSLIST_USER = 'system user', 0, t.PROCESSLIST_TIME * 1000), 0) AS ms
		FROM performance_schema.threads t
		WHERE t.PROCESSLIST_ID NOT IN (%d, %d) AND t.THREAD_ID IN (%s)
		) u WHERE ms >= %d ORDER BY ms DESC`, s.a.id, s.b.id, threads, age.Milliseconds()))
	if err != nil {
		return nil, s.statementError(s.b, "read the performance_schema of", err)
	}
	return toBlockers(rows, func(row) bool { return false }), nil
}

// toBlockers drops what is harmless, and with it every statement's text.
func toBlockers(rows []row, harmless func(row) bool) []blocker {
	var list []blocker
	for _, r := range rows {
		if harmless(r) {
			continue
		}
		id, _ := strconv.ParseUint(r["id"], 10, 64)
		ms, _ := strconv.ParseFloat(r["ms"], 64)
		list = append(list, blocker{
			id: id, user: printable(r["user"]), state: printable(r["state"]),
			age: time.Duration(ms * float64(time.Millisecond)),
		})
	}
	return list
}

// printable keeps a name from the server short and on one line.
func printable(s string) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s))
	return string(runes[:min(len(runes), 64)])
}
