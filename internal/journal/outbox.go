package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// waiting is one entry of the outbox. It is the one write that makes a request
// finished; catchUp carries it over to the other files.
type waiting struct {
	Result *messages.Result       `json:"result"`
	Owed   []snapshot.PendingTags `json:"owed,omitzero"`
	// Again: the result was made durable before and is only to be published again.
	Again bool `json:"again,omitzero"`
}

// Finish implements worker.Journal.
func (j *Journal) Finish(r *messages.Result, owed []snapshot.PendingTags) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.catchUp(); err != nil {
		return err
	}
	if !r.UsesID() && len(owed) == 0 {
		return j.enqueueWithin(waiting{Result: r}, false)
	}
	// Before anything is written: can what is known be read?
	if r.UsesID() {
		q, err := j.load(r.RequestID)
		if err != nil && !errors.As(err, new(*CorruptError)) {
			return err
		}
		if err != nil {
			j.options.Log.Error().Err(err).Msg("what was known of a request is lost; its result is recorded anew")
		} else {
			j.lastTime = max(j.lastTime, q.Finished)
		}
	}
	j.behind = true
	err := j.enqueueWithin(waiting{Result: r, Owed: owed}, true)
	if j.options.Now().Sub(j.pruned) > pruneEvery {
		j.prune(true)
	}
	return err
}

// Requeue implements worker.Journal.
func (j *Journal) Requeue(r *messages.Result) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.enqueueWithin(waiting{Result: r, Again: true}, false)
}

// enqueueWithin adds an entry and keeps the outbox within its bound. What is
// not carried over yet is not dropped.
func (j *Journal) enqueueWithin(w waiting, replace bool) error {
	name, err := j.enqueue(w, replace)
	if err != nil || name == "" {
		return err
	}
	if err := j.catchUp(); err != nil {
		return err
	}
	j.makeRoom(name)
	return nil
}

// enqueue adds an entry. One with the same event id makes it superfluous, or
// is replaced; the name is "" where nothing was added.
func (j *Journal) enqueue(w waiting, replace bool) (name string, err error) {
	if _, err := uuid.Parse(w.Result.EventID); err != nil { // it becomes part of a file name
		return "", fmt.Errorf("cannot queue a result with the event id %q: %w", w.Result.EventID, err)
	}
	old, err := j.withEvent(w.Result.EventID)
	if err != nil {
		return "", err
	}
	if len(old) > 0 && !replace {
		return "", nil
	}
	j.lastTime = max(j.lastTime+1, j.options.Now().UnixNano())
	name = fmt.Sprintf("%020d-%s%s", j.lastTime, w.Result.EventID, suffix)
	if err := j.write(j.path(outboxDir, name), w); err != nil {
		return "", err
	}
	if len(old) > 0 {
		if err := remove(old...); err != nil {
			return "", fmt.Errorf("cannot remove the older entry of the same event: %w", err)
		}
	}
	return name, nil
}

func (j *Journal) withEvent(eventID string) ([]string, error) {
	names, err := records(filepath.Join(j.dir, outboxDir))
	if err != nil {
		return nil, fmt.Errorf("cannot list the outbox: %w", err)
	}
	var paths []string
	for _, name := range names {
		if strings.HasSuffix(name, "-"+eventID+suffix) {
			paths = append(paths, j.path(outboxDir, name))
		}
	}
	return paths, nil
}

// each reads the outbox, oldest first. Entries that cannot be read are in the
// error, and do not stop the rest.
func (j *Journal) each(f func(name string, time int64, w *waiting) error) error {
	names, err := records(filepath.Join(j.dir, outboxDir))
	if err != nil {
		return fmt.Errorf("cannot list the outbox: %w", err)
	}
	var errs []error
	for _, name := range names {
		path := j.path(outboxDir, name)
		w := &waiting{}
		stamp, _, _ := strings.Cut(name, "-")
		t, err := strconv.ParseInt(stamp, 10, 64)
		if err == nil {
			err = read(path, w)
		} else {
			err = setAside(path, errors.New("its name has no time"))
		}
		if err == nil && w.Result == nil {
			err = setAside(path, errors.New("it holds no result"))
		}
		switch {
		case errors.Is(err, fs.ErrNotExist): // another process published it
		case err != nil:
			errs = append(errs, err)
		default:
			errs = append(errs, f(name, t, w))
		}
	}
	return errors.Join(errs...)
}

