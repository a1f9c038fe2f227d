package e2e

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"stillpoint/messages"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// rounds is how often each mode takes a set under load. One leaves out the modes
// that other tests or rows cover; docs/consistency.md has the figures of three.
var rounds = flag.Int("rounds", 1, "how many sets each mode takes in a row")

// everyMode is what the modes of both flavors need of the program's account.
var everyMode = map[rig.Flavor][]string{
	rig.MariaDB: {"RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR, REFERENCES ON *.*"},
	rig.MySQL:   {"FLUSH_TABLES, PROCESS, REPLICATION CLIENT, BACKUP_ADMIN, REFERENCES ON *.*", "SELECT ON performance_schema.*"},
}

// mode is one way to take a set, and what it has to be worth.
type mode struct {
	lock string // as the plan has it
	// open: nothing is frozen. Then what the server wrote last is in the kernel's
	// memory alone, lock or no lock, and nothing more is asked of the set.
	open  bool
	taken string // as the result has it
	// claims is the consistency that the result has to have.
	claims messages.Consistency
	// exact: the coordinates have to be called exact under load. They have to be so wherever they are called it.
	exact bool
	// journals: what the tables without transactions hold has to be right.
	journals bool
	// wrong: what they hold has to be wrong, so that the check is seen to fail.
	wrong bool
	// long leaves it out with one round.
	long bool
}

