package mysql

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// blocker is a session that holds, or runs a statement that holds, what would
// block the lock.
type blocker struct {
	id   uint64
	user string
	// age is how long the statement has been running, or, where idle, how long
	// the session has been asleep.
	age   time.Duration
	state string
	// idle says that nothing runs: the session sleeps on what it holds (LOCK
	// TABLES, on MySQL also HANDLER and FLUSH TABLES ... FOR EXPORT).
	idle bool
	// run is the statement itself, by MariaDB's QUERY_ID or MySQL's statement
	// event; "" where nothing runs or the server numbers nothing.
	run string
	// holds is one of the tables that it uses; "" where unknown.
	holds string
	// digest is the statement without its literals; "" where the server keeps none.
	digest string
	// text is the statement itself, for Config.Statements and nobody else; nil where
	// unknown. It is behind a pointer so that no %+v of a blocker prints it.
	text *string
	// applier says that it is a thread of replication, for which nothing is
	// waited and which is never refused or killed. It is named, where it was in the way.
	applier bool
	// reads says that the statement changes nothing.
	reads bool
	// behind says for whom it waits itself; "" for nobody, or unknown.
	behind string
	// spared says why LongQueriesKill did not end it.
	spared string
}

// key tells what runs, or sleeps, apart from what the session does next.
func (b blocker) key() string { return fmt.Sprintf("%d/%s", b.id, b.run) }

// doing is the server's word for what it does, or that it does nothing.
func (b blocker) doing() string {
	what := b.state
	if b.idle {
		what = "idle"
		if b.holds != "" {
			what += ", holds " + b.holds
		}
	}
	return what
}

func (b blocker) String() string {
	s := fmt.Sprintf("id %d (user %s, for %s", b.id, b.user, b.age.Round(100*time.Millisecond))
	for _, more := range []string{b.doing(), b.digest} {
		if more != "" {
			s += ", " + more
		}
	}
	if b.applier {
		s += ", replication"
	}
	s += ")"
	if b.behind != "" {
		s += ", which waits for " + b.behind
	}
	if b.spared != "" {
		s += ", not killed: " + b.spared
	}
	return s
}

// statement is what a result says of it.
func (b blocker) statement() messages.Statement {
	return messages.Statement{ID: b.id, User: b.user, AgeSeconds: b.age.Round(time.Millisecond).Seconds(), State: b.state, Digest: b.digest}
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

// blockers looks for what would block the lock and has been running (or, of a
// session that sleeps on tables, asleep) for at least age, the oldest first. It
// reads on the watcher and disturbs nobody. Our own two sessions and the event
// scheduler are left out; threads of replication are marked.
//
// What blocks was tried on both flavors, see TestWhatBlocks. MySQL says
// precisely who uses a table or may write (performance_schema). MariaDB does so
// where it has metadata_lock_info or an instrumented performance_schema; else
// what is known there is what runs, and a session that sleeps after LOCK TABLES
// ... WRITE is not seen: the lock's own bound is what is left against it.
//
// That is what FTWRL waits for; the lighter locks wait for less.
//
// An open transaction that sleeps blocks the lock on neither. It matters where a
// DDL statement waits for it, which does block: then it is named in behind.
func (s *Session) blockers(ctx context.Context, age time.Duration) ([]blocker, error) {
	var list []blocker
	var err error
	switch {
	case s.holdsNobodyUp():
	case s.method.kind == snapshot.LockInstance:
		list, err = s.definers(ctx)
	case s.server.mariadb():
		list, err = s.mariadbBlockers(ctx)
	case s.server.perf:
		list, err = s.tableUsers(ctx)
		if err == nil && !s.server.listed {
			list, err = s.withProcesses(ctx, list)
		}
	default:
		// Without performance_schema nobody says which statements use a table, and
		// on MySQL those that read block as well.
		list, err = s.mysqlProcesses(ctx)
	}
	if err != nil {
		return nil, err
	}
	return older(list, age), nil
}

// older keeps those that have reached the age.
func older(list []blocker, age time.Duration) []blocker {
	var old []blocker
	for _, b := range list {
		if b.age >= age {
			old = append(old, b)
		}
	}
	return old
}

// clients leaves out the threads of replication.
func clients(list []blocker) []blocker {
	var kept []blocker
	for _, b := range list {
		if !b.applier {
			kept = append(kept, b)
		}
	}
	return kept
}

// toBlocker reads what all queries have in common.
func toBlocker(r row) blocker {
	id, _ := strconv.ParseUint(r["id"], 10, 64)
	ms, _ := strconv.ParseFloat(r["ms"], 64)
	b := blocker{
		id: id, user: printable(r["user"]), state: printable(r["state"]),
		age:  max(0, time.Duration(ms*float64(time.Millisecond))),
		idle: r["command"] == "Sleep", run: r["run"], holds: printable(r["holds"]),
		digest: shortDigest(r["digest"]), applier: r["applier"] == "1",
	}
	if text := r["info"]; text != "" {
		b.text = &text
	}
	return b
}

// maxDigest bounds a digest, in characters: of killed statements there may be maxKilled in a result.
const maxDigest = 256

// shortDigest keeps a digest on one line and bounded.
func shortDigest(s string) string {
	return cutRunes(onePrintableLine(s), maxDigest)
}

// printable keeps a name from the server short and on one line.
func printable(s string) string {
	return cutRunes(onePrintableLine(s), 64)
}

// onePrintableLine keeps what the server says from breaking out of its line.
func onePrintableLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

func cutRunes(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n])
	}
	return s
}

// idList is a list of session ids as SQL has it; never empty.
func idList(list []blocker) string {
	words := []string{"0"}
	for _, b := range list {
		words = append(words, strconv.FormatUint(b.id, 10))
	}
	return strings.Join(words, ",")
}