// Outbox implements worker.Journal. An entry that had to be set aside is a
// *CorruptError in the error; the others are there.
func (j *Journal) Outbox() ([]*messages.Result, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.options.Now().Sub(j.pruned) > pruneEvery {
		j.prune(true)
	}
	var results []*messages.Result
	err := j.each(func(_ string, _ int64, w *waiting) error {
		results = append(results, w.Result)
		return nil
	})
	return results, err
}

// Published implements worker.Journal.
func (j *Journal) Published(eventID string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.catchUp(); err != nil { // the entry is all that says so as yet
		return err
	}
	paths, err := j.withEvent(eventID)
	if err == nil && len(paths) > 0 {
		err = remove(paths...)
	}
	return err
}

// catchUp carries entries of the outbox over to the files that follow from
// them, where a crash or a full disk kept that from being done. Entries that
// this process has not seen yet are another one's, which may have died there.
func (j *Journal) catchUp() error {
	names, err := records(filepath.Join(j.dir, outboxDir))
	if err != nil {
		return fmt.Errorf("cannot list the outbox: %w", err)
	}
	if !j.behind && !slices.ContainsFunc(names, func(name string) bool { return !j.carried[name] }) {
		return nil
	}
	var failed []error
	err = j.each(func(_ string, t int64, w *waiting) error {
		j.lastTime = max(j.lastTime, t)
		if !w.Again {
			if err := j.carryOver(t, w); err != nil {
				failed = append(failed, err)
			}
		}
		return nil
	})
	if err != nil { // set aside by now, or another version's
		j.options.Log.Error().Err(err).Msg("cannot read all of the outbox")
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	j.behind, j.carried = false, map[string]bool{}
	for _, name := range names {
		j.carried[name] = true
	}
	return nil
}

func (j *Journal) carryOver(t int64, w *waiting) error {
	if w.Result.UsesID() {
		q, err := j.load(w.Result.RequestID)
		if errors.As(err, new(*CorruptError)) {
			j.options.Log.Error().Err(err).Msg("what was known of a request is lost; its result is recorded anew")
			q, err = &request{RequestID: w.Result.RequestID}, nil
		}
		if err != nil {
			return err
		}
		if q.Finished >= t {
			return nil
		}
		if err := j.owe(w.Owed); err != nil {
			return err
		}
		if w.Result.Status == messages.Succeeded {
			if err := j.succeeded(w.Result.Plan, w.Result.FinishedAt); err != nil {
				return err
			}
		}
		// Last, since it says that the others are done.
		for i := range q.Attempts {
			j.learnSent(q.RequestID, &q.Attempts[i])
		}
		if q.Plan == "" {
			q.Plan = w.Result.Plan
		}
		q.Result, q.Finished = w.Result, t
		if err := j.write(j.requestPath(q.RequestID), q); err != nil {
			return err
		}
		return j.forget(q)
	}
	return j.owe(w.Owed)
}

// makeRoom keeps the outbox within its bound: successes go first, failures
// last, the newest entry never.
func (j *Journal) makeRoom(newest string) {
	type entry struct {
		name string
		size int64
		rank int
	}
	names, err := records(filepath.Join(j.dir, outboxDir))
	if err != nil {
		return
	}
	var all []entry
	var total int64
	for _, name := range names {
		info, err := os.Stat(j.path(outboxDir, name))
		if err != nil {
			continue
		}
		total += info.Size()
		if name != newest {
			all = append(all, entry{name: name, size: info.Size()})
		}
	}
	if total <= j.options.MaxOutboxBytes {
		return
	}
	ranks := map[string]int{"info": 0, "warning": 1, "critical": 2}
	for i := range all {
		var w waiting
		if read(j.path(outboxDir, all[i].name), &w) == nil && w.Result != nil {
			all[i].rank = ranks[w.Result.Status.Severity()]
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return a.rank - b.rank })
	for _, e := range all {
		if total <= j.options.MaxOutboxBytes {
			return
		}
		if err := remove(j.path(outboxDir, e.name)); err != nil {
			j.options.Log.Error().Err(err).Msg("cannot make room in the outbox")
			return
		}
		total -= e.size
		j.options.Log.Error().Str("entry", e.name).Msg("the outbox is full: a result that was never published is dropped")
	}
}
