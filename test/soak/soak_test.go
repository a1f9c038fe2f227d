package soak

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stillpoint/test/rig"
)

var (
	number = flag.Int("messages", 80, "how many messages; from 500 on it is the long form: no race detector in the worker, memory checked")
	seed   = flag.Uint64("seed", 0, "what is sent and killed, and the dice of the faults; 0: another one each time")
	out    = flag.String("report", "", "file for the report, as markdown")
	keep   = flag.String("keep", "", "directory for the worker's log and state_dir")
	within = flag.Duration("within", 5*time.Minute, "when to give up")
)

// Everything that can go wrong, all at once and for a while; in the end every
// message is accounted for.
func TestSoak(t *testing.T) {
	if missing := rig.Missing(); len(missing) > 0 {
		t.Skipf("this machine lacks %s", strings.Join(missing, ", "))
	}
	defer goleak.VerifyNone(t)
	long := *number >= 500
	c := Config{
		Stillpoint: build(t, !long), Messages: *number, Kills: 6, Storm: 0.7, Faulty: 0.05, Hangs: 0.01, Seed: *seed, DrainWithin: 90 * time.Second, Keep: *keep, Say: t.Logf,
	}
	if long {
		c.Kills, c.Storm, c.CheckMemory, c.DrainWithin = *number/20, 0.6, true, 5*time.Minute
		begun := time.Now()
		c.Say = func(format string, args ...any) { // at once, and not in the end
			fmt.Printf("%s %s\n", time.Since(begun).Round(time.Second), fmt.Sprintf(format, args...))
		}
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64() //nolint:gosec // dice, not keys
	}
	c.Say("seed %d", c.Seed)
	expedited := rig.Expedited()
	ctx, cancel := context.WithTimeout(t.Context(), *within)
	defer cancel()
	r, err := Run(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if now := rig.Expedited(); now != expedited {
		t.Errorf("rcu_expedited is %s and was %s", now, expedited)
	}
	if *out != "" {
		if err := os.WriteFile(*out, []byte(preface+r.Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c.Say("%s", r.Markdown())
	for _, w := range r.Wrong {
		t.Error(w)
	}
}

const preface = `# The soak

What ` + "`make soak`" + ` last said: a worker under load, with faults in one call of twenty, duplicates, bad messages and kills.
[test/soak](../test/soak) is how it is done.

`

func build(t *testing.T, race bool) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "stillpoint")
	flags := []string{"-tags", "torture"}
	if race {
		flags = append(flags, "-race")
	}
	if err := rig.Build(t.Context(), program, flags...); err != nil {
		t.Fatal(err)
	}
	return program
}
