package localstack_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/localstack"
)

const day = 24 * time.Hour

// locker locks one snapshot in ways that a test is about.
type locker struct {
	*cloud
	id string
}

func (l locker) lock(t *testing.T, mode types.LockMode, days, hours int32) (*ec2.LockSnapshotOutput, error) {
	t.Helper()
	in := &ec2.LockSnapshotInput{SnapshotId: &l.id, LockMode: mode}
	if days != 0 {
		in.LockDuration = &days
	}
	if hours != 0 {
		in.CoolOffPeriod = &hours
	}
	return l.ec2.LockSnapshot(t.Context(), in)
}

func (l locker) unlock(t *testing.T) error {
	t.Helper()
	_, err := l.ec2.UnlockSnapshot(t.Context(), &ec2.UnlockSnapshotInput{SnapshotId: &l.id})
	return err
}

func (l locker) remove(t *testing.T) error {
	t.Helper()
	_, err := l.ec2.DeleteSnapshot(t.Context(), &ec2.DeleteSnapshotInput{SnapshotId: &l.id})
	return err
}

// state is that of the lock, empty for none.
func (l locker) state(t *testing.T) types.LockState {
	t.Helper()
	out := must(l.ec2.DescribeLockedSnapshots(t.Context(), &ec2.DescribeLockedSnapshotsInput{SnapshotIds: []string{l.id}}))(t).Snapshots
	if len(out) == 0 {
		return ""
	}
	return out[0].LockState
}

func newLocker(t *testing.T) locker {
	c := start(t, localstack.Config{SnapshotTime: -1})
	_, volumes := c.launch(t, 1)
	return locker{c, c.snapOf(t, volumes[1])}
}

func TestLockGovernance(t *testing.T) {
	l := newLocker(t)
	out, err := l.lock(t, types.LockModeGovernance, 2, 0)
	must(out, err)(t)
	if out.LockState != types.LockStateGovernance || *out.LockDuration != 2 || out.CoolOffPeriod != nil ||
		!out.LockExpiresOn.Equal(out.LockCreatedOn.Add(2*day)) || !out.LockDurationStartTime.Equal(*out.LockCreatedOn) {
		t.Errorf("the lock is %+v", out)
	}
	wantCode(t, l.remove(t), "OperationNotPermitted")
	must(l.lock(t, types.LockModeGovernance, 1, 0))(t) // shorter is fine
	must(struct{}{}, l.unlock(t))(t)
	if got := l.state(t); got != "" {
		t.Errorf("unlocked, it is %s", got)
	}
	wantCode(t, l.unlock(t), "IncorrectState")

	must(l.lock(t, types.LockModeGovernance, 1, 0))(t)
	l.MoveClock(day - time.Second)
	wantCode(t, l.remove(t), "OperationNotPermitted")
	l.MoveClock(time.Second)
	if got := l.state(t); got != types.LockStateExpired {
		t.Errorf("a day later it is %s", got)
	}
	must(struct{}{}, l.remove(t))(t)

	for name, x := range map[string]struct {
		in   ec2.LockSnapshotInput
		code string
	}{
		"neither":            {ec2.LockSnapshotInput{LockMode: "governance"}, "InvalidParameterCombination"},
		"both":               {ec2.LockSnapshotInput{LockMode: "governance", LockDuration: aws.Int32(1), ExpirationDate: aws.Time(l.Now().Add(day))}, "InvalidParameterCombination"},
		"too short":          {ec2.LockSnapshotInput{LockMode: "governance", LockDuration: aws.Int32(0)}, "InvalidParameterValue"},
		"too long":           {ec2.LockSnapshotInput{LockMode: "governance", LockDuration: aws.Int32(36_501)}, "InvalidParameterValue"},
		"in the past":        {ec2.LockSnapshotInput{LockMode: "governance", ExpirationDate: aws.Time(time.Now().Add(-time.Second))}, "InvalidParameterValue"},
		"cool governance":    {ec2.LockSnapshotInput{LockMode: "governance", LockDuration: aws.Int32(1), CoolOffPeriod: aws.Int32(1)}, "InvalidParameterCombination"},
		"too cool":           {ec2.LockSnapshotInput{LockMode: "compliance", LockDuration: aws.Int32(1), CoolOffPeriod: aws.Int32(73)}, "InvalidParameterValue"},
		"not cool":           {ec2.LockSnapshotInput{LockMode: "compliance", LockDuration: aws.Int32(1), CoolOffPeriod: aws.Int32(0)}, "InvalidParameterValue"},
		"mode":               {ec2.LockSnapshotInput{LockMode: "anarchy", LockDuration: aws.Int32(1)}, "InvalidParameterValue"},
		"dry run":            {ec2.LockSnapshotInput{LockMode: "governance", LockDuration: aws.Int32(36_500), DryRun: aws.Bool(true)}, "DryRunOperation"},
		"of a gone snapshot": {ec2.LockSnapshotInput{LockMode: "governance", LockDuration: aws.Int32(1), SnapshotId: &l.id}, "InvalidSnapshot.NotFound"},
	} {
		t.Run(name, func(t *testing.T) {
			if x.in.SnapshotId == nil {
				other := newLocker(t)
				x.in.SnapshotId = &other.id
				_, err := other.ec2.LockSnapshot(t.Context(), &x.in)
				wantCode(t, err, x.code)
				return
			}
			_, err := l.ec2.LockSnapshot(t.Context(), &x.in)
			wantCode(t, err, x.code)
		})
	}
}

