package model

import (
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"

	"stillpoint/worker"
)

// action is one thing that happens to the worker, or around it. All of a script
// is drawn before it is played, so that rapid shrinks it well.
type action struct {
	what  string
	d     time.Duration
	n     int
	text  string
	fault fault
}

func (a action) String() string {
	switch a.what {
	case "fault":
		return "fault " + a.fault.String()
	case "kill soon":
		return fmt.Sprintf("%s after %d steps", a.text, a.n)
	case "send", "cli":
		return fmt.Sprintf("%s %s %d", a.what, a.text, a.n)
	case "show":
		return fmt.Sprintf("show message %d", a.n)
	default:
		return fmt.Sprintf("%s %s", a.what, a.d)
	}
}

type script []action

// GoString keeps rapid from printing the script a second time.
func (s script) GoString() string { return fmt.Sprintf("%d actions", len(s)) }

func (s script) String() string {
	var b strings.Builder
	for _, a := range s {
		b.WriteString("\n  " + a.String())
	}
	return b.String()
}

// aws are the calls with an effect outside, and how they fail.
var (
	aws  = []string{"Queue.Delete", "Queue.Extend", "Queue.DeadLetter", "Topic.Publish", "EBS.Tag", "outbox: Topic.Publish", "outbox: EBS.Tag"}
	hows = []string{"fails", "lost", "hangs", "dropped"}
	asks = []string{"EBS.Find", "EBS.Attached", "Database.Connect"}

	creates = []string{
		"nothing", "late", "late", "late and killed", "late and killed", "lags", "lost", "lost", "hangs", "empty",
		"refused", "quota", "unlocked", "thawed", "unlocked after", "thawed after",
	}

	// calls are the journal's, at each of which the disk can be full and whose
	// steps a crash can come between.
	calls = []string{
		"Journal.Load", "Record.Intend first", "Record.Intend first", "Record.Intend volumes", "Record.Settled",
		"Journal.Finish", "Journal.Finish", "Journal.Finish", "Journal.Finish", "Journal.Requeue", "Journal.Published", "Journal.TagsWritten", "outbox: Journal.Published", "outbox: Journal.TagsWritten",
	}

	// places are the steps at which a kill is aimed, beside those that a count of steps comes to.
	places = []string{
		"EBS.Create before", "EBS.Create after", "Record.Sending before", "Record.Sending after", "Session.Lock before", "Guard.Freeze before",
		"Guard.Thaw before", "Session.Unlock before", "Record.Intend first after", "Record.Intend volumes after", "Record.Settled before",
		"Record.Settled after", "EBS.Tag before", "EBS.Tag after", "Journal.Finish before", "Journal.Finish after", "Topic.Publish before",
		"Topic.Publish after", "Journal.Published before", "Journal.Published after", "Queue.Delete before", "Queue.Delete after",
		"Queue.Receive after", "Queue.DeadLetter after", "Queue.Extend after", "Sleep before", "Journal.Requeue after",
		"outbox: Topic.Publish after", "outbox: Journal.Published before", "outbox: EBS.Tag after", "start: EBS.Find before", "start: EBS.Tag after", "start: Sleep before", "outbox: Journal.TagsWritten before",
	}
)

func pick[T any](t *rapid.T, name string, from ...T) T { return rapid.SampledFrom(from).Draw(t, name) }

func short(t *rapid.T) time.Duration {
	return pick(t, "for", time.Second, 3*time.Second, 20*time.Second, time.Minute, 150*time.Second, 5*time.Minute, 20*time.Minute)
}

func death(t *rapid.T) string { return pick(t, "how", sigkill, sigkill, sigkill, reboot) }

// upTo is one of 0 to n-1, each as likely: rapid's own integers are mostly small.
func upTo(t *rapid.T, name string, n int) int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return pick(t, name, all...)
}

