package doctor

import (
	"fmt"
	"io"
	"strings"
)

// Text writes the report for a person: a line for each finding, what to do below
// it where there is something (once, where the next finding wants the same), and a last
// line that counts and names what failed. color puts the statuses of a terminal into colors.
func (r Report) Text(w io.Writer, color bool) error {
	var b strings.Builder
	width := 0
	for _, f := range r.Findings {
		width = max(width, len(name(f)))
	}
	for i, f := range r.Findings {
		below := fmt.Sprintf("      %-*s  ", width, "")
		// A message of several lines shows the place in the file.
		fmt.Fprintf(&b, "%s  %-*s  %s\n", status(f.Status, color), width, name(f), strings.ReplaceAll(f.Message, "\n", "\n"+below))
		if f.Fix != "" && (i+1 == len(r.Findings) || r.Findings[i+1].Fix != f.Fix) {
			fmt.Fprintf(&b, "%s-> %s\n", below, f.Fix)
		}
	}
	if len(r.NotAsked) > 0 {
		fmt.Fprintf(&b, "\nnot looked at, since to ask for it would be to do it: %s; `stillpoint snapshot --dry-run` publishes a result, the worker's first poll receives\n", strings.Join(r.NotAsked, ", "))
	}
	fmt.Fprintf(&b, "\n%s\n", r.summary())
	_, err := io.WriteString(w, b.String())
	return err
}

// summary is the last line. What could not be looked at is counted by itself: it may be broken.
func (r Report) summary() string {
	var failed []string
	unchecked := 0
	for _, f := range r.Findings {
		switch {
		case f.Status == Fail:
			failed = append(failed, name(f))
		case !f.Checked:
			unchecked++
		}
	}
	said := []string{fmt.Sprintf("%d ok", r.Count(OK))}
	if warned := r.Count(Warn) - unchecked; warned > 0 {
		said = append(said, fmt.Sprintf("%d warn", warned))
	}
	if unchecked > 0 {
		said = append(said, fmt.Sprintf("%d not checked", unchecked))
	}
	counts := strings.Join(said, ", ")
	switch {
	case len(failed) > 0:
		return fmt.Sprintf("%d FAIL (%s), %s: no snapshot should be relied upon until what failed is mended", len(failed), strings.Join(failed, "; "), counts)
	case unchecked > 0:
		return counts + ", nothing failed: what was not checked may still be broken"
	case r.Count(Warn) > 0:
		return counts + ", nothing failed"
	}
	return counts + ": all is well"
}

func name(f Finding) string {
	if f.Plan == "" {
		return f.Check
	}
	return f.Plan + ": " + f.Check
}

// status is four characters wide.
func status(s Status, color bool) string {
	text := fmt.Sprintf("%-4s", s)
	if !color {
		return text
	}
	code := map[Status]string{OK: "32", Warn: "33", Fail: "31;1"}[s]
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
