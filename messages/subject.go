package messages

import (
	"fmt"
	"strings"
)

// MaxSubject is the length of an SNS subject in characters.
const MaxSubject = 99

// Subject is what on-call reads first: ASCII, at most MaxSubject characters,
// no control characters, beginning with the status in brackets.
func Subject(r *Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[%s] stillpoint", mark(r.Status))
	// A long name must not push out what happened.
	for _, s := range []string{clip(ascii(r.Plan), 24), clip(ascii(r.InstanceID), 24)} {
		if s != "" {
			b.WriteString(" " + s)
		}
	}
	b.WriteString(": ")
	if r.DryRun {
		b.WriteString("dry run, ")
	}
	b.WriteString(outcome(r))
	return strings.TrimRight(clip(ascii(b.String()), MaxSubject), " :,")
}

func mark(s Status) string {
	switch s {
	case Succeeded:
		return "OK"
	case "":
		return "UNKNOWN"
	default:
		return clip(strings.ToUpper(ascii(string(s))), 16)
	}
}

func outcome(r *Result) string {
	switch {
	case r.Status == Succeeded && r.DryRun:
		return "every check passed"
	case r.Status == Succeeded:
		s := fmt.Sprintf("%d snapshots started", len(r.Snapshots))
		if len(r.Snapshots) == 1 {
			s = "1 snapshot started"
		}
		switch {
		case r.Timings.WritesBlocked > 0:
			return s + ", writes blocked " + milliseconds(r.Timings.WritesBlocked)
		case r.Timings.Frozen > 0:
			return s + ", frozen " + milliseconds(r.Timings.Frozen)
		}
		return s
	case r.Reason == "":
		return r.Message
	case r.Message == "":
		return string(r.Reason)
	default:
		return string(r.Reason) + ": " + r.Message
	}
}

func milliseconds(ms float64) string {
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// ascii makes one line of printable ASCII: other letters become "?", runs of white space one space.
func ascii(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r >= 0x7f && r <= 0xa0 || r == '\u2028' || r == '\u2029':
			return ' '
		case r > '~':
			return '?'
		}
		return r
	}, s)), " ")
}

// Attributes are the SNS attributes by which subscribers filter, all strings.
// What is unknown is left out, since SNS refuses empty values.
func Attributes(r *Result) map[string]string {
	a := map[string]string{
		"schemaVersion": r.SchemaVersion,
		"type":          r.Type,
		"status":        string(r.Status),
		"severity":      r.Status.Severity(),
		"plan":          r.Plan,
		"instanceId":    r.InstanceID,
	}
	for k, v := range a {
		if v = clip(strings.TrimSpace(printable(v)), 256); v == "" {
			delete(a, k)
			continue
		}
		a[k] = v
	}
	return a
}
