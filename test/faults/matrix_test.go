package faults

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"stillpoint/test/scene"
)

// rows are all cells, by the bench that they need.
func rows() (shared, separate []*cell) {
	return slices.Concat(callRows(), createRows(), databaseRows(), freezeRows(), diskRows(), clockRows()), separateRows()
}

// Whatever fails, a request ends as the table says.
func TestMatrix(t *testing.T) {
	shared, separate := rows()
	n := 0
	for _, group := range []struct {
		name  string
		cells []*cell
		set   func(t, group *testing.T) *bench
	}{
		{"one call", shared, func(t, group *testing.T) *bench { return set(t, group, scene.Config{Extra: "ext4"}) }},
		{"separate calls", separate, setSeparate},
	} {
		t.Run(group.name, func(t *testing.T) {
			var b *bench
			for _, c := range group.cells {
				n++
				t.Run(c.name(), func(t2 *testing.T) {
					if !*long && !c.short {
						t2.Skip("the short form leaves this cell out: make faults has all")
					}
					if b != nil && b.spoilt {
						b.close()
						b = nil
					}
					if b == nil {
						b = group.set(t2, t)
					}
					try(t2, b, c, n, len(shared)+len(separate))
				})
			}
			if b != nil {
				fmt.Fprintf(os.Stderr, "longest wait of a writer: %s, of %s that are promised\n", b.longest.Round(time.Millisecond), promise)
				b.noOther(t, slices.Concat(shared, separate))
			}
		})
	}
	checkTable(t, slices.Concat(shared, separate))
}

// noOther finds calls of the worker that have no row.
func (b *bench) noOther(t *testing.T, cells []*cell) {
	have := map[string]bool{}
	for _, c := range cells {
		for _, f := range c.faults {
			have[f.Operation] = true
		}
	}
	for _, c := range b.s.AWS.Calls() {
		if b.byWorker(c) && !have[c.Operation] {
			have[c.Operation] = true
			t.Errorf("the worker calls %s, and no row says what comes of its failing", c.Operation)
		}
	}
}

// name is that of the cell's test: matrix/row/fault, without what separates names.
func (c *cell) name() string {
	return strings.NewReplacer(" ", "-", "(", "", ")", "", ",", "", "/", "-").Replace(c.row + "-" + c.fault)
}

// try runs one cell and compares. A cell after which the bench cannot be trusted any more spoils it for the others.
func try(t *testing.T, b *bench, c *cell, n, of int) {
	begun := time.Now()
	seen, err := b.run(c)
	took := time.Since(begun).Round(100 * time.Millisecond)
	fmt.Fprintf(os.Stderr, "%3d/%d %-55s %6s, a writer waited %5s: %s\n", n, of, c.row+": "+c.fault, took, b.stall.Round(time.Millisecond), seen) // a run takes many minutes
	if err != nil {
		b.spoilt = true
		t.Errorf("%v", err)
	}
	if !slices.Contains(c.want, seen) {
		t.Errorf("got  %s\nwant %s\n(%s)", seen, strings.Join(c.want, "\n or  "), c.why)
	}
	if t.Failed() {
		b.tell(t)
	}
}

// tell shows what is needed to understand a cell that failed.
func (b *bench) tell(t *testing.T) {
	id := fmt.Sprintf("cell-%d", b.cells)
	for _, r := range b.mail.distinct(id) {
		t.Logf("%s %s: %s\nwarnings: %q\ntimings: %+v\nstages: %+v", r.Status, r.Reason, r.Message, r.Warnings, r.Timings, r.Stages)
	}
	for _, log := range b.logs(2) {
		lines := strings.Split(strings.TrimSpace(log), "\n")
		t.Logf("the worker's log:\n%s", strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
}
