// Package timeline draws a Result for people: the stages as bars to scale, the
// window in which writes were blocked, and the snapshots.
package timeline

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"stillpoint/messages"
)

// Options say how to draw.
type Options struct {
	// Width is the number of columns to use; less than 60 counts as 60, zero as 80.
	Width int
	// Color marks the blocked window and the status with ANSI colours.
	Color bool
}

const (
	minWidth     = 60
	defaultWidth = 80
	nameWidth    = 18
	timeWidth    = 12
)

// the colours, as ANSI escapes
const (
	plain  = "\x1b[0m"
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
)

// row is one line of the picture.
type row struct {
	name       string
	start, end time.Time
	failed     string
}

// Write draws the result. It returns the writer's error.
func Write(w io.Writer, r *messages.Result, o Options) error {
	if o.Width == 0 {
		o.Width = defaultWidth
	}
	o.Width = max(o.Width, minWidth)
	var b strings.Builder
	heading(&b, r, o)
	before, window, after := split(r.Stages)
	section(&b, "nothing held", "", collapse(before), o)
	if len(window) > 0 {
		label := "held"
		if r.Timings.WritesBlocked > 0 {
			label = fmt.Sprintf("writes blocked %s", millis(r.Timings.WritesBlocked))
		}
		section(&b, label, yellow, rows(window), o)
	}
	section(&b, "nothing held", "", rows(after), o)
	snapshots(&b, r, o)
	for _, warning := range r.Warnings {
		fmt.Fprintf(&b, "%s\n", wrap("warning: "+clean(warning), o.Width))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (o Options) paint(color, s string) string {
	if !o.Color || color == "" {
		return s
	}
	return color + s + plain
}

func heading(b *strings.Builder, r *messages.Result, o Options) {
	color := red
	switch r.Status {
	case messages.Succeeded:
		color = green
	case messages.Rejected, messages.Skipped:
		color = yellow
	}
	status := strings.ToUpper(string(r.Status))
	if r.Reason != "" {
		status += " (" + string(r.Reason) + ")"
	}
	plan := ""
	if r.Plan != "" {
		plan = "plan " + r.Plan
	}
	status = clean(status)
	proved := "consistency: " + string(r.Consistency)
	if r.DryRun {
		proved = "dry run" // of no set nothing is to be said
	}
	first := wrapItems(nonEmpty(status, plan, r.InstanceID, r.Region, proved), o.Width)
	fmt.Fprintf(b, "%s%s\n", o.paint(color+bold, status), strings.TrimPrefix(first, status))
	fmt.Fprintf(b, "%s\n", wrap(clean(r.Message), o.Width))
	if m := r.MySQL; m != nil && m.BinlogFile != "" {
		exact := "not exact"
		if m.CoordinatesExact {
			exact = "exact"
		}
		at := fmt.Sprintf("%s %s at %s:%d (%s)", clean(m.Flavor), clean(m.Version), clean(m.BinlogFile), m.BinlogPosition, exact)
		if m.GTID != "" {
			at += ", GTID " + clean(m.GTID)
		}
		fmt.Fprintf(b, "%s\n", wrap(at, o.Width))
	}
	if m := r.MySQL; m != nil {
		lock(b, m, o)
	}
}

// lock says which lock it was, where that is not a matter of course, and what was ended for it.
func lock(b *strings.Builder, m *messages.MySQL, o Options) {
	switch {
	case m.LockReason != "":
		fmt.Fprintf(b, "%s\n", wrap(fmt.Sprintf("lock: %s, since %s", clean(m.Lock), clean(m.LockReason)), o.Width))
	case m.Lock != "" && m.Lock != "ftwrl":
		fmt.Fprintf(b, "lock: %s\n", clean(m.Lock))
	}
	for _, k := range m.Killed {
		fmt.Fprintf(b, "%s\n", wrap(fmt.Sprintf("ended, as it was in the way: %s", strings.Join(nonEmpty(fmt.Sprintf("id %d of %s, after %.0f s", k.ID, k.User, k.AgeSeconds), k.State, k.Digest), ", ")), o.Width))
	}
}

func nonEmpty(s ...string) []string {
	var out []string
	for _, v := range s {
		if v != "" {
			out = append(out, clean(v))
		}
	}
	return out
}

// heldFirst and heldLast are the stages that begin and end the window.
var (
	heldFirst = map[string]bool{"lock": true, "freeze": true}
	heldLast  = map[string]bool{"unlock": true, "thaw": true}
)

// split finds the window of the winning try: from the last lock (or, without a
// database, the freeze) to the last unlock or thaw.
func split(stages []messages.Stage) (before, window, after []messages.Stage) {
	last := -1
	for i, s := range stages {
		if heldLast[s.Name] {
			last = i
		}
	}
	if last < 0 {
		return stages, nil, nil
	}
	first := last
	for i := last; i >= 0; i-- {
		if heldFirst[stages[i].Name] {
			first = i
			if stages[i].Name == "lock" {
				break
			}
		}
	}
	return stages[:first], stages[first : last+1], stages[last+1:]
}

func rows(stages []messages.Stage) []row {
	out := make([]row, 0, len(stages))
	for _, s := range stages {
		out = append(out, row{s.Name, s.StartedAt, s.StartedAt.Add(time.Duration(s.DurationMS * float64(time.Millisecond))), s.Error})
	}
	return out
}

// collapse makes one row of all tries that EC2 refused with a limit, up to the
// end of the last wait, and one of all tries for the lock since then but the last one.
func collapse(stages []messages.Stage) []row {
	first, last, calls, refused := -1, -1, 0, ""
	for i, s := range stages {
		switch {
		case heldFirst[s.Name] && first < 0:
			first = i
		case s.Name == "snapshot":
			calls++
			refused = s.Error
		case s.Name == "quota":
			last = i
		}
	}
	if first < 0 || last < first {
		return collapseLocks(rows(stages))
	}
	all := rows(stages)
	word := "calls"
	if calls == 1 {
		word = "call"
	}
	one := row{fmt.Sprintf("%d %s refused", calls, word), all[first].start, all[last].end, refused}
	return append(append(all[:first:first], one), collapseLocks(all[last+1:])...)
}

func collapseLocks(all []row) []row {
	firstLock, lastLock, tries := -1, -1, 0
	for i, r := range all {
		if r.name == "lock" {
			if firstLock < 0 {
				firstLock = i
			}
			lastLock = i
			tries++
		}
	}
	if tries == 0 {
		return all
	}
	word := "lock tries"
	if tries == 1 {
		word = "lock try"
	}
	one := row{fmt.Sprintf("%d %s", tries, word), all[firstLock].start, all[lastLock].end, all[lastLock].failed}
	return append(append(all[:firstLock:firstLock], one), all[lastLock+1:]...)
}

// section draws rows on a scale of their own, which its head names.
func section(b *strings.Builder, label, color string, list []row, o Options) {
	if len(list) == 0 {
		return
	}
	from, to := list[0].start, list[0].end
	for _, r := range list {
		if r.start.Before(from) {
			from = r.start
		}
		if r.end.After(to) {
			to = r.end
		}
	}
	span := max(to.Sub(from), time.Microsecond)
	bar := o.Width - nameWidth - timeWidth - 3
	scale := millis(float64(span) / float64(time.Millisecond))
	head := fmt.Sprintf("%-*s", nameWidth+timeWidth+1, cut("── "+label+" ", nameWidth+timeWidth+1))
	ruler := "├" + strings.Repeat("─", max(bar-utf8.RuneCountInString(scale)-3, 1)) + " " + scale + " ┤"
	fmt.Fprintf(b, "\n%s %s\n", o.paint(color+bold, head), o.paint(color, ruler))
	for _, r := range list {
		a := int(float64(bar) * float64(r.start.Sub(from)) / float64(span))
		z := int(float64(bar)*float64(r.end.Sub(from))/float64(span) + 0.5)
		a = max(min(a, bar-1), 0)
		cells := "▏"
		if z > a {
			cells = strings.Repeat("█", min(z, bar)-a)
		}
		paint := color
		if paint == "" {
			paint = cyan
		}
		if r.failed != "" {
			paint = red
		}
		d := millis(float64(r.end.Sub(r.start)) / float64(time.Millisecond))
		fmt.Fprintf(b, "%-*s%*s  %s%s\n", nameWidth, cut(r.name, nameWidth), timeWidth, cut(d, timeWidth), strings.Repeat(" ", a), o.paint(paint, cells))
		if r.failed != "" {
			fmt.Fprintf(b, "%*s  %s\n", nameWidth+timeWidth, "", o.paint(red, cut(r.failed, o.Width-nameWidth-timeWidth-2)))
		}
	}
}

func snapshots(b *strings.Builder, r *messages.Result, o Options) {
	if len(r.Snapshots) == 0 {
		return
	}
	b.WriteByte('\n')
	for _, s := range r.Snapshots {
		items := nonEmpty(s.SnapshotID, s.VolumeID, s.Device, s.Mount, fmt.Sprintf("%d GiB", s.SizeGiB), s.State)
		fmt.Fprintf(b, "%s\n", wrapItems(items, o.Width))
	}
}

// millis writes milliseconds the way people read them: "0.4 ms", "213 ms", "12.4 s".
func millis(ms float64) string {
	switch {
	case ms >= 10_000:
		return fmt.Sprintf("%.1f s", ms/1000)
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.1f ms", ms)
	}
}

// clean makes one line of a text that came from elsewhere, and takes out what
// would steer the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

func cut(s string, n int) string {
	s = clean(s)
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:n-1]) + "…"
}
