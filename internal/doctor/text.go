package doctor

import (
	"fmt"
	"io"
	"strings"
)

// Text writes the report for a person: a line for each finding, what to do below
// it where there is something, and a last line that counts. color puts the statuses
// of a terminal into colors.
func (r Report) Text(w io.Writer, color bool) error {
	var b strings.Builder
	width := 0
	for _, f := range r.Findings {
		width = max(width, len(name(f)))
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s  %-*s  %s\n", status(f.Status, color), width, name(f), f.Message)
		if f.Fix != "" {
			fmt.Fprintf(&b, "      %-*s  -> %s\n", width, "", f.Fix)
		}
	}
	if len(r.NotAsked) > 0 {
		fmt.Fprintf(&b, "\nnot looked at, since to ask for it would be to do it: %s; `stillpoint snapshot --dry-run` publishes a result, the worker's first poll receives\n", strings.Join(r.NotAsked, ", "))
	}
	switch fails, warns := r.Count(Fail), r.Count(Warn); {
	case fails > 0:
		fmt.Fprintf(&b, "\n%d of %d failed, %d to look at: no snapshot should be relied upon until what failed is mended\n", fails, len(r.Findings), warns)
	case warns > 0:
		fmt.Fprintf(&b, "\n%d looked at, nothing failed, %d to look at\n", len(r.Findings), warns)
	default:
		fmt.Fprintf(&b, "\n%d looked at, all is well\n", len(r.Findings))
	}
	_, err := io.WriteString(w, b.String())
	return err
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
