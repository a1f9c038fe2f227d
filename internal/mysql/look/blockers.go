package look

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// Blocker is a session that holds, or runs a statement that holds, what would
// block the lock.
type Blocker struct {
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
	// text is the statement itself, for OnStatement and nobody else; nil where
	// unknown. It is behind a pointer so that no %+v of a blocker prints it.
	text *string
	// applier says that it is a thread of replication, for which nothing is
	// waited and which is never refused or killed. It is named, where it was in the way.
	applier bool
	// reads says that the statement changes nothing.
	reads bool
	// behind says for whom it waits itself; "" for nobody, or unknown.
	behind string
	// spared says why Kill did not end it.
	spared string
}

// key tells what runs, or sleeps, apart from what the session does next.
func (b Blocker) key() string { return fmt.Sprintf("%d/%s", b.id, b.run) }

// doing is the server's word for what it does, or that it does nothing.
func (b Blocker) doing() string {
	what := b.state
	if b.idle {
		what = "idle"
		if b.holds != "" {
			what += ", holds " + b.holds
		}
	}
	return what
}

func (b Blocker) String() string {
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
func (b Blocker) statement() messages.Statement {
	return messages.Statement{ID: b.id, User: b.user, AgeSeconds: b.age.Round(time.Millisecond).Seconds(), State: b.state, Digest: b.digest}
}

// MaxNamed is how many blockers a sentence names.
const MaxNamed = 5

// Describe names the blockers in a few words; "" where there are none.
func Describe(list []Blocker) string {
	if len(list) == 0 {
		return ""
	}
	words := make([]string, 0, MaxNamed)
	for i, b := range list {
		if i == MaxNamed {
			words = append(words, fmt.Sprintf("and %d more", len(list)-MaxNamed))
			break
		}
		words = append(words, b.String())
	}
	return strings.Join(words, ", ")
}

// Blockers looks for what would block the lock and has been running (or, of a
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
func (w *Watcher) Blockers(ctx context.Context, age time.Duration) ([]Blocker, error) {
	var list []Blocker
	var err error
	switch {
	case w.nobodyWaits:
	case w.kind == snapshot.LockInstance:
		list, err = w.definers(ctx)
	case w.Server.IsMariaDB():
		list, err = w.mariadbBlockers(ctx)
	case w.Server.Perf:
		list, err = w.tableUsers(ctx)
		if err == nil && !w.Server.Listed {
			list, err = w.withProcesses(ctx, list)
		}
	default:
		// Without performance_schema nobody says which statements use a table, and
		// on MySQL those that read block as well.
		list, err = w.mysqlProcesses(ctx)
	}
	if err != nil {
		return nil, err
	}
	return older(list, age), nil
}

// older keeps those that have reached the age.
func older(list []Blocker, age time.Duration) []Blocker {
	var old []Blocker
	for _, b := range list {
		if b.age >= age {
			old = append(old, b)
		}
	}
	return old
}

// Clients leaves out the threads of replication.
func Clients(list []Blocker) []Blocker {
	var kept []Blocker
	for _, b := range list {
		if !b.applier {
			kept = append(kept, b)
		}
	}
	return kept
}

// toBlocker reads what all queries have in common.
func toBlocker(r wire.Row) Blocker {
	id, _ := strconv.ParseUint(r["id"], 10, 64)
	ms, _ := strconv.ParseFloat(r["ms"], 64)
	b := Blocker{
		id: id, user: wire.Printable(r["user"]), state: wire.Printable(r["state"]),
		age:  max(0, time.Duration(ms*float64(time.Millisecond))),
		idle: r["command"] == "Sleep", run: r["run"], holds: wire.Printable(r["holds"]),
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
	return wire.CutRunes(wire.OnePrintableLine(s), maxDigest)
}

// idList is a list of session ids as SQL has it; never empty.
func idList(list []Blocker) string {
	words := []string{"0"}
	for _, b := range list {
		words = append(words, strconv.FormatUint(b.id, 10))
	}
	return strings.Join(words, ",")
}
