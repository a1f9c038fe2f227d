package lock

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"stillpoint/internal/mysql/access"
	"stillpoint/internal/mysql/look"
	"stillpoint/internal/mysql/wire"
)

// survey is what could be shown of the tables of a server.
type survey struct {
	// complete: every table of the server's users was seen.
	complete bool
	// unseen says why not, and what helps.
	unseen string
	// others are tables that are not transactional, the first few, with their engines.
	others []string
}

// transactional says that every table was seen and that the freeze alone leaves
// each in a state that its engine recovers.
func (v survey) transactional() bool { return v.complete && len(v.others) == 0 }

// doubt says in words why not; "" where there is no doubt.
func (v survey) doubt() string {
	switch {
	case len(v.others) > look.MaxNamed:
		return fmt.Sprintf("these are not transactional: %s and more", strings.Join(v.others[:look.MaxNamed], ", "))
	case len(v.others) > 0:
		return "these are not transactional: " + strings.Join(v.others, ", ")
	case !v.complete:
		return v.unseen
	}
	return ""
}

// crashSafe are the engines whose tables do not speak against a lock lighter
// than FTWRL: InnoDB, and those that keep nothing on disk, so that no lock brings
// it into a snapshot. That an engine calls itself transactional
// (information_schema.ENGINES) is not enough: so do Spider and FederatedX, whose
// rows lie elsewhere, and of MyRocks nothing was shown here.
var crashSafe = []string{"InnoDB", "MEMORY", "BLACKHOLE"}

// survey lists, on the watcher, the tables that are not transactional. 10,000
// tables took MySQL 9.7 0.1 s and MariaDB 10.11 0.2 s, and 0.4 s the first time,
// since that opens a file for each. bound is for that statement, and running
// into it is no error: then nothing is shown.
//
// A user sees a table in information_schema only with some privilege on it, so
// what is not listed may be there [facts, rule 22]. The user's privileges and
// those of this session may differ, since a GRANT of a global one counts from
// the next connection on. So the session must also see a table of the system
// for which it has no other privilege.
func (h *Holder) survey(ctx context.Context, bound time.Duration) (survey, error) {
	g, err := h.Granted(ctx)
	if err != nil {
		return survey{}, err
	}
	if missing := g.Missing([]access.Privilege{access.Sees}, h.Server); len(missing) > 0 {
		return survey{unseen: "the user may not see every table; what helps is: " + strings.Join(access.Statements(missing, h.Server.User), "; ")}, nil
	}
	probe := g.Probe()
	if probe == "" {
		return survey{unseen: "the user has privileges of its own on the system's schemas, by which it cannot be told whether it sees every table"}, nil
	}
	rows, err := h.B.Query(ctx, h.surveyStatement(probe, bound))
	switch {
	case wire.IsNotGranted(err):
		return survey{unseen: fmt.Sprintf("the server did not list its tables within %s", bound.Round(time.Millisecond))}, nil
	case err != nil:
		return survey{}, h.StatementError(h.B, "list the tables of", err)
	}
	v := survey{}
	for _, r := range rows {
		if r["probe"] == "1" {
			v.complete = true
			continue
		}
		v.others = append(v.others, fmt.Sprintf("%s.%s (%s)", wire.Printable(r["db"]), wire.Printable(r["name"]), cmp.Or(wire.Printable(r["engine"]), "engine unknown")))
	}
	slices.Sort(v.others)
	if !v.complete {
		v.unseen = "this session may not see every table: privileges that were granted a moment ago count from the next run on"
	}
	return v, nil
}

// surveyStatement selects the tables that are not crash-safe, and the probe. What
// MySQL has in its own schemas is InnoDB, but for two logs that no restore
// needs; what MariaDB has there is Aria's, and changed by DDL only.
func (h *Holder) surveyStatement(probe string, bound time.Duration) string {
	bound = max(bound, time.Millisecond)
	of := "AND NOT (TABLE_SCHEMA = 'mysql' AND TABLE_NAME IN ('general_log', 'slow_log'))"
	if h.Server.IsMariaDB() {
		of = "AND TABLE_SCHEMA NOT IN ('mysql', 'sys')"
	}
	text := fmt.Sprintf(`TABLE_SCHEMA AS db, TABLE_NAME AS name, ENGINE AS engine, %s AS probe
		FROM information_schema.TABLES
		WHERE %[1]s
		OR TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema') %[2]s
		AND TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW', 'TEMPORARY')
		AND (ENGINE IS NULL OR ENGINE NOT IN ('%[3]s'))
		ORDER BY probe DESC, 1, 2 LIMIT %[4]d`, probe, of, strings.Join(crashSafe, "', '"), look.MaxNamed+2)
	if h.Server.IsMariaDB() {
		return h.bounded("SELECT "+text, bound-maxStatementMargin)
	}
	return fmt.Sprintf("SELECT /*+ MAX_EXECUTION_TIME(%d) */ %s", max(1, bound.Milliseconds()), text)
}
