package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"stillpoint/messages"
)

// Report is how a soak went.
type Report struct {
	Config Config
	Took   time.Duration
	// Wrong are sentences about what broke a promise; none: all were kept.
	Wrong []string

	sent, results       map[string]int // by kind; by status and reason
	deadLetters         map[string]int // by reason
	calls               map[string]int
	faults              map[string]map[string]int
	kills               map[string]int
	messages, requests  int
	events, heard       int
	reopened, deadTwice int
	sets, snapshots     int
	reloads, again      int
	jumps, thaws        int
	outages             int
	starts              int
	suppressed, lost    int // as the worker's log has them
	writes, stalls      int
	longest             stall
	first, last         sample
	samples             int
	total, blocked      []float64 // milliseconds, of what succeeded
	journalFiles        int
	journalBytes        int64
	thawless            bool
}

func (r *Report) wrong(format string, args ...any) {
	r.Wrong = append(r.Wrong, fmt.Sprintf(format, args...))
}

// summarise copies the counts.
func (s *soak) summarise(r *Report) {
	r.sent, r.results = map[string]int{}, map[string]int{}
	s.ledger.mu.Lock()
	for _, m := range s.ledger.sent {
		r.sent[m.kind]++
	}
	for _, x := range s.ledger.events {
		if x.Status == messages.Succeeded && !x.DryRun {
			r.total, r.blocked = append(r.total, x.Timings.Total), append(r.blocked, x.Timings.WritesBlocked)
		}
		what := string(x.Status)
		if x.Reason != "" {
			what += " / " + string(x.Reason)
		}
		if x.DryRun {
			what += " (dry run)"
		}
		r.results[what]++
	}
	r.messages, r.requests, r.events, r.heard = len(s.ledger.sent), len(s.ledger.byID), len(s.ledger.events), s.ledger.heard
	s.ledger.mu.Unlock()
	s.calls.mu.Lock()
	r.calls, r.faults = maps.Clone(s.calls.calls), s.calls.faults
	s.calls.mu.Unlock()
	s.count(func() {
		r.outages = s.done.outages
		r.kills, r.reloads, r.again, r.jumps, r.thaws, r.thawless = s.done.kills, s.done.reloads, s.done.again, s.done.jumps, s.done.thaws, s.done.thawless
	})
	r.suppressed = s.keeper.logged("request was finished before: the same result again")
	r.lost = s.keeper.logged("the message is not ours any more")
}

// Markdown is the whole report.
func (r *Report) Markdown() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("%d messages with %d request ids in %s, seed %d.", r.messages, r.requests, r.Took.Round(time.Second), r.Config.Seed)
	p("")
	if len(r.Wrong) == 0 {
		p("**Every message is accounted for, and every promise was kept.**")
	} else {
		p("**%d things are wrong:**\n", len(r.Wrong))
		for i, w := range r.Wrong {
			if i == 60 {
				p("- ... and %d more", len(r.Wrong)-i)
				break
			}
			p("- %s", w)
		}
	}
	p("")
	table(&b, "sent", "messages", r.sent)
	table(&b, "result", "events", r.results)
	p("SNS delivered %d results, %d different events. The worker suppressed %d duplicates; SQS delivered %d deleted messages again. %d ambiguous requests were opened again.\n",
		r.heard, r.events, r.suppressed, r.again, r.reopened)
	table(&b, "on the dead-letter queue, by reason", "messages", r.deadLetters)
	if r.deadTwice > 0 {
		p("%d of these came there more than once.\n", r.deadTwice)
	}
	table(&b, "done to the worker", "times", r.kills)
	p("%d starts of the worker, %d runs of the stop hook, %d reloads by SIGHUP, %d outages of one operation, %d jumps of AWS's clock over the lease in hand, %d leases lost.\n",
		r.starts, r.thaws, r.reloads, r.outages, r.jumps, r.lost)
	if r.thawless {
		p("This build has no `stillpoint thaw`: fsfreeze stood in for it.\n")
	}
	p("EC2 holds %d sets (%d snapshots), none of them unverified unless said above.\n", r.sets, r.snapshots)
	r.faultTable(&b)
	p("Longest stall of a client that writes every 20 ms: %s (max_hold is %s); %d of %d writes took more than %s.\n",
		r.longest.took().Round(time.Millisecond), maxHold, r.stalls, r.writes, notable)
	p("Milliseconds of a request that succeeded: total %s; writes blocked %s.\n", quantiles(r.total), quantiles(r.blocked))
	p("| worker, of %d samples a tenth | at first | at last | tolerated |", r.samples)
	p("| --- | ---: | ---: | ---: |")
	p("| descriptors, the least | %.0f | %.0f | +%d |", r.first.descriptors, r.last.descriptors, moreDescriptors)
	p("| goroutines, the least | %.0f | %.0f | +%d |", r.first.goroutines, r.last.goroutines, moreGoroutines)
	p("| RSS, MiB, median | %.1f | %.1f | +25 %% + %d |", r.first.rss, r.last.rss, moreMiB)
	p("| Go heap in use, MiB, median | %.1f | %.1f | +25 %% + %d |", r.first.heap, r.last.heap, moreMiB)
	p("")
	if r.journalFiles > 0 {
		p("The journal keeps a request for 30 days: %d files, %d bytes each on average.", r.journalFiles, r.journalBytes/int64(r.journalFiles))
	}
	return b.String()
}

func (r *Report) faultTable(b *strings.Builder) {
	calls, hit := 0, 0
	for _, n := range r.calls {
		calls += n
	}
	fmt.Fprintf(b, "| operation | calls | faulty | what was done |\n| --- | ---: | ---: | --- |\n")
	for _, op := range slices.Sorted(maps.Keys(r.calls)) {
		n, words := 0, []string(nil)
		for _, what := range slices.Sorted(maps.Keys(r.faults[op])) {
			n += r.faults[op][what]
			words = append(words, fmt.Sprintf("%d %s", r.faults[op][what], what))
		}
		hit += n
		fmt.Fprintf(b, "| %s | %d | %d | %s |\n", op, r.calls[op], n, strings.Join(words, "; "))
	}
	fmt.Fprintf(b, "| all | %d | %d | %.1f %% |\n\n", calls, hit, 100*float64(hit)/float64(max(calls, 1)))
}

func table(b *strings.Builder, what, unit string, rows map[string]int) {
	fmt.Fprintf(b, "| %s | %s |\n| --- | ---: |\n", what, unit)
	total := 0
	for _, k := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(b, "| %s | %d |\n", k, rows[k])
		total += rows[k]
	}
	fmt.Fprintf(b, "| all | %d |\n\n", total)
}

func quantiles(v []float64) string {
	if len(v) == 0 {
		return "none"
	}
	slices.Sort(v)
	at := func(q float64) float64 { return v[int(q*float64(len(v)-1))] }
	return fmt.Sprintf("median %.0f, p95 %.0f, most %.0f", at(0.5), at(0.95), at(1))
}
