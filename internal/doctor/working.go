package doctor

import (
	"fmt"
	"strings"
	"time"
)

// Working is what can be seen of a worker on this host.
type Working struct {
	// PID is the process that holds the worker's lock; 0: nobody does.
	PID int
	// Since is when it began; zero: not known.
	Since time.Time
	// Err is why that cannot be seen; "": it can.
	Err string
	// Asked says that it was asked by HTTP how it is; AskErr why it did not answer.
	Asked  bool
	AskErr string
	// Why is what keeps it from its work, as it says; empty: nothing.
	Why []string
	// Addr is http_addr, where no worker runs; "": there is none, or one runs. Listens
	// says that somebody else listens there, Foreign that the address is none of this
	// host's, AddrErr why that is not known.
	Addr    string
	Listens bool
	Foreign bool
	AddrErr string
	// LastPoll is when SQS last answered it; zero: not known.
	LastPoll time.Time
}

// firstPoll is how long a worker may take to its first answer of SQS's, which
// waits up to 20 s for a request.
const firstPoll = 30 * time.Second

// JudgeWorking judges it at a time.
func JudgeWorking(w Working, now time.Time) []Finding {
	switch {
	case w.Err != "":
		return one(named("worker.running", Unchecked("whether a worker runs: "+w.Err, "see systemctl status stillpoint")))
	case w.PID == 0:
		all := one(named("worker.running", Poor("no worker runs: requests are not served", "start it: systemctl enable --now stillpoint")))
		if w.Addr != "" {
			all = append(all, named("worker.http_addr", judgeAddr(w)))
		}
		return all
	}
	all := one(named("worker.running", Good(fmt.Sprintf("process %d", w.PID))))
	switch {
	case !w.Asked: // http_addr is off: there is nobody to ask
	case w.AskErr != "":
		all = append(all, named("worker.ready", Poor("the worker does not say how it is: "+w.AskErr, "see its log; was http_addr changed since it was started?")))
	case len(w.Why) > 0 && now.Sub(w.Since) < firstPoll:
		all = append(all, named("worker.ready", Poor(fmt.Sprintf("it was started %s ago, and is not at work yet: %s", now.Sub(w.Since).Round(time.Second), strings.Join(w.Why, "; ")),
			"run the doctor again in half a minute")))
	case len(w.Why) > 0:
		all = append(all, named("worker.ready", Bad("the worker does not work: "+strings.Join(w.Why, "; "), "see its log")))
	case w.LastPoll.IsZero():
		all = append(all, named("worker.ready", Good("it is ready")))
	default:
		all = append(all, named("worker.ready", Good(fmt.Sprintf("it is ready, and SQS answered it %s ago", now.Sub(w.LastPoll).Round(time.Second)))))
	}
	return all
}

// judgeAddr judges the address that a worker would listen on: it does not start where somebody else does.
func judgeAddr(w Working) Finding {
	switch {
	case w.AddrErr != "":
		return Unchecked(fmt.Sprintf("whether http_addr %s is free: %s", w.Addr, w.AddrErr), "see by ss -ltnp")
	case w.Listens:
		return Bad(fmt.Sprintf("another program listens on http_addr %s: the worker would not start", w.Addr), `see which by ss -ltnp; give http_addr another port, or "" to turn it off`)
	case w.Foreign:
		return Bad(fmt.Sprintf("http_addr %s is no address of this host: the worker would not start", w.Addr), `write 127.0.0.1 or an address of this host, or "" to turn it off`)
	}
	return Good("nobody listens on " + w.Addr + " yet")
}

// Outbox is what waits to be published.
type Outbox struct {
	Entries int
	// Oldest is since when the oldest waits.
	Oldest time.Time
}

// outboxLong is for how long a result may wait.
const outboxLong = time.Minute

// JudgeOutbox judges it at a time.
func JudgeOutbox(o Outbox, now time.Time) Finding {
	if o.Entries == 0 {
		return Good("no result waits to be published")
	}
	said := fmt.Sprintf("%s to be published, the oldest since %s", count(o.Entries, "result waits", "results wait"), stamp(o.Oldest))
	if now.Sub(o.Oldest) > outboxLong {
		return Poor(said, "see topic.exists and worker.running: the worker publishes them as soon as SNS takes them")
	}
	return Good(said)
}

// successOld is from when on the last success is worth a look: a week, which is
// the longest interval at which databases are commonly saved, and a day.
const successOld = 8 * 24 * time.Hour

// JudgeLastSuccess judges when the plan last succeeded; zero: never. requests is
// how many requests the journal knows, of whichever plan.
func JudgeLastSuccess(plan string, at time.Time, requests int, now time.Time) Finding {
	switch {
	case at.IsZero() && requests == 0:
		return Good("no request was made yet")
	case at.IsZero():
		return Poor(fmt.Sprintf("the plan has never succeeded here, and the journal knows of %s", count(requests, "request", "requests")), "ask for a snapshot, and see what it says: stillpoint snapshot "+plan)
	case now.Sub(at) > successOld:
		return Poor(fmt.Sprintf("the plan last succeeded %d days ago, at %s", int(now.Sub(at).Hours()/24), stamp(at)), "see what its results said since; where it is asked for less often than once a week there is nothing to do")
	}
	return Good("the plan last succeeded at " + stamp(at))
}
