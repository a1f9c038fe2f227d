package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"stillpoint/messages"
)

// tagging is how long the verdict tags are tried before the result goes out.
const tagging = 10 * time.Second

// afterwards is everything that follows the unlock: the verdict, the journal, the tags.
func (a *attempt) afterwards(ctx context.Context) {
	free := context.WithoutCancel(ctx)
	a.judge(ctx)
	if a.again && a.result.Reason != messages.ReasonQuota {
		return // the look-up was cut short: it stays open what the attempt came to
	}
	// That of a limit is written too: the next attempt must know that nothing was made by this one.
	if a.job.Record != nil {
		settled := *a.result
		settled.Stages = slices.Clone(settled.Stages) // a further try takes some away
		a.seal(&settled)
		if err := a.job.Record.Settled(free, &settled); err != nil {
			a.warn("cannot write the verdict to the journal: %v", err)
			a.writeTags(free)
			return
		}
	}
	a.recorded = true
	a.writeTags(free)
}

// judge comes to the verdict: was every hold still ours when EC2 had answered,
// and is the set complete?
func (a *attempt) judge(ctx context.Context) {
	w := &a.win
	a.judgeCoordinates()
	if w.thawErr != nil {
		a.warn("the thaw reported: %v", w.thawErr)
	}
	a.judgePostThaw()
	a.doubt()
	var (
		ambiguous *AmbiguousError
		quota     *QuotaError
		lost      *LockLostError
	)
	switch {
	case errors.As(w.createErr, &ambiguous):
		a.reconcile(ctx, w.createErr, a.delays())
		return
	case errors.As(w.coordErr, &lost):
		a.fail(messages.ReasonLockLost, "%v; no snapshots were made", w.coordErr)
		return
	case w.coordErr != nil:
		a.fail(messages.ReasonLockLost, "the database did not answer under the lock: %v; no snapshots were made", w.coordErr)
		return
	case w.hookErr != nil:
		a.fail(messages.ReasonHookFailed, "pre_freeze failed, so that nothing was frozen: %v; no snapshots were made; its output is in the log", w.hookErr)
		return
	case w.freezeErr != nil && w.late:
		a.fail(messages.ReasonMaxHoldExceeded, "the file systems did not come to rest within max_hold (%s): %v; no snapshots were made", a.Plan.MaxHold, w.freezeErr)
		return
	case w.freezeErr != nil:
		a.fail(messages.ReasonFreezeFailed, "cannot freeze: %v; no snapshots were made", w.freezeErr)
		return
	case errors.Is(w.createErr, errNoTime):
		a.fail(messages.ReasonMaxHoldExceeded, "%v (%s): lock and freeze took too long; EC2 was not asked and no snapshots were made; raise max_hold or find out what was slow", errNoTime, a.Plan.MaxHold)
		return
	case errors.As(w.createErr, &quota):
		a.noteQuota()
		a.again = a.mayTryAgain()
		a.fail(messages.ReasonQuota, "%v; everything was let go and no snapshots were made%s", w.createErr, a.quotaWords())
		return
	case w.createErr != nil:
		a.fail(messages.ReasonSnapshotFailed, "%v; no snapshots were made", w.createErr)
		return
	}
	if w.lostAnswer != nil {
		a.warn("%v: a look-up showed the whole set while everything was still held", w.lostAnswer)
	}
	a.result.Snapshots = a.describe(w.made)
	missing, extra := a.compare(a.result.Snapshots)
	for _, s := range extra {
		a.warn("EC2 also made %s of %s, which is not part of the set", s.SnapshotID, s.VolumeID)
	}
	got := a.proved()
	switch {
	case len(missing) > 0:
		a.end(messages.Inconsistent, messages.ReasonSnapshotFailed, got, "EC2 made no snapshot that can be used of %s: the set is not complete and must not be restored as one", strings.Join(missing, ", "))
	case !a.everythingHeld():
		reason, why := a.broken()
		a.end(messages.Inconsistent, reason, got, "%s: the set is no more than %s-consistent, and not what the plan asks for (%s, with all of its holds); do not trust it for more, and send a new request", why, got, a.wanted())
	default:
		a.succeed(got, "%s started while %s; writes were blocked for %.0f ms", count(len(a.result.Snapshots), "snapshot"), a.heldWords(got), a.result.Timings.WritesBlocked)
	}
}