// trouble is what goes wrong, from now on or at the next step of its kind.
var trouble = rapid.Custom(func(t *rapid.T) action {
	switch what := pick(t, "trouble", "create", "create", "create", "aim", "aim", "aim", "inside", "inside", "inside", "kill soon", "kill soon", "kill soon",
		"aws", "aws", "aws", "ask", "ask", "host", "full", "full", "receive", "stop", "kill"); what {
	case "create":
		return aim("EBS.Create", pick(t, "how", creates...), 0, 0, pick(t, "after", time.Second, 10*time.Second, 2*time.Minute, 6*time.Minute, 20*time.Minute))
	case "aim":
		return aim("kill "+pick(t, "at", places...), death(t), pick(t, "skip", 0, 0, 1), 0, 0)
	case "inside":
		return aim("inside "+pick(t, "in", calls...), death(t), pick(t, "skip", 0, 0, 1), upTo(t, "steps", 6), 0)
	case "kill soon":
		return action{what: what, n: 1 + upTo(t, "steps", 60), text: death(t)}
	case "aws":
		return aim(pick(t, "at", aws...), pick(t, "how", hows...), pick(t, "skip", 0, 0, 1, 2), 0, 0)
	case "ask":
		return aim(pick(t, "at", asks...), pick(t, "how", "fails", "hangs"), pick(t, "skip", 0, 0, 1, 2), 0, 0)
	case "host":
		return aim(pick(t, "at", "Session.Lock", "Session.Lock", "Guard.Freeze"), "fails", 0, 0, 0)
	case "full":
		return aim("full "+pick(t, "in", calls...), pick(t, "how", "", "reserve too"), pick(t, "skip", 0, 0, 1), upTo(t, "pages", 6), short(t))
	case "receive":
		return aim("Queue.Receive", pick(t, "how", "fails", "lost"), 0, 0, 0)
	default: // stop, kill
		return action{what: what, text: death(t), d: pick(t, "down", 0, time.Second, 3*time.Minute, 30*time.Minute)}
	}
})

// work is what gives the worker something to do.
var work = rapid.Custom(func(t *rapid.T) script {
	switch what := pick(t, "work", "send", "send", "send", "send", "show", "show", "cli"); what {
	case "send":
		return script{{what: what, n: pick(t, "redrive", 0, 0, 0, 5), text: pick(t, "request", "one", "one", "one", "one", "two", "two", "two", "three", "conflict", "dry", "none", "bad")}}
	case "show":
		return script{{what: what, n: upTo(t, "message", 6)}}
	default:
		s := script{{what: what, text: pick(t, "request", "one", "two", "three")}}
		if rapid.Bool().Draw(t, "killed") { // beside a worker that lives on
			s = append(script{aim("inside Journal.Finish", death(t), 0, upTo(t, "steps", 6), 0)}, s...)
			if at := pick(t, "and", "", "EBS.Attached", "Database.Connect"); at != "" { // so that it has no verdict to go by
				s = append(script{aim(at, "fails", 0, 0, 0)}, s...)
			}
		}
		return s
	}
})

// scripts are episodes: trouble, work, and time for both.
var scripts = rapid.Custom(func(t *rapid.T) (s script) {
	for _, e := range rapid.SliceOfN(rapid.Custom(func(t *rapid.T) script {
		e := script(rapid.SliceOfN(trouble, 0, 4).Draw(t, "trouble"))
		e = append(e, work.Draw(t, "work")...)
		return append(e, action{what: "wait", d: pick(t, "for", 0, time.Second, 10*time.Second, time.Minute, 3*time.Minute, 10*time.Minute, time.Hour)})
	}), 1, 10).Draw(t, "episodes") {
		s = append(s, e...)
	}
	return s
})

func aim(at, how string, skip, n int, d time.Duration) action {
	return action{what: "fault", fault: fault{at: at, how: how, skip: skip, n: n, d: d}}
}

// request makes the message that a name stands for.
func request(name string, maxReceives int) *message {
	m := &message{request: name, Message: worker.Message{MaxReceives: maxReceives}}
	switch name {
	case "bad":
		m.Body, m.request, m.rejected = []byte(`{"plan":`), "", true
	case "none":
		m.Body, m.request = []byte(`{}`), ""
	case "conflict": // with whoever was first
		m.Body, m.request = []byte(`{"requestId":"one","plan":"weekly"}`), "one"
	case "dry":
		m.Body, m.request, m.dry = []byte(`{"requestId":"one","dryRun":true}`), "one", true
	default:
		m.Body = fmt.Appendf(nil, `{"requestId":%q,"plan":"nightly"}`, name)
	}
	return m
}
