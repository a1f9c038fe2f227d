package faults

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
	"stillpoint/test/rig"
)

// observed is a request on its way through a cell.
type observed struct {
	cell       *cell
	id         string
	messageID  string
	deliveries int
	again      bool
}

// The parts of an outcome, as the table has them: what was published, what EC2
// holds, how often it was asked to create, how often SQS delivered.
const (
	succeeded  = "succeeded"
	oneGood    = "a set"
	oneBad     = "a set tagged inconsistent"
	none       = "no set"
	neverAsked = "never asked"
	askedOnce  = "asked once"
	askedTwice = "asked twice"
	asked3     = "asked 3 times"
	once       = "delivered once"
	twice      = "delivered twice"
)

func is(parts ...string) string { return strings.Join(parts, ", ") }

// outcome puts what is seen from outside into a sentence of these parts.
func (b *bench) outcome(o *observed) (string, error) {
	sets, err := b.snapshots(o.id)
	if err != nil {
		return "", err
	}
	letters, err := b.deadLetters()
	if err != nil {
		return "", err
	}
	var published []string
	for _, r := range b.mail.distinct(o.id) {
		published = append(published, verdict(r))
	}
	parts := []string{strings.Join(published, " then "), b.setWords(sets), times("asked", "never asked", b.creates(o.id)), times("delivered", "", o.deliveries)}
	if reason, ok := letters[o.messageID]; ok {
		parts = append(parts, "dead letter "+reason)
	}
	if !b.gone() {
		parts = append(parts, "and the message is still there")
	}
	return is(parts...), nil
}

func verdict(r *messages.Result) string {
	s := string(r.Status)
	if r.Reason != "" {
		s += " " + string(r.Reason)
	}
	switch {
	case r.Status == messages.Succeeded && r.Consistency == messages.ConsistencyApplication, r.Consistency == messages.ConsistencyNone:
		return s
	}
	return s + " (" + string(r.Consistency) + ")"
}

func (b *bench) setWords(sets map[string][]types.Snapshot) string {
	if len(sets) == 0 {
		return none
	}
	var words []string
	for _, id := range slices.Sorted(maps.Keys(sets)) {
		words = append(words, b.oneSet(sets[id]))
	}
	return strings.Join(words, " and ")
}

func (b *bench) oneSet(set []types.Snapshot) string {
	word := "a set"
	if len(set) != len(b.s.Volumes) {
		word = fmt.Sprintf("%d of %d snapshots", len(set), len(b.s.Volumes))
	}
	statuses := map[string]bool{}
	for _, s := range set {
		statuses[tag(s, snapshot.TagStatus)] = true
	}
	status := strings.Join(slices.Sorted(maps.Keys(statuses)), " and ")
	if status == string(messages.Succeeded) {
		return word
	}
	return word + " tagged " + status
}

func times(what, never string, n int) string {
	switch n {
	case 0:
		return never
	case 1:
		return what + " once"
	case 2:
		return what + " twice"
	}
	return fmt.Sprintf("%s %d times", what, n)
}

// verified says that the verdict of a snapshot is still to be written.
func verified(s types.Snapshot) error {
	if status := tag(s, snapshot.TagStatus); status == snapshot.Unverified || status == "" {
		return fmt.Errorf("%s is %s", aws.ToString(s.SnapshotId), status)
	}
	return nil
}

// decent holds what must never be, whatever the cell: writers kept waiting
// beyond the promise, results that contradict themselves or EC2.
func (b *bench) decent(o *observed, stall rig.Stall) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !o.cell.stalls && stall.Duration > promise {
		fail("a writer waited %s for %q: more than max_hold and a second (%s)", stall.Duration, stall.Statement, promise)
	}
	sets, err := b.snapshots(o.id)
	if err != nil {
		return err
	}
	for _, r := range b.mail.distinct(o.id) {
		t := r.Timings
		for name, ms := range map[string]float64{
			"lockWait": t.LockWait, "lockHeld": t.LockHeld, "frozen": t.Frozen, "snapshotCall": t.SnapshotCall,
			"writesBlocked": t.WritesBlocked, "writesBlockedTotal": t.WritesBlockedTotal, "total": t.Total,
		} {
			if ms < 0 || ms > float64(10*time.Minute/time.Millisecond) {
				fail("%s: the timing %s is %.0f ms", r.Status, name, ms)
			}
		}
		for _, s := range r.Stages {
			if s.DurationMS < 0 || s.DurationMS > float64(10*time.Minute/time.Millisecond) {
				fail("%s: the stage %s took %.0f ms", r.Status, s.Name, s.DurationMS)
			}
		}
		if !o.cell.stalls && t.WritesBlockedTotal > float64(promise/time.Millisecond) {
			fail("writes were blocked for %.0f ms", t.WritesBlockedTotal)
		}
		if r.Status == messages.Succeeded && (r.Consistency != messages.ConsistencyApplication || len(r.Snapshots) != len(b.s.Volumes)) {
			fail("succeeded with consistency %s and %d snapshots", r.Consistency, len(r.Snapshots))
		}
		for _, s := range r.Snapshots {
			if !slices.ContainsFunc(sets[r.AttemptID], func(e types.Snapshot) bool { return aws.ToString(e.SnapshotId) == s.SnapshotID }) {
				fail("the result names %s, which is not in EC2's set of attempt %s", s.SnapshotID, r.AttemptID)
			}
		}
	}
	return errors.Join(errs...)
}

// forget deletes the snapshots of earlier cells, which would fill the store.
func (b *bench) forget() error {
	out, err := b.s.EC2.DescribeSnapshots(b.ctx, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
	if err != nil {
		return err
	}
	for _, s := range out.Snapshots {
		if _, err := b.s.EC2.DeleteSnapshot(b.ctx, &ec2.DeleteSnapshotInput{SnapshotId: s.SnapshotId}); err != nil {
			return fmt.Errorf("cannot forget a snapshot: %w", err)
		}
	}
	return nil
}
