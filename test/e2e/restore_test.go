package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/messages"
	"stillpoint/test/scene"
)

// loaded waits until the load has written enough to be worth a comparison.
func loaded(t *testing.T, ctx context.Context, s *scene.Scene) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the load: %+v, error %v\nMariaDB's log:\n%s", s.Load.Stats(), s.Load.Err(), s.MariaDB.ErrorLog())
		}
	})
	await(t, ctx, "the load's first transactions", func() bool { return s.Load.Stats().Transactions > 600 })
}

// The restored set holds exactly what the recorded binlog position says.
func TestRestoredSetIsWhatTheBinlogSays(t *testing.T) {
	for _, fs := range []string{"xfs", "ext4"} {
		t.Run(fs, func(t *testing.T) {
			ctx, s := set(t, scene.Config{Filesystem: fs, Writers: 8})
			work(t, ctx, s)
			loaded(t, ctx, s)
			send(t, ctx, s, `{"plan":"nightly"}`)
			d := next(t, ctx, s)
			wants(t, d.Result, messages.Succeeded, "", messages.ConsistencyApplication)
			p := prove(t, ctx, s, d.Result)
			if !p.OK() {
				t.Fatal(p)
			}
			t.Logf("%s; writes blocked %.1f ms, of it EC2 %.1f ms", p, d.Result.Timings.WritesBlocked, d.Result.Timings.SnapshotCall)
		})
	}
}

func prove(t *testing.T, ctx context.Context, s *scene.Scene, r *messages.Result) scene.Proof {
	t.Helper()
	restored, err := s.Restore(ctx, r)
	if err != nil {
		return scene.Proof{Faults: []string{fmt.Sprintf("cannot restore: %v", err)}}
	}
	if err := s.Load.Stop(); err != nil {
		t.Fatalf("a writer failed: %v", err)
	}
	p, err := s.Prove(ctx, restored, r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The same comparison without lock and freeze fails: the proof that it can.
func TestWithoutQuiesceTheComparisonFails(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 8})
	loaded(t, ctx, s)
	r := &messages.Result{MySQL: &messages.MySQL{}}
	var ignored string
	if err := s.MariaDB.DB().QueryRowContext(ctx, "SHOW MASTER STATUS").Scan(&r.MySQL.BinlogFile, &r.MySQL.BinlogPosition, &ignored, &ignored); err != nil {
		t.Fatal(err)
	}
	out, err := s.EC2.CreateSnapshots(ctx, &ec2.CreateSnapshotsInput{
		InstanceSpecification: &types.InstanceSpecification{InstanceId: aws.String(s.InstanceID), ExcludeBootVolume: aws.Bool(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Snapshots = []messages.Snapshot{{SnapshotID: aws.ToString(out.Snapshots[0].SnapshotId), VolumeID: aws.ToString(out.Snapshots[0].VolumeId)}}
	p := prove(t, ctx, s, r)
	if p.OK() {
		t.Fatal("a snapshot without quiesce passed the comparison: the comparison proves nothing")
	}
	t.Logf("as it must: %s", p)
}