// judgeCoordinates puts what was read under the lock into the result, and
// calls it exact only where it was the same after the thaw.
func (a *attempt) judgeCoordinates() {
	if a.before == nil {
		return
	}
	m := a.withKilled(*a.before)
	m.LocationTrusted = a.trusted
	after := a.win.after
	m.CoordinatesExact = a.held(true).exact && a.filesFrozen() && after != nil && a.lockHeld() &&
		after.BinlogFile == m.BinlogFile && after.BinlogPosition == m.BinlogPosition && after.GTID == m.GTID &&
		sameReplica(after.Replica, m.Replica) && slices.Equal(after.OtherSources, m.OtherSources)
	switch {
	case m.CoordinatesExact, !a.locks() && after != nil:
	case a.lockHeld() && (a.claim.LogsLate || !a.claim.worth().stops):
		// A doubt says so, or commits went on until the freeze: nothing is amiss.
	case a.lockHeld() && !a.filesFrozen():
		// Likewise.
	case after == nil || !a.lockHeld():
		a.warn("the coordinates could not be proved to be exact: %v", errors.Join(a.win.afterErr, a.win.lockErr, a.win.unlockErr))
	case after.BinlogFile != m.BinlogFile || after.BinlogPosition != m.BinlogPosition:
		a.warn("the coordinates moved while the lock was held (from %s:%d to %s:%d): they are not exact", m.BinlogFile, m.BinlogPosition, after.BinlogFile, after.BinlogPosition)
	default:
		a.warn("GTID or replica coordinates moved while the lock was held: the coordinates are not exact")
	}
	for _, r := range sources(&m) {
		if r.PositionOmitted != "" {
			a.warn("file and position in the binlog of the source%s are not told, since %s%s", ofChannel(r), r.PositionOmitted, insteadOf(m.Replica))
		}
	}
	a.result.MySQL = &m
	if a.win.sheetErr != nil {
		a.warn("the coordinates are not in the snapshot's coordinates_file, or not whole: %v", a.win.sheetErr)
	}
}

func sameReplica(a, b *messages.Replica) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// sources are all that the server is a replica of.
func sources(m *messages.MySQL) []messages.Replica {
	if m.Replica == nil {
		return nil
	}
	return append([]messages.Replica{*m.Replica}, m.OtherSources...)
}

func ofChannel(r messages.Replica) string {
	if r.Channel == "" {
		return ""
	}
	return " of channel " + r.Channel
}

// insteadOf says what is left where the position is not told.
func insteadOf(r *messages.Replica) string {
	if r.GTID == "" {
		return "; there are no GTIDs to use instead"
	}
	return "; the GTID set is what counts"
}

func (a *attempt) lockHeld() bool {
	w := &a.win
	return a.session != nil && !w.locked.IsZero() && w.lockErr == nil && w.unlockErr == nil && w.afterErr == nil
}

func (a *attempt) frozenHeld() bool {
	w := &a.win
	return a.guard != nil && w.freezeErr == nil && w.thawErr == nil && w.thawed.Held()
}

// filesFrozen says that every file system on which the server has anything that
// a restore needs stayed frozen. Without that, what it wrote last may be in the
// kernel's memory alone, lock or no lock.
func (a *attempt) filesFrozen() bool {
	return a.frozenHeld() && a.freezesFiles()
}

func (a *attempt) freezesFiles() bool { return a.Plan.EverythingFrozen() || a.partsFrozen }

// everythingHeld says whether all that was locked and frozen was shown to have
// stayed so until EC2 had answered. A plan that also leaves something
// unfrozen claims less, and its freezes must have held all the same.
func (a *attempt) everythingHeld() bool {
	return (!a.locks() || a.lockHeld()) && (a.guard == nil || a.frozenHeld())
}

// locks says that the plan wants a lock, and not only a session.
func (a *attempt) locks() bool { return a.session != nil && a.claim.Lock != LockNone }

// wanted is what the plan asks for, as far as it can be had on this server: what
// its lock is worth there with all of the plan's freezes.
func (a *attempt) wanted() messages.Consistency {
	return a.held(true).of(a.Plan.EverythingFrozen())
}

// proved is what was shown to hold from before EC2 was called until it had answered.
func (a *attempt) proved() messages.Consistency {
	return a.held(a.lockHeld()).of(a.Plan.EverythingFrozen() && a.frozenHeld())
}

// held is what the lock is worth, where it was held.
func (a *attempt) held(locked bool) worth {
	if a.session == nil || !locked {
		return Claim{Lock: LockNone}.worth()
	}
	return a.claim.worth()
}

