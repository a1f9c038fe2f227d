package model

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// world is all that outlives a worker: SQS, SNS, EC2, the disk and the run of
// the kernel. It lives in one synctest bubble.
type world struct {
	disk   *disk
	state  string // the state directory
	counts *counts

	files sync.Mutex // one call of any journal at a time, so that its steps can be told apart

	mu      sync.Mutex
	boot    int
	faults  []*fault
	killIn  int // the worker dies at this many steps from now; 0: it does not
	killHow string
	queue   []*message
	wake    chan struct{} // closed when something is put on the queue
	dead    []deadLetter
	made    []*made
	calls   []createCall
	topic   []*messages.Result
	durable map[string]bool   // request ids whose result a journal took, as far as its caller was told
	final   map[string]string // request id to event id, where that was final
	written map[string]bool   // event ids that a journal took
	// unwritten are those that SNS has and no journal: who published them.
	unwritten map[string]*process
	turn      *process // who runs a request
	living    []*process
	byHand    map[string]bool   // request ids that `stillpoint snapshot` had
	begun     map[string]string // request id to attempt id, where a journal took its intent
	ids       int
	trail     []string
	broken    []string // what must not be
	first     string   // the first of it, without names
}

func newWorld(d *disk, state string, c *counts) *world {
	return &world{
		disk: d, state: state, counts: c,
		durable: map[string]bool{}, final: map[string]string{}, byHand: map[string]bool{}, written: map[string]bool{}, unwritten: map[string]*process{}, begun: map[string]string{},
	}
}

// fault is one thing that is to go wrong at a step, after skip of its kind went well.
type fault struct {
	at   string
	skip int
	how  string
	d    time.Duration // of a delay, a lag
	n    int           // pages, steps
}

func (f *fault) String() string {
	return fmt.Sprintf("%s+%d %s %s %d", f.at, f.skip, f.how, f.d, f.n)
}

// note adds to the trail that is shown when something is broken. mu is held.
func (w *world) note(format string, args ...any) {
	w.trail = append(w.trail, time.Now().Format("02T15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note(format, args...)
}

// breach notes what must not be. mu is held.
func (w *world) breach(format string, args ...any) {
	if len(w.broken) == 0 {
		w.first = format
	}
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
	w.note("BROKEN: "+format, args...)
}

// take gives out the fault for a step. mu is held.
func (w *world) take(at string) *fault {
	for i, f := range w.faults {
		if f.at != at {
			continue
		}
		if f.skip > 0 {
			f.skip--
			return nil
		}
		w.faults = append(w.faults[:i:i], w.faults[i+1:]...)
		w.note("fault: %s", f)
		w.counts.add("fault "+at+" "+f.how, 1)
		return f
	}
	return nil
}

// process is one run of the program. When it is dead, none of its goroutines
// gets past a step any more: each ends there.
type process struct {
	*world
	name string
	gone chan struct{} // closed when it dies
	dies func()        // what else ends with it: its context

	// Guarded by world.mu.
	isDead  bool
	running string // the request id in hand
	held    hold
}

// hold is what the process has locked and frozen.
type hold struct {
	locked, frozen bool
	broken         bool // it was lost at some time since
}

func (h hold) all() bool { return h.locked && h.frozen && !h.broken }

// step is a place where the process can die. It never returns in one that is dead.
func (p *process) step(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alive()
	p.counts.add("step "+name, 1)
	if p.killIn > 0 && name != "Queue.Receive before" && !strings.HasPrefix(name, "outbox: ") {
		if p.killIn--; p.killIn == 0 {
			p.kill(name, p.killHow)
		}
	}
	if f := p.take("kill " + name); f != nil {
		p.kill(name, f.how)
	}
}

// alive ends the goroutine of a dead process. mu is held.
func (p *process) alive() {
	if p.isDead {
		runtime.Goexit() // mu is unlocked by the caller's defer
	}
}

// kill ends the process here. mu is held.
func (p *process) kill(where, how string) {
	p.note("%s of %s at %s", how, p.name, where)
	p.counts.add("kill "+where, 1)
	p.counts.add("how "+how, 1)
	p.end()
	if how == reboot {
		p.restarted()
	}
	runtime.Goexit()
}

// end is what the kernel and the guardian do for a process that has died. mu is held.
func (p *process) end() {
	if p.isDead {
		return
	}
	p.isDead = true
	p.living = slices.DeleteFunc(p.living, func(q *process) bool { return q == p })
	p.held = hold{}
	if p.turn == p {
		p.turn = nil
	}
	close(p.gone)
	p.dies()
}

// restarted is a new run of the kernel: nobody lives on. mu is held.
func (w *world) restarted() {
	w.boot++
	for len(w.living) > 0 {
		w.living[0].end()
	}
	// The byte that says "sent" was never synced.
	sent, err := filepath.Glob(filepath.Join(w.state, "sent", "*"))
	for _, name := range sent {
		err = errors.Join(err, os.WriteFile(name, []byte("0"), 0o600))
	}
	if err != nil {
		w.breach("the harness: %v", err)
	}
}

// The ways to die.
const (
	sigkill = "SIGKILL"
	reboot  = "power loss" // what was not synced is lost too
)

// effect does something to the outside world, if the process is alive. f runs with mu held.
func (p *process) effect(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alive()
	f()
}

func (p *process) taken(at string) (f *fault) {
	p.effect(func() { f = p.take(at) })
	return f
}

// away is AWS not answering.
func away(what string, err error) error {
	return &snapshot.OutOfReachError{What: what, Err: err}
}
