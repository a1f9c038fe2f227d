package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// tally is what one row of the table says.
type tally struct {
	victim   victim
	stage    string
	n        int
	outcomes map[string]int
	db       []time.Duration
	files    []time.Duration
	faults   int
}

// summary is the whole matrix.
type summary struct {
	rows    map[string]*tally
	skipped map[string]int
	longest *report
	hows    map[string]int
	n       int
	faults  []*report
	proved  []string
}

func newSummary() *summary {
	return &summary{rows: map[string]*tally{}, skipped: map[string]int{}, hows: map[string]int{}}
}

func (s *summary) add(r *report) {
	if len(r.faults) > 0 {
		s.faults = append(s.faults, r)
	}
	if r.skipped != "" {
		s.skipped[r.skipped]++
		return
	}
	s.n++
	for word := range strings.SplitSeq(r.how(), ", ") {
		if word, _, _ = strings.Cut(word, " at "); word != "" {
			s.hows[word]++
		}
	}
	key := fmt.Sprintf("%s/%s", r.cell.victim, r.cell.stage.name)
	t := s.rows[key]
	if t == nil {
		t = &tally{victim: r.cell.victim, stage: r.cell.stage.name, outcomes: map[string]int{}}
		s.rows[key] = t
	}
	t.n++
	t.outcomes[r.outcome]++
	t.db, t.files = append(t.db, r.db), append(t.files, r.files)
	if len(r.faults) > 0 {
		t.faults++
	}
	if s.longest == nil || r.stall() > s.longest.stall() {
		s.longest = r
	}
}

// how is the cell's, without what did not come to be.
func (r *report) how() string {
	c := r.cell
	if !r.second {
		c.second = ""
	}
	return c.how()
}

func (r *report) stall() time.Duration { return max(r.db, r.files) }

// outcomes are the columns of the table: finished by the worker that was hit or
// by what it left, tagged so, without a set, done again after the redelivery.
var outcomes = []string{"succeeded", "inconsistent", "failed", "again"}

func (s *summary) sorted() []*tally {
	place := map[victim]int{killWorker: 0, killGuardian: 1, killBoth: 2, stopWorker: 3, stopGuardian: 4}
	var rows []*tally
	for _, t := range s.rows {
		rows = append(rows, t)
	}
	slices.SortFunc(rows, func(a, b *tally) int {
		if d := place[a.victim] - place[b.victim]; d != 0 {
			return d
		}
		return order(a.stage) - order(b.stage)
	})
	return rows
}

func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2]
}

// words gives a stall in milliseconds.
func words(d time.Duration) string { return fmt.Sprintf("%.0f", float64(d)/float64(time.Millisecond)) }

var heads = []string{"hit", "at or in", "kills", "commits: median", "longest", "files: median", "longest", "succeeded", "inconsistent", "failed", "done again"}

func (t *tally) cells(name string) []string {
	out := []string{name, t.stage, fmt.Sprint(t.n), words(median(t.db)), words(slices.Max(t.db)), words(median(t.files)), words(slices.Max(t.files))}
	for _, o := range outcomes {
		out = append(out, dash(t.outcomes[o]))
	}
	return out
}

func dash(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// lines is the table: a row for each victim and stage, and one for each victim in all.
func (s *summary) lines() (out [][]string) {
	var total *tally
	flush := func() {
		if total != nil {
			out = append(out, total.cells(string(total.victim)))
		}
	}
	for _, t := range s.sorted() {
		if total == nil || total.victim != t.victim {
			flush()
			total = &tally{victim: t.victim, stage: "all", outcomes: map[string]int{}}
		}
		total.n += t.n
		total.db, total.files = append(total.db, t.db...), append(total.files, t.files...)
		for k, n := range t.outcomes {
			total.outcomes[k] += n
		}
		out = append(out, t.cells(string(t.victim)))
	}
	flush()
	return out
}

// sentences say what the table does not.
func (s *summary) sentences(without int) []string {
	out := []string{fmt.Sprintf("%d kills, %d of them with something wrong.", s.n, len(s.faults))}
	if s.longest != nil {
		out = append(out, fmt.Sprintf("The longest wait of a writing client was %s ms (%s); the promise is %s ms: max_hold (%s) plus one second.",
			words(s.longest.stall()), s.longest.cell, words(promise), maxHold))
	}
	var said []string
	out = append(out, fmt.Sprintf("%d cells of the matrix do not exist, since no guardian is alive at their stages.", without))
	for _, h := range []struct{ word, sentence string }{
		{"then SIGCONT", "stopped workers that were continued: %d"},
		{"foreign freeze", "of these while somebody else had frozen the file system: %d"},
		{"then SIGKILL", "stopped workers that were killed: %d"},
		{"lease lapsed", "stopped workers whose lease ran out meanwhile: %d"},
		{"worker stuck", "workers that hung past max_hold themselves while their guardian was stopped: %d"},
		{"killed again", "redeliveries that were killed, too: %d"},
	} {
		if n := s.hows[h.word]; n > 0 {
			said = append(said, fmt.Sprintf(h.sentence, n))
		}
	}
	if len(said) > 0 {
		out = append(out, "Of them: "+strings.Join(said, "; ")+".")
	}
	for why, n := range s.skipped {
		out = append(out, fmt.Sprintf("%d requests went through unharmed: %s.", n, why))
	}
	return append(out, s.proved...)
}

func (s *summary) print(w io.Writer, without int) {
	widths := make([]int, len(heads))
	rows := append([][]string{heads}, s.lines()...)
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], len(c))
		}
	}
	fmt.Fprintln(w)
	for i, row := range rows {
		var line strings.Builder
		for j, c := range row {
			if j < 2 {
				fmt.Fprintf(&line, "%-*s  ", widths[j], c)
			} else {
				fmt.Fprintf(&line, "%*s  ", widths[j], c)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
		if i > 0 && row[1] == "all" {
			fmt.Fprintln(w)
		}
	}
	for _, line := range s.sentences(without) {
		fmt.Fprintln(w, line)
	}
}

// markdown is the same for a document.
func (s *summary) markdown(w io.Writer, without int, about string) {
	fmt.Fprintf(w, "# The kill matrix\n\n%s\n\nWaits are in milliseconds: the longest that a client which commits in a loop, and plain writers on both volumes, waited after the kill "+
		"(where both were killed: after `stillpoint thaw` was started). \"worker\", \"guardian\" and \"both\" were hit by SIGKILL, the others by SIGSTOP. "+
		"\"Succeeded\" is what the attempt that was hit came to, \"done again\" what the redelivery made anew.\n\n", about)
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(heads, " | "), strings.Repeat(" --- |", len(heads)))
	for _, row := range s.lines() {
		if row[1] == "all" {
			for i := range row {
				row[i] = "**" + row[i] + "**"
			}
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
	fmt.Fprintln(w)
	for _, line := range s.sentences(without) {
		fmt.Fprintf(w, "- %s\n", line)
	}
}
