package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// The one byte in the file of an attempt.
const (
	notSent = '0'
	sent    = '1'
)

const maxAttempts = 100 // of one request, in its file; the pipeline stops at two

// record implements snapshot.Record for one run.
type record struct {
	journal   *Journal
	requestID string
	origin    origin

	attemptID string
	file      *os.File // open from Intend to Settled
	sent      bool
	sentAt    time.Time
	sendErr   error
}

var (
	_ snapshot.Record = (*record)(nil)

	sentByte = []byte{sent} // made beforehand: Sending allocates nothing
)

// Record implements worker.Journal. It ends the record that was given out before.
func (j *Journal) Record(d messages.Delivery, messageID string) snapshot.Record {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.release(); err != nil {
		j.options.Log.Warn().Err(err).Msg("cannot close the file of an earlier attempt")
	}
	j.current = &record{
		journal: j, requestID: d.Request.RequestID,
		origin: origin{Request: d.Request, Source: d.Source, RequestedAt: d.RequestedAt, MessageID: messageID},
	}
	return j.current
}

// Intend implements snapshot.Record. It may be called again for the same
// attempt when the volumes are known, and when the attempt goes on after a
// limit of EC2's: then the byte says "not sent" again before the verdict that
// nothing was made is taken back. ctx is not heard: a sync cannot be.
func (r *record) Intend(_ context.Context, attemptID string, volumeIDs []string) error {
	j := r.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	// What follows the window must find room, or an attempt would be held that
	// nobody can write down. What is written here leaves that room alone.
	if err := j.keepRoom(); err != nil {
		return err
	}
	if r.attemptID != attemptID || r.file == nil {
		if err := r.open(attemptID); err != nil {
			return fmt.Errorf("cannot prepare the file that says whether the create call was sent: %w", err)
		}
	}
	q, err := j.load(r.requestID)
	if err != nil {
		return err
	}
	i := find(q, attemptID)
	first := i < 0
	if first {
		if len(q.Attempts) >= maxAttempts {
			return fmt.Errorf("request %s has %d attempts already", r.requestID, len(q.Attempts))
		}
		q.Attempts = append(q.Attempts, attempt{
			Attempt: snapshot.Attempt{ID: attemptID, StartedAt: j.options.Now().UTC()},
			BootID:  j.boot,
		})
		i = len(q.Attempts) - 1
	}
	q.Plan, q.Origin = r.origin.Request.Plan, &r.origin
	a := &q.Attempts[i]
	a.VolumeIDs = slices.Clone(volumeIDs)
	if a.Settled != nil {
		if a.Settled.Reason != messages.ReasonQuota {
			return fmt.Errorf("attempt %s of request %s has its verdict (%s) and cannot go on", attemptID, r.requestID, a.Settled.Reason)
		}
		a.Settled, a.Sent, a.SentAt, a.SentKnown = nil, false, time.Time{}, false
	}
	err = write(j.requestPath(r.requestID), q)
	if err != nil && first { // an attempt that nobody knows of leaves nothing behind
		err = errors.Join(err, r.close(), ignoreMissing(os.Remove(j.sentPath(r.requestID, attemptID))))
	}
	return err
}

// open makes the one-byte file, durable and with its block allocated, so that
// Sending has nothing to allocate.
func (r *record) open(attemptID string) error {
	if err := r.close(); err != nil {
		return err
	}
	path := r.journal.sentPath(r.requestID, attemptID)
	how := os.O_EXCL
	if r.attemptID == attemptID {
		how = 0 // our own, of the call before
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|how, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt([]byte{notSent}, 0); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		err = errors.Join(err, f.Close())
		if how == os.O_EXCL {
			err = errors.Join(err, ignoreMissing(os.Remove(path)))
		}
		return err
	}
	r.file, r.attemptID, r.sent, r.sentAt, r.sendErr = f, attemptID, false, time.Time{}, nil
	return nil
}

// Sending implements snapshot.Record: one pwrite into the page cache, without
// the journal's lock and without a sync.
func (r *record) Sending() {
	if r.file == nil {
		r.sendErr = errors.New("the create call was sent without an intent")
		return
	}
	r.sent, r.sentAt = true, time.Now()
	if _, err := r.file.WriteAt(sentByte, 0); err != nil {
		r.sendErr = fmt.Errorf("cannot note that the create call is being sent: %w", err)
	}
}

// Settled implements snapshot.Record. It is the first thing written after the
// unlock, before tags, look-ups or SNS: from here on the ids that EC2 answered
// with are known whatever happens. It brings up an error of Sending too, but
// only when what it had to say is durable.
func (r *record) Settled(_ context.Context, result *messages.Result) error {
	j := r.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	q, err := j.load(r.requestID)
	if err != nil {
		return err
	}
	i := find(q, result.AttemptID)
	if i < 0 {
		return fmt.Errorf("cannot settle attempt %q of request %s: the journal does not know it", result.AttemptID, r.requestID)
	}
	a := &q.Attempts[i]
	if r.attemptID == a.ID {
		a.Sent, a.SentAt, a.SentKnown = r.sent, r.sentAt.UTC(), true
	}
	j.learnSent(r.requestID, a) // where it is an earlier run's
	a.Settled = result
	if err := j.write(j.requestPath(r.requestID), q); err != nil {
		return err
	}
	return errors.Join(r.sendErr, r.close())
}

func (r *record) close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

func find(q *request, attemptID string) int {
	return slices.IndexFunc(q.Attempts, func(a attempt) bool { return a.ID == attemptID })
}
