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

const (
	tmpKept     = time.Hour
	pruneEvery  = 24 * time.Hour
	maxAttempts = 100 // of one request, in its file; the pipeline stops at two
)

// record implements snapshot.Record for one run.
type record struct {
	journal   *Journal
	requestID string
	plan      string

	attemptID string
	file      *os.File // open from Intend to Settled
	sent      bool
	sendErr   error
}

var (
	_ snapshot.Record = (*record)(nil)

	sentByte = []byte{sent} // made beforehand: Sending allocates nothing
)

// Record implements worker.Journal. It ends the record that was given out before.
func (j *Journal) Record(requestID, plan string) snapshot.Record {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.release(); err != nil {
		j.options.Log.Warn().Err(err).Msg("cannot close the file of an earlier attempt")
	}
	j.current = &record{journal: j, requestID: requestID, plan: plan}
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
	if i < 0 {
		if len(q.Attempts) >= maxAttempts {
			return fmt.Errorf("request %s has %d attempts already", r.requestID, len(q.Attempts))
		}
		q.Attempts = append(q.Attempts, attempt{
			Attempt: snapshot.Attempt{ID: attemptID, StartedAt: j.options.Now().UTC()},
			BootID:  j.boot,
		})
		i = len(q.Attempts) - 1
	}
	q.Plan = r.plan
	a := &q.Attempts[i]
	a.VolumeIDs = slices.Clone(volumeIDs)
	if a.Settled != nil {
		if a.Settled.Reason != messages.ReasonQuota {
			return fmt.Errorf("attempt %s of request %s has its verdict (%s) and cannot go on", attemptID, r.requestID, a.Settled.Reason)
		}
		a.Settled, a.Sent, a.SentKnown = nil, false, false
	}
	return write(j.requestPath(r.requestID), q)
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
		return errors.Join(err, f.Close())
	}
	r.file, r.attemptID, r.sent, r.sendErr = f, attemptID, false, nil
	return nil
}

// Sending implements snapshot.Record: one pwrite into the page cache, without
// the journal's lock and without a sync.
func (r *record) Sending() {
	if r.file == nil {
		r.sendErr = errors.New("the create call was sent without an intent")
		return
	}
	r.sent = true
	if _, err := r.file.WriteAt(sentByte, 0); err != nil {
		r.sendErr = fmt.Errorf("cannot note that the create call is being sent: %w", err)
	}
}

// Settled implements snapshot.Record. It brings up an error of Sending too,
// but only when what it had to say is durable.
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
		a.Sent, a.SentKnown = r.sent, true
	}
	j.learnSent(r.requestID, a) // where it is an earlier run's
	a.Settled = result
	if err := write(j.requestPath(r.requestID), q); err != nil {
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
