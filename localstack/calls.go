package localstack

import (
	"maps"
	"sync"
	"time"
)

// callsKept is how many calls the log holds; the oldest go first.
const callsKept = 10_000

// Call is one call that the server got. Those that still run are listed too.
type Call struct {
	Time      time.Time         // when it had arrived
	Duration  time.Duration     // until it was answered, dropped or given up; zero while State is not "done"
	Operation string            // "ec2:CreateSnapshots"
	State     string            // "running", "waiting" (a long poll that is in the queue for a message), "done"
	Effect    bool              // it took effect, whatever the client was told
	Status    int               // of the answer, or the one that was withheld; zero where there was none
	Err       string            // the error code that it was answered with, or would have been; empty: none
	Fault     string            // what a Fault did to it: "RequestLimitExceeded", "drop", "hang", "latency"; empty: none
	Note      string            // for snapshots: how and how fast the files were cloned
	Params    map[string]string // what was asked, as sent; members of JSON that are no strings are JSON
}

// Calls returns the last calls, the oldest first.
func (s *Server) Calls() []Call { return s.calls.list() }

type callLog struct {
	mu   sync.Mutex
	ring []*Call
}

// record is the entry of a call that runs.
type record struct {
	log  *callLog
	call *Call
}

func (l *callLog) begin(operation string, params map[string]string) *record {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &Call{Time: time.Now(), Operation: operation, State: "running", Params: params}
	if len(l.ring) == callsKept {
		l.ring = append(l.ring[:0:0], l.ring[callsKept/10:]...)
	}
	l.ring = append(l.ring, c)
	return &record{log: l, call: c}
}

func (l *callLog) list() []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Call, len(l.ring))
	for i, c := range l.ring {
		out[i] = *c
		out[i].Params = maps.Clone(c.Params)
	}
	return out
}

func (r *record) update(f func(c *Call)) {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	f(r.call)
}

func (r *record) waiting() { r.update(func(c *Call) { c.State = "waiting" }) }

func (r *record) note(s string) { r.update(func(c *Call) { c.Note = s }) }

func (r *record) end() {
	r.update(func(c *Call) { c.State, c.Duration = "done", time.Since(c.Time) })
}

func (r *record) outcome(e *apiError, status int) {
	r.update(func(c *Call) {
		c.Status = status
		if e != nil {
			c.Err = e.Code
			return
		}
		c.Effect = true
	})
}

func (r *record) fault(f Fault) {
	r.update(func(c *Call) {
		switch {
		case f.Hang:
			c.Fault = "hang"
		case f.Drop:
			c.Fault = "drop"
		case f.Code != "":
			c.Fault = f.Code
		case f.Latency > 0:
			c.Fault = "latency"
		}
	})
}