// Each mode's sets, taken in a row under load, are as consistent as the result
// says: InnoDB's tables are exactly a prefix of the commits in every one that
// was frozen, coordinates that are called exact are, and tables without
// transactions are as the binlog says where application is claimed.
func TestModes(t *testing.T) {
	t.Parallel()
	const application, database, filesystem = messages.ConsistencyApplication, messages.ConsistencyDatabase, messages.ConsistencyFilesystem
	for _, c := range []struct {
		name     string
		flavor   rig.Flavor
		journals []string // nil: all of the flavor's
		modes    []mode
	}{
		{"InnoDB alone", rig.MariaDB, []string{}, []mode{
			{lock: "ftwrl", taken: "ftwrl", claims: application, exact: true, long: true},
			{lock: "backup", taken: "backup", claims: application, exact: true, long: true},
			{lock: "auto", taken: "backup", claims: application, exact: true},
			{lock: "none", taken: "none", claims: filesystem, long: true},
		}},
		{"with MyISAM and Aria", rig.MariaDB, nil, []mode{
			{lock: "ftwrl", taken: "ftwrl", claims: application, exact: true, journals: true, long: true},
			{lock: "backup", taken: "backup", claims: application, exact: true, journals: true},
			{lock: "auto", taken: "ftwrl", claims: application, exact: true, journals: true, long: true},
			{lock: "none", taken: "none", claims: filesystem, wrong: true},
			{lock: "auto", open: true, taken: "ftwrl", claims: database, wrong: true},
		}},
		{"InnoDB alone", rig.MySQL, []string{}, []mode{
			{lock: "ftwrl", taken: "ftwrl", claims: application, exact: true, long: true},
			{lock: "backup", taken: "backup", claims: application, long: true},
			{lock: "auto", taken: "backup", claims: application},
			{lock: "none", taken: "none", claims: filesystem, long: true},
		}},
		{"with MyISAM", rig.MySQL, nil, []mode{
			{lock: "ftwrl", taken: "ftwrl", claims: application, exact: true, journals: true, long: true},
			{lock: "backup", taken: "backup", claims: filesystem, wrong: true},
			{lock: "auto", taken: "ftwrl", claims: application, exact: true, journals: true},
			{lock: "none", taken: "none", claims: filesystem, wrong: true, long: true},
			{lock: "auto", open: true, taken: "ftwrl", claims: database, wrong: true},
		}},
	} {
		t.Run(string(c.flavor)+"/"+c.name, func(t *testing.T) {
			if missing := c.flavor.Missing(); missing != "" {
				t.Skipf("this machine lacks %s", missing)
			}
			if *rounds == 1 { // else each alone, for figures that mean something
				t.Parallel()
			}
			ctx, s := set(t, scene.Config{Flavor: c.flavor, Writers: 8, Journals: c.journals, Privileges: everyMode[c.flavor], VolumeMiB: 1024})
			if *rounds > 1 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(t.Context(), 15*time.Minute)
				defer cancel()
			}
			loaded(t, ctx, s)
			ddl := define(t, ctx, s)
			type taken struct {
				mode
				*messages.Result
			}
			var all []taken
			for _, m := range c.modes {
				plan := ""
				if m.open {
					plan = "no_freeze: [" + s.Volumes[0].Mount + "]"
				}
				if err := s.Configure(plan, "lock: "+m.lock+"\nlock_sleep: 20ms\nlock_tries: 500"); err != nil {
					t.Fatal(err)
				}
				if m.long && *rounds == 1 {
					continue
				}
				for range *rounds {
					r, err := s.Take(ctx)
					if err != nil {
						t.Fatal(err)
					}
					wants(t, r, messages.Succeeded, "", m.claims)
					all = append(all, taken{m, r})
				}
			}
			t.Logf("%d tables made, changed and dropped meanwhile", ddl())
			if err := s.Load.Stop(); err != nil {
				t.Fatalf("a writer failed: %v", err)
			}
			for _, x := range all {
				p := proveOne(t, ctx, s, x.Result)
				m := x.MySQL
				if m.Lock != x.taken || (m.LockReason != "") != (x.lock == "auto") {
					t.Errorf("%s: it took %q, %q", x.lock, m.Lock, m.LockReason)
				}
				if m.CoordinatesExact && len(p.Exact) > 0 {
					t.Errorf("%s: the coordinates are called exact: %q", x.lock, p.Exact)
				}
				if x.exact && !m.CoordinatesExact {
					t.Errorf("%s: the coordinates are not called exact", x.lock)
				}
				// Nothing keeps DDL from being caught halfway where nothing is locked.
				halfway := x.lock == "none" && len(p.InnoDB) > 0 && halfDefined(p.InnoDB)
				if len(p.InnoDB) > 0 && !x.open && !halfway {
					t.Errorf("%s: %q", x.lock, p.InnoDB)
				}
				if x.journals && len(p.Journals) > 0 {
					t.Errorf("%s: %q", x.lock, p.Journals)
				}
				if x.wrong && len(p.Journals) == 0 {
					t.Errorf("%s: the tables without transactions are right, so that the check of them proves nothing", x.lock)
				}
				said := fmt.Sprintf("no (%+d)", p.Beyond)
				if m.CoordinatesExact {
					said = "yes"
				}
				rest := "none"
				if c.journals == nil {
					rest = "right"
					if len(p.Journals) > 0 {
						rest = "wrong"
					}
				}
				innodb, frozen := "right", "yes"
				switch {
				case halfway:
					innodb = "DDL halfway"
				case len(p.InnoDB) > 0:
					innodb = "wrong"
				}
				if x.open {
					frozen = "no"
				}
				t.Logf("| %s | %s | %s | %s | %s | %s | %.1f ms | %d | %s | %s | %s |", c.flavor.Name(), x.lock, m.Lock, frozen, x.Consistency,
					strings.Join(slices.Concat([]string{"InnoDB"}, journalsOf(c.flavor, c.journals)), ", "), x.Timings.WritesBlocked, p.Rows, innodb, rest, said)
			}
		})
	}
}

func journalsOf(f rig.Flavor, journals []string) []string {
	if journals == nil {
		return f.Journals()
	}
	return journals
}