func TestLockCompliance(t *testing.T) {
	l := newLocker(t)
	out, err := l.lock(t, types.LockModeCompliance, 2, 3)
	must(out, err)(t)
	if out.LockState != types.LockStateComplianceCooloff || *out.CoolOffPeriod != 3 || !out.CoolOffPeriodExpiresOn.Equal(out.LockCreatedOn.Add(3*time.Hour)) {
		t.Errorf("the lock is %+v", out)
	}
	// While it cools off, everything can be changed, but nothing deleted.
	wantCode(t, l.remove(t), "OperationNotPermitted")
	must(l.lock(t, types.LockModeGovernance, 1, 0))(t)
	must(l.lock(t, types.LockModeCompliance, 3, 1))(t)
	must(struct{}{}, l.unlock(t))(t)

	must(l.lock(t, types.LockModeCompliance, 2, 1))(t)
	l.MoveClock(time.Hour)
	if got := l.state(t); got != types.LockStateCompliance {
		t.Errorf("an hour later it is %s", got)
	}
	wantCode(t, l.unlock(t), "OperationNotPermitted")
	wantCode(t, l.remove(t), "OperationNotPermitted")
	_, err = l.lock(t, types.LockModeGovernance, 3, 0)
	wantCode(t, err, "OperationNotPermitted")
	_, err = l.lock(t, types.LockModeCompliance, 3, 1) // "the request fails"
	wantCode(t, err, "OperationNotPermitted")
	_, err = l.lock(t, types.LockModeCompliance, 1, 0)
	wantCode(t, err, "OperationNotPermitted")
	longer, err := l.lock(t, types.LockModeCompliance, 3, 0)
	if must(longer, err)(t); longer.LockState != types.LockStateCompliance {
		t.Errorf("made longer, it is %+v", longer)
	}
	l.MoveClock(3 * day)
	if got := l.state(t); got != types.LockStateExpired {
		t.Errorf("in the end it is %s", got)
	}

	// Without a cooling-off period it is final at once. An expired lock can be followed by any.
	must(l.lock(t, types.LockModeGovernance, 1, 0))(t)
	must(l.lock(t, types.LockModeCompliance, 1, 0))(t)
	wantCode(t, l.unlock(t), "OperationNotPermitted")
}

func TestLockUntilADate(t *testing.T) {
	l := newLocker(t)
	until := l.Now().Add(36 * time.Hour).Truncate(time.Millisecond)
	out := must(l.ec2.LockSnapshot(t.Context(), &ec2.LockSnapshotInput{SnapshotId: &l.id, LockMode: types.LockModeGovernance, ExpirationDate: &until}))(t)
	if out.LockDuration != nil || !out.LockExpiresOn.Equal(until) {
		t.Errorf("the lock is %+v, want until %v", out, until)
	}
	l.MoveClock(36 * time.Hour)
	if got := l.state(t); got != types.LockStateExpired {
		t.Errorf("after the date it is %s", got)
	}
}

func TestLockPending(t *testing.T) {
	l := newLocker(t)
	_, volumes := l.launch(t, 1)
	l.behave(t, func(b *localstack.EC2Behaviour) { b.SnapshotTime = time.Hour })
	l.id = l.snapOf(t, volumes[1])
	doomed := locker{l.cloud, l.snapOf(t, volumes[1])}
	out, err := l.lock(t, types.LockModeGovernance, 1, 0)
	must(out, err)(t)
	if out.LockExpiresOn != nil || out.LockDurationStartTime != nil || out.LockState != types.LockStateGovernance {
		t.Errorf("the lock of a pending snapshot is %+v", out)
	}
	wantCode(t, l.remove(t), "OperationNotPermitted")
	must(doomed.lock(t, types.LockModeCompliance, 1, 0))(t)
	must(struct{}{}, l.FailSnapshot(doomed.id, ""))(t)
	if got := doomed.state(t); got != "" { // "the lock is canceled"
		t.Errorf("the lock of a snapshot that failed is %s", got)
	}
	_, err = doomed.lock(t, types.LockModeGovernance, 1, 0)
	wantCode(t, err, "IncorrectState")
	must(struct{}{}, doomed.remove(t))(t)

	l.MoveClock(2 * time.Hour)
	locked := must(l.ec2.DescribeLockedSnapshots(t.Context(), &ec2.DescribeLockedSnapshotsInput{Filters: []types.Filter{filter("lock-state", "governance")}}))(t).Snapshots
	done := l.snapshot(t, l.id).CompletionTime
	if len(locked) != 1 || *locked[0].OwnerId != "111122223333" || !locked[0].LockDurationStartTime.Equal(*done) || !locked[0].LockExpiresOn.Equal(done.Add(day)) {
		t.Errorf("completed at %v, the locks are %+v", done, locked)
	}
	if got := must(l.ec2.DescribeLockedSnapshots(t.Context(), &ec2.DescribeLockedSnapshotsInput{Filters: []types.Filter{filter("lock-state", "compliance")}}))(t).Snapshots; len(got) != 0 {
		t.Errorf("in compliance mode there are %+v", got)
	}
	_, err = l.ec2.DescribeLockedSnapshots(t.Context(), &ec2.DescribeLockedSnapshotsInput{SnapshotIds: []string{"snap-0123456789abcdef0"}})
	wantCode(t, err, "InvalidSnapshot.NotFound")
}
