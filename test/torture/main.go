// Command torture is the kill matrix: it kills or stops the worker, its
// guardian, or both, at every boundary of every stage and at random moments
// between, on real file systems and a real MariaDB under load, and looks each
// time whether writes flow again, nothing is left, and the request has one set
// and one result in the end.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"stillpoint/test/rig"
	"strings"
	"syscall"
)

func main() {
	if path := os.Getenv(writerEnv); path != "" {
		if err := writerMain(path); err != nil {
			fmt.Fprintln(os.Stderr, "torture: the writer:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.IntVar(&o.n, "n", 300, "kills")
	flag.Uint64Var(&o.seed, "seed", 0, "decides the order and what is drawn; 0: a new one, which is printed")
	flag.StringVar(&o.only, "only", "", "only these of the cells, which are named victim/stage/moment: both/freeze, freeze/begin, stop-worker, ...")
	flag.IntVar(&o.perScene, "scene", 40, "kills on one scene, before it is made anew")
	flag.IntVar(&o.proofs, "proofs", 2, "sets that are restored and compared, of each scene")
	flag.BoolVar(&o.race, "race", false, "build the program under test with the race detector")
	flag.StringVar(&o.markdown, "markdown", "", "write the table to this file, too")
	flag.Parse()
	signal.Ignore(syscall.SIGPIPE) // a reader that leaves must not keep us from cleaning up
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	o.out = os.Stdout
	if err := torture(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

// options say what to do.
type options struct {
	n        int
	seed     uint64
	only     string
	perScene int
	proofs   int
	race     bool
	markdown string
	short    bool // the kills that matter most, once each, in less than a minute
	out      io.Writer
}

// build makes the program under test, which tells its stages.
func build(ctx context.Context, dir string, race bool) (program string, err error) {
	program = filepath.Join(dir, "stillpoint")
	flags := []string{"-tags", "torture"}
	if race {
		flags = append(flags, "-race")
	}
	return program, rig.Build(ctx, program, flags...)
}

// show prints one kill, and all there is where something is wrong.
func show(w io.Writer, i, n int, r *report) {
	what := r.outcome
	if r.skipped != "" {
		what = "unharmed (" + r.skipped + "), " + what
	}
	if r.final != nil && r.final.Reason != "" {
		what += " (" + string(r.final.Reason) + ")"
	}
	if how := r.how(); how != "" {
		what += "; " + how
	}
	fmt.Fprintf(w, "%3d/%d  %-36s %4.1f s  commits %5s ms  files %5s ms  %s\n", i, n, r.cell, r.took.Seconds(), words(r.db), words(r.files), what)
	if len(r.faults) == 0 {
		return
	}
	fmt.Fprintf(w, "WRONG with %s (%+v, after %q):\n", r.id, r.cell, r.where)
	for _, f := range r.faults {
		fmt.Fprintf(w, "    %s\n", f)
	}
	for i, l := range r.logs {
		fmt.Fprintf(w, "  log of worker %d (process %d):\n", i+1, l.w.PID())
		for line := range strings.Lines(l.w.text(l.from)) {
			fmt.Fprintf(w, "    %s", line)
		}
	}
	for _, t := range r.tails {
		var told []string
		for _, e := range t.w.since(t.mark) {
			told = append(told, e.at.Format("05.000")+" "+e.line)
		}
		fmt.Fprintf(w, "  stages of process %d (hit at %s): %s\n", t.w.PID(), r.at.Format("05.000"), strings.Join(told, ", "))
	}
}
