package model

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stillpoint/internal/journal"
	"stillpoint/internal/snapshot"
	"stillpoint/messages"
	"stillpoint/worker"
)

// recorder is the real journal, as one lane of one process sees it: the
// process may die before, after and in the midst of every call, and the disk
// may fill up there.
type recorder struct {
	worker.Journal
	*process
	lane string // "" for the requests, "outbox: "
}

var errEmpty = errors.New("")

// do makes one call of the journal; then notes what is true when it has succeeded.
func (r recorder) do(name string, call func() error, then ...func()) error {
	name = r.lane + name
	r.step(name + " before")
	err := r.journaled(name, call)
	if err == nil && len(then) > 0 {
		r.effect(then[0])
	}
	r.step(name + " after")
	return err
}

func (r recorder) journaled(name string, call func() error) error {
	r.files.Lock()
	defer r.files.Unlock()
	r.effect(func() {})
	if f := r.taken("full " + name); f != nil {
		if f.how != "" { // given up by a write before, and taken by others
			_ = os.Remove(filepath.Join(r.state, "reserve"))
		}
		r.fillDisk(f.n, f.d)
	}
	f := r.taken("inside " + name)
	if f == nil {
		return call()
	}
	w, err := newWatch(r.state)
	before, err2 := readTree(r.state)
	if err := errors.Join(err, err2); err != nil {
		r.broke(err)
		return call()
	}
	defer w.close()
	_ = call()
	r.disk.free() // what follows is not the journal's, and finds room
	steps, err := w.steps()
	after, err2 := readTree(r.state)
	err = errors.Join(err, err2)
	n := 0
	if len(steps) > 0 {
		n = f.n % (len(steps) + 1)
	}
	for ok := false; err == nil && !ok; n++ {
		var img tree
		if img, ok = image(before, after, steps, n); ok {
			err = writeTree(r.state, img)
			break
		}
	}
	if err != nil {
		r.broke(err)
	}
	r.effect(func() {
		r.note("%d of %d steps of %s were done: %v", n, len(steps), name, steps)
		r.counts.add(map[bool]string{true: "images between steps", false: "images of nothing or all"}[n > 0 && n < len(steps)], 1)
		r.kill("inside "+name, f.how)
	})
	return errEmpty
}

// broke is the harness itself failing.
func (w *world) broke(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.breach("the harness: %v", err)
}

func (w *world) fillDisk(pages int, d time.Duration) {
	if err := w.disk.fill(pages); err != nil {
		w.broke(err)
	}
	w.say("the disk has room for %d pages, for %s", pages, d)
	time.AfterFunc(d, func() {
		w.disk.free()
		w.say("the disk has room again")
	})
}

// only keeps every other call of a journal out until the returned function is called.
func (r recorder) only() (done func()) {
	r.files.Lock()
	defer func() {
		if done == nil {
			r.files.Unlock() // this process is dead, and its goroutine ends here
		}
	}()
	r.effect(func() {})
	return r.files.Unlock
}

func (r recorder) Load(id string) (e *worker.Entry, err error) {
	err = r.do("Journal.Load", func() error { e, err = r.Journal.Load(id); return err })
	return e, err
}

func (r recorder) Finish(res *messages.Result, owed []snapshot.PendingTags) error {
	return r.do("Journal.Finish", func() error { return r.Journal.Finish(res, owed) }, func() {
		r.note("durable: %s of %s: %s %s", res.EventID[:8], res.RequestID, res.Status, res.Reason)
		r.durable[res.RequestID] = true
		r.written[res.EventID] = true
		if p := r.unwritten[res.EventID]; p != nil && !p.isDead {
			delete(r.unwritten, res.EventID)
		}
		r.finished(res)
	})
}

func (r recorder) Requeue(res *messages.Result) error {
	return r.do("Journal.Requeue", func() error { return r.Journal.Requeue(res) }, func() { r.durable[res.RequestID] = true })
}

func (r recorder) Published(id string) error {
	return r.do("Journal.Published", func() error { return r.Journal.Published(id) })
}

func (r recorder) TagsWritten(id string) error {
	return r.do("Journal.TagsWritten", func() error { return r.Journal.TagsWritten(id) })
}

func (r recorder) Outbox() (list []*messages.Result, err error) {
	defer r.only()()
	return r.Journal.Outbox()
}

func (r recorder) Owed() (list []snapshot.PendingTags, err error) {
	defer r.only()()
	return r.Journal.Owed()
}

func (r recorder) LastSuccess(plan string) (time.Time, error) {
	defer r.only()()
	return r.Journal.LastSuccess(plan)
}

func (r recorder) Unfinished() ([]*worker.Entry, error) {
	defer r.only()()
	return r.Journal.Unfinished()
}

func (r recorder) Check() error {
	defer r.only()()
	return r.Journal.Check()
}

func (r recorder) Record(d messages.Delivery, messageID string) snapshot.Record {
	defer r.only()()
	return attemptRecord{r, r.Journal.Record(d, messageID), d.Request.RequestID}
}

type attemptRecord struct {
	recorder
	rec     snapshot.Record
	request string
}

func (a attemptRecord) Intend(ctx context.Context, id string, volumes []string) error {
	name := "Record.Intend first"
	if len(volumes) > 0 {
		name = "Record.Intend volumes"
	}
	return a.do(name, func() error { return a.rec.Intend(ctx, id, volumes) }, func() { a.begun[a.request] = id })
}

func (a attemptRecord) Sending() {
	_ = a.do("Record.Sending", func() error {
		a.rec.Sending()
		return a.onModelTime()
	})
}

// onModelTime gives the bytes that say "sent" the model's time: when that was
// is read from their files.
func (w *world) onModelTime() error {
	files, err := filepath.Glob(filepath.Join(w.state, "sent", "*"))
	for _, name := range files {
		info, statErr := os.Stat(name)
		if err == nil && statErr == nil && info.ModTime().After(time.Now()) {
			err = os.Chtimes(name, time.Time{}, time.Now())
		}
	}
	return err
}

func (a attemptRecord) Settled(ctx context.Context, r *messages.Result) error {
	return a.do("Record.Settled", func() error { return a.rec.Settled(ctx, r) })
}

// open opens the journal for a process. Steps of the start are not counted: a
// crash in it is one before it, and another one after it.
func (w *world) open() (*journal.Journal, error) {
	w.mu.Lock()
	boot := w.boot
	w.mu.Unlock()
	w.files.Lock()
	defer w.files.Unlock()
	return journal.Open(w.state, journal.Options{InstanceID: self.InstanceID, BootID: "boot-" + strings.Repeat("i", boot+1)})
}