// broken says which hold was lost, and how.
func (a *attempt) broken() (messages.Reason, string) {
	w := &a.win
	switch {
	case a.guard != nil && w.thawed.Cause == ThawDeadline:
		return messages.ReasonMaxHoldExceeded, fmt.Sprintf("max_hold (%s) passed and the file systems were let go", a.Plan.MaxHold)
	case a.guard != nil && w.thawErr != nil:
		return messages.ReasonThawedEarly, fmt.Sprintf("the file systems are not proved to have stayed frozen until EC2 had answered: %v", w.thawErr)
	case a.guard != nil && !a.frozenHeld():
		return messages.ReasonThawedEarly, fmt.Sprintf("the file systems did not stay frozen until EC2 had answered (%s)", cmp.Or(w.thawed.Detail, string(w.thawed.Cause)))
	case a.locks() && !a.lockHeld():
		err := errors.Join(w.lockErr, w.unlockErr, w.afterErr)
		if w.unlocked.After(w.deadline) {
			return messages.ReasonMaxHoldExceeded, fmt.Sprintf("max_hold (%s) passed and the database lock was let go: %v", a.Plan.MaxHold, err)
		}
		return messages.ReasonLockLost, fmt.Sprintf("the database lock is not proved to have been held until EC2 had answered: %v", err)
	default:
		return messages.ReasonInternal, "something did not hold"
	}
}

func (a *attempt) heldWords(c messages.Consistency) string {
	switch c {
	case messages.ConsistencyApplication:
		return "the database was locked and every file system frozen"
	case messages.ConsistencyDatabase:
		return "the database was locked"
	case messages.ConsistencyFilesystem:
		return "every file system was frozen"
	default:
		if a.locks() {
			return "the database's backup lock was held, which alone stops no writes"
		}
		return "nothing was held, as the plan has it"
	}
}

// describe adds what the host knows to what EC2 answered.
func (a *attempt) describe(made []messages.Snapshot) []messages.Snapshot {
	out := make([]messages.Snapshot, len(made))
	for i, s := range made {
		for _, v := range a.volumes {
			if v.ID == s.VolumeID {
				s.Device, s.Mount = v.DeviceName, v.Mount
			}
		}
		out[i] = s
	}
	return out
}

// failedState is EC2's state of a snapshot that cannot be used.
const failedState = "error"

// compare holds a set against the volumes that were asked for. A second
// snapshot of one volume is extra too.
func (a *attempt) compare(made []messages.Snapshot) (missing []string, extra []messages.Snapshot) {
	want := map[string]bool{}
	for _, v := range a.volumes {
		want[v.ID] = true
	}
	have := map[string]bool{}
	for _, s := range made {
		switch {
		case !want[s.VolumeID] || have[s.VolumeID]:
			extra = append(extra, s)
		case s.State != failedState:
			have[s.VolumeID] = true
		}
	}
	for _, v := range a.volumes {
		if !have[v.ID] {
			missing = append(missing, v.ID)
		}
	}
	return missing, extra
}

func ofAttempt(found []Existing, attemptID string) []messages.Snapshot {
	var out []messages.Snapshot
	for _, f := range found {
		if f.Tags[TagAttemptID] == attemptID {
			out = append(out, f.Snapshot)
		}
	}
	return out
}

// writeTags writes the verdict to every snapshot; what fails is owed.
func (a *attempt) writeTags(ctx context.Context) {
	if len(a.result.Snapshots) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tagging)
	defer cancel()
	taken := a.createTags()
	_ = a.outside("tag", func() error {
		a.readOwnTags(ctx)
		var errs []error
		for _, s := range a.result.Snapshots {
			tags, left := a.verdictTags(s, a.ownTags[s.VolumeID], taken)
			if len(left) > 0 {
				a.warn("%s has too many tags: not copied to %s: %s", s.VolumeID, s.SnapshotID, strings.Join(left, ", "))
			}
			if err := a.EBS.Tag(ctx, s.SnapshotID, tags); err != nil {
				errs = append(errs, err)
				a.owed = append(a.owed, PendingTags{SnapshotID: s.SnapshotID, Tags: tags})
			}
		}
		if len(errs) > 0 {
			a.warn("the verdict tags of %s could not be written and are tried again later: %v", count(len(errs), "snapshot"), errs[0])
		}
		return errors.Join(errs...)
	})
}

// readOwnTags reads the tags that copy_tags wants, where that has not been done:
// the set is an earlier run's, or EC2 did not answer before the lock.
func (a *attempt) readOwnTags(ctx context.Context) {
	if !a.Plan.CopyTags || a.ownTags != nil {
		return
	}
	var ids []string
	for _, s := range a.result.Snapshots {
		ids = append(ids, s.VolumeID)
	}
	ctx, cancel := context.WithTimeout(ctx, tagging/3) // the verdict tags matter more
	defer cancel()
	own, err := a.EBS.VolumeTags(ctx, ids)
	if err != nil {
		a.warn("the volumes' own tags are not copied: %v", err)
	}
	a.ownTags = own
}

// setWords names the volumes of the set and where they are mounted.
func (a *attempt) setWords() string {
	words := make([]string, len(a.volumes))
	for i, v := range a.volumes {
		words[i] = v.ID
		if v.Mount != "" {
			words[i] += " (" + v.Mount + ")"
		}
	}
	return strings.Join(words, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if stem, ok := strings.CutSuffix(what, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
