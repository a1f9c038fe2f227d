package e2e

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"stillpoint/messages"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// rounds is how often each mode takes a set under load; docs/consistency.md has the figures of three.
var rounds = flag.Int("rounds", 1, "how many sets each mode takes in a row")

// everyMode is what the modes of both flavors need of the program's account.
var everyMode = map[rig.Flavor][]string{
	rig.MariaDB: {"RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR, REFERENCES ON *.*"},
	rig.MySQL:   {"FLUSH_TABLES, PROCESS, REPLICATION CLIENT, BACKUP_ADMIN, REFERENCES ON *.*", "SELECT ON performance_schema.*"},
}

// mode is one way to take a set, and what it has to be worth.
type mode struct {
	lock  string // as the plan has it
	taken string // as the result has it
	// claims is the consistency that the result has to have.
	claims messages.Consistency
	// exact: the coordinates have to be called exact under load. They have to be so wherever they are called it.
	exact bool
	// journals: what the tables without transactions hold has to be right.
	journals bool
}

// Each mode's sets, taken in a row under load, are as consistent as the result
// says: InnoDB's tables are exactly a prefix of the commits in every one that
// was frozen, coordinates that are called exact are, and tables without
// transactions are as the binlog says where application is claimed.
func TestModes(t *testing.T) {
	const application, filesystem = messages.ConsistencyApplication, messages.ConsistencyFilesystem
	for _, c := range []struct {
		name     string
		flavor   rig.Flavor
		journals []string // nil: all of the flavor's
		modes    []mode
	}{
		{"InnoDB alone", rig.MariaDB, []string{}, []mode{
			{"ftwrl", "ftwrl", application, true, false},
			{"backup", "backup", application, true, false},
			{"auto", "backup", application, true, false},
			{"none", "none", filesystem, false, false},
		}},
		{"with MyISAM and Aria", rig.MariaDB, nil, []mode{
			{"ftwrl", "ftwrl", application, true, true},
			{"backup", "backup", application, true, true},
			{"auto", "ftwrl", application, true, true},
			{"none", "none", filesystem, false, false},
		}},
		{"InnoDB alone", rig.MySQL, []string{}, []mode{
			{"ftwrl", "ftwrl", application, true, false},
			{"backup", "backup", application, false, false},
			{"auto", "backup", application, false, false},
			{"none", "none", filesystem, false, false},
		}},
		{"with MyISAM", rig.MySQL, nil, []mode{
			{"ftwrl", "ftwrl", application, true, true},
			{"backup", "backup", filesystem, false, false},
			{"auto", "ftwrl", application, true, true},
			{"none", "none", filesystem, false, false},
		}},
	} {
		t.Run(string(c.flavor)+"/"+c.name, func(t *testing.T) {
			if missing := c.flavor.Missing(); missing != "" {
				t.Skipf("this machine lacks %s", missing)
			}
			ctx, s := set(t, scene.Config{Flavor: c.flavor, Writers: 8, Journals: c.journals, Privileges: everyMode[c.flavor], VolumeMiB: 1024})
			loaded(t, ctx, s)
			type taken struct {
				mode
				*messages.Result
			}
			var all []taken
			for _, m := range c.modes {
				if err := s.Configure("", "lock: "+m.lock); err != nil {
					t.Fatal(err)
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
				if len(p.InnoDB) > 0 {
					t.Errorf("%s: %q", x.lock, p.InnoDB)
				}
				if x.mode.journals && len(p.Journals) > 0 {
					t.Errorf("%s: %q", x.lock, p.Journals)
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
				t.Logf("| %s | %s | %s | %s | %s | %.1f ms | %d | right | %s | %s |", c.flavor.Name(), x.lock, m.Lock, x.Consistency,
					strings.Join(slices.Concat([]string{"InnoDB"}, journalsOf(c.flavor, c.journals)), ", "), x.Timings.WritesBlocked, p.Rows, rest, said)
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
