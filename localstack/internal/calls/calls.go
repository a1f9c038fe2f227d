// Package calls keeps the log of what a server was asked to do and did.
package calls

import (
	"maps"
	"strings"
	"sync"
	"time"
)

// The log holds that many calls, and that many bytes of texts in them; the oldest go first. Of one parameter it keeps no more than
// longest bytes, of each other text, such as the name of an operation that does not exist, no more than longestName.
const (
	kept        = 10_000
	keptBytes   = 64 << 20
	longest     = 64 << 10
	longestName = 2 << 10
)

// Call is one call that the server got. Those that still run are listed too.
type Call struct {
	Time      time.Time         // when it had arrived, by the clock of the machine
	Duration  time.Duration     // until it was answered, dropped or given up; zero while State is not "done"
	Operation string            // "ec2:CreateSnapshots"
	Principal string            // who called: an ARN, or the name of a service such as "sns.amazonaws.com"
	Source    string            // where a service called: the ARN of the topic, rule or schedule that it called for; else empty
	Region    string            // that the call was meant for
	Resources []string          // ARNs of what it was about, as far as the call got to know them
	State     string            // "running", "waiting" (a long poll that is in the queue for a message), "done"
	Effect    bool              // it took effect, whatever the client was told
	Status    int               // of the answer, or the one that was withheld; zero where there was none
	Err       string            // the error code that it was answered with, or would have been; empty: none
	Fault     string            // what a Fault did to it: "RequestLimitExceeded", "drop", "hang", "latency"; empty: none
	Note      string            // for snapshots: how and how fast the files were cloned
	Params    map[string]string // what was asked, as sent; members of JSON that are no strings are JSON
	Asks      []Ask             // what IAM would be asked about it; none where the call never got so far, or where it is not known here

	forgotten bool // it is no longer in the log
}

// Ask is a question that IAM answers before a call takes effect. All of a call's have to be allowed: one that is about several
// resources asks for each.
type Ask struct {
	Action   string
	Resource string              // an ARN, or "*" for actions that know no resources
	Context  map[string][]string // the values of the condition keys
}

func (a Ask) size() (n int) {
	n = len(a.Action) + len(a.Resource)
	for key, values := range a.Context {
		n += len(key)
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

// Log holds the last calls. Its zero value is an empty log.
type Log struct {
	mu    sync.Mutex
	ring  []*Call
	bytes int // of all of them, see size
}

// Record is the entry of a call that runs.
type Record struct {
	log  *Log
	call *Call
}

// Begin enters a call that has arrived, of which c says what is known of it.
func (l *Log) Begin(c Call) *Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Time, c.State = time.Now(), "running"
	for _, name := range []*string{&c.Operation, &c.Principal, &c.Source, &c.Region} {
		*name = cut(*name, longestName)
	}
	for k, v := range c.Params {
		c.Params[k] = cut(v, longest)
	}
	l.bytes += c.size()
	if len(l.ring) == kept || l.bytes > keptBytes {
		l.forget()
	}
	l.ring = append(l.ring, &c)
	return &Record{log: l, call: &c}
}

// cut is the text if it is no longer than most, and otherwise its beginning.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + " (cut)"
}

// forget drops the oldest tenth of the calls, and more if what is left is still too large.
func (l *Log) forget() {
	drop := 0
	for drop < len(l.ring) && (drop < kept/10 || l.bytes > keptBytes) {
		l.bytes -= l.ring[drop].size()
		l.ring[drop].forgotten = true
		drop++
	}
	l.ring = append(l.ring[:0:0], l.ring[drop:]...)
}

func (c *Call) size() (n int) {
	n = len(c.Operation) + len(c.Principal) + len(c.Source) + len(c.Region)
	for _, arn := range c.Resources {
		n += len(arn)
	}
	for k, v := range c.Params {
		n += len(k) + len(v)
	}
	for _, a := range c.Asks {
		n += a.size()
	}
	return n
}

// List returns the last calls, the oldest first.
func (l *Log) List() []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Call, len(l.ring))
	for i, c := range l.ring {
		out[i] = *c
		out[i].Params = maps.Clone(c.Params)
		out[i].Resources = append([]string(nil), c.Resources...)
		out[i].Asks = append([]Ask(nil), c.Asks...)
	}
	return out
}

func (r *Record) update(f func(c *Call)) {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	f(r.call)
}

// Waiting says that the call is a poll that waits for a message.
func (r *Record) Waiting() { r.update(func(c *Call) { c.State = "waiting" }) }

// Note sets the entry's note.
func (r *Record) Note(s string) { r.update(func(c *Call) { c.Note = s }) }

// About adds ARNs of what the call is about.
func (r *Record) About(arns ...string) {
	r.update(func(c *Call) {
		for _, arn := range arns {
			arn = cut(arn, longestName)
			c.Resources = append(c.Resources, arn)
			if !c.forgotten {
				r.log.bytes += len(arn)
			}
		}
	})
}

// Asked adds a question that IAM would be asked. Its context must not change any more.
func (r *Record) Asked(a Ask) {
	r.update(func(c *Call) {
		c.Asks = append(c.Asks, a)
		if !c.forgotten {
			r.log.bytes += a.size()
		}
	})
}

// End says that the call has been answered, dropped or given up.
func (r *Record) End() {
	r.update(func(c *Call) { c.State, c.Duration = "done", time.Since(c.Time) })
}

// Outcome says how the call was, or would have been, answered: with an error code, or with none, when it took effect.
func (r *Record) Outcome(code string, status int) {
	r.update(func(c *Call) {
		c.Status = status
		if code != "" {
			c.Err = code
			return
		}
		c.Effect = true
	})
}

// Fault says what a fault did to the call; empty for nothing.
func (r *Record) Fault(what string) { r.update(func(c *Call) { c.Fault = what }) }
