package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
	"stillpoint/worker"
)

// request is the file of one request id.
type request struct {
	RequestID string           `json:"requestId"`
	Plan      string           `json:"plan"`
	Attempts  []attempt        `json:"attempts"`
	Result    *messages.Result `json:"result,omitzero"`
	// Origin is the request as it came last; nil in a file of an earlier
	// version, and where no attempt was made.
	Origin *origin `json:"origin,omitzero"`
	// Finished is the time of the outbox entry that Result came with: an
	// older entry does not replace it.
	Finished int64 `json:"finished,omitzero"`
}

// origin is what settles a request that its message does not bring back.
type origin struct {
	Request     messages.Request `json:"request"`
	Source      messages.Source  `json:"source"`
	RequestedAt time.Time        `json:"requestedAt"`
	MessageID   string           `json:"messageId"`
}

type attempt struct {
	snapshot.Attempt
	// BootID is the run of the kernel in which it was made: the byte that
	// says "sent" lives in the page cache until then.
	BootID string `json:"bootId"`
	// SentKnown says that Sent is final and the byte is not asked any more.
	SentKnown bool `json:"sentKnown,omitzero"`
}

func (j *Journal) requestPath(requestID string) string {
	return j.path(requestsDir, digest(requestID)+suffix)
}

func (j *Journal) sentPath(requestID, attemptID string) string {
	return j.path(sentDir, digest(requestID, attemptID))
}

// Load implements worker.Journal. The error is a *CorruptError where the file
// had to be set aside.
func (j *Journal) Load(requestID string) (*worker.Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.catchUp(); err != nil {
		return nil, err
	}
	q, err := j.load(requestID)
	if err != nil {
		return nil, err
	}
	return j.entry(q), nil
}

func (j *Journal) entry(q *request) *worker.Entry {
	e := &worker.Entry{RequestID: q.RequestID, Plan: q.Plan, Result: q.Result}
	if o := q.Origin; o != nil {
		e.Delivery = messages.Delivery{Request: o.Request, Source: o.Source, RequestedAt: o.RequestedAt}
		e.MessageID = o.MessageID
	}
	for _, a := range q.Attempts {
		j.learnSent(q.RequestID, &a)
		e.Attempts = append(e.Attempts, a.Attempt)
	}
	return e
}

// Unfinished implements worker.Journal. Others may use the journal while it
// reads, which takes seconds for a month of requests, and minutes on a slow disk.
func (j *Journal) Unfinished() ([]*worker.Entry, error) {
	names, err := j.begun()
	if err != nil {
		return nil, err
	}
	var found []*worker.Entry
	var errs []error
	for _, name := range names {
		e, err := j.unfinished(name)
		if err != nil {
			errs = append(errs, err)
		}
		if e != nil {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b *worker.Entry) int {
		return a.Attempts[0].StartedAt.Compare(b.Attempts[0].StartedAt)
	})
	return found, errors.Join(errs...)
}

// begun names the files of all requests, where one may be without a result. An
// attempt has its byte until its request is finished: where there is none the
// requests need not be read. The first time they are all the same.
func (j *Journal) begun() ([]string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.catchUp(); err != nil {
		return nil, err
	}
	bytes, err := os.ReadDir(filepath.Join(j.dir, sentDir))
	if err == nil && len(bytes) == 0 && j.searched {
		return nil, nil
	}
	names, err := records(filepath.Join(j.dir, requestsDir))
	if err != nil {
		return nil, fmt.Errorf("cannot list the requests: %w", err)
	}
	j.searched = true
	return names, nil
}

// unfinished reads one file; nil: the request has a result, or is gone.
func (j *Journal) unfinished(name string) (*worker.Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	q, err := unsettled(j.path(requestsDir, name))
	if q == nil || name != digest(q.RequestID)+suffix {
		return nil, err
	}
	return j.entry(q), nil
}

// load returns an empty request where there is no file.
func (j *Journal) load(requestID string) (*request, error) {
	q := &request{}
	path := j.requestPath(requestID)
	err := read(path, q)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &request{RequestID: requestID}, nil
	case err != nil:
		return nil, err
	case q.RequestID != requestID:
		return nil, setAside(path, fmt.Errorf("it holds another request id"))
	}
	return q, nil
}

func (j *Journal) learnSent(requestID string, a *attempt) {
	if !a.SentKnown {
		a.Sent, a.SentAt = j.wasSent(requestID, *a)
		a.SentKnown = true
	}
}

// wasSent reads the byte that Sending wrote. Where that cannot be relied on
// (the kernel has been started anew since, or the file is gone) the answer is
// the safe one: it may have been sent, if the attempt had come so far.
// When is what the byte's file says; zero: not known.
func (j *Journal) wasSent(requestID string, a attempt) (sent bool, when time.Time) {
	if len(a.VolumeIDs) == 0 {
		return false, time.Time{}
	}
	if a.BootID != j.boot {
		return true, time.Time{}
	}
	path := j.sentPath(requestID, a.ID)
	data, err := os.ReadFile(path)
	if err == nil && len(data) == 1 && data[0] == notSent {
		return false, time.Time{}
	}
	if info, statErr := os.Stat(path); err == nil && statErr == nil {
		when = info.ModTime().UTC()
	}
	return true, when
}

// forget removes what belongs to the attempts of a request that is done.
func (j *Journal) forget(q *request) error {
	var paths []string
	for _, a := range q.Attempts {
		path := j.sentPath(q.RequestID, a.ID)
		if _, err := os.Lstat(path); err == nil {
			paths = append(paths, path)
		}
	}
	return remove(paths...)
}