// InnoDB's log is written up to a second after the commit: a set of that server
// lacks transactions that its own binlog has, whatever was locked and frozen. So
// it is not called application-consistent, nor are its coordinates called exact.
func TestLogWrittenLate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, flavor rig.Flavor) {
		ctx, s := set(t, scene.Config{Flavor: flavor, Writers: 2, Journals: []string{}, Privileges: everyMode[flavor],
			ServerOptions: []string{"--innodb-flush-log-at-trx-commit=0"}})
		loaded(t, ctx, s)
		var all []*messages.Result
		for range 2 { // the second may be the one that the engine's own second has just passed for
			r, err := s.Take(ctx)
			if err != nil {
				t.Fatal(err)
			}
			wants(t, r, messages.Succeeded, "", messages.ConsistencyFilesystem)
			if r.MySQL.CoordinatesExact || !strings.Contains(strings.Join(r.Warnings, " "), "innodb_flush_log_at_trx_commit") {
				t.Errorf("exact %v, warnings %q", r.MySQL.CoordinatesExact, r.Warnings)
			}
			all = append(all, r)
		}
		if err := s.Load.Stop(); err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			if p := proveOne(t, ctx, s, r); len(p.InnoDB) > 0 {
				t.Logf("as it must: %s", p)
				return
			}
		}
		t.Error("the sets are right, so that nothing speaks against calling them so")
	})
}

// proveOne is prove for one of several sets of a scene whose load has ended; it takes the copy down.
func proveOne(t *testing.T, ctx context.Context, s *scene.Scene, r *messages.Result) scene.Proof {
	t.Helper()
	restored, err := s.Restore(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Prove(ctx, restored, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := restored.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

// halfDefined says that a set differs from its binlog in nothing but the table that define is busy with.
func halfDefined(faults []string) bool {
	for _, fault := range faults {
		fault = strings.TrimPrefix(fault, "rows differ from the binlog's (the first): ")
		for line := range strings.Lines(fault) {
			if !strings.HasPrefix(line, "defined: ") && !strings.HasPrefix(line, "renamed: ") && !strings.HasPrefix(line, "(") {
				return false
			}
		}
	}
	return true
}

// define makes, changes and drops tables until the returned function is called,
// which says how many: a set that has caught one halfway differs from its binlog.
func define(t *testing.T, ctx context.Context, s *scene.Scene) (stop func() int) {
	t.Helper()
	c, err := s.Server.DB().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.ExecContext(ctx, "USE "+rig.Schema); err != nil { // by which the replay selects
		t.Fatal(err)
	}
	ended, done := make(chan struct{}), make(chan int, 1)
	go func() {
		for n := 0; ; n++ {
			for _, statement := range []string{
				"CREATE TABLE defined (id INT PRIMARY KEY, a INT) ENGINE=InnoDB", "INSERT INTO defined VALUES (1, 1), (2, 2)",
				"ALTER TABLE defined ADD COLUMN b VARCHAR(20) DEFAULT 'b', ALGORITHM=COPY", "RENAME TABLE defined TO renamed",
				"ALTER TABLE renamed ADD KEY (a)", "TRUNCATE TABLE renamed", "DROP TABLE renamed",
			} {
				select {
				case <-ended:
					done <- n
					return
				default:
				}
				if _, err := c.ExecContext(ctx, statement); err != nil {
					t.Errorf("%s: %v", statement, err)
					done <- n
					return
				}
			}
		}
	}()
	return func() int {
		close(ended)
		return <-done
	}
}

func TestHalfDefined(t *testing.T) {
	for fault, half := range map[string]bool{
		"rows differ from the binlog's (the first): renamed: 0 and 0 rows, 0 only in the first: the second has no such table\n(4 tables in all)":              true,
		"rows differ from the binlog's (the first): account: 8 and 8 rows, 1 changed\nrenamed: 0 and 0 rows: the second has no such table\n(4 tables in all)": false,
		"CHECK TABLE rig.renamed: error": false,
	} {
		if halfDefined([]string{fault}) != half {
			t.Errorf("%q", fault)
		}
	}
}
