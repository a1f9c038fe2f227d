package scene

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"stillpoint/messages"
	"stillpoint/test/rig"
)

// Restored is a set that was made into volumes again.
type Restored struct {
	Volumes []Volume
	// MariaDB runs on the copy of the database's volume.
	MariaDB *rig.Server
	stack   rig.Stack
}

// Close takes the copy down.
func (r *Restored) Close() error { return r.stack.Close() }

// Restore makes volumes from the snapshots of a result, attaches and mounts
// them, and starts a second MariaDB on the copy of the database's.
func (s *Scene) Restore(ctx context.Context, result *messages.Result) (_ *Restored, err error) {
	s.restores++
	out := &Restored{}
	s.stack.Add("the restored set", func(context.Context) error { return out.Close() })
	defer func() {
		if err != nil {
			err = errors.Join(err, out.Close())
		}
	}()
	for i, v := range s.Volumes {
		id := ""
		for _, snap := range result.Snapshots {
			if snap.VolumeID == v.ID {
				id = snap.SnapshotID
			}
		}
		if id == "" {
			return nil, fmt.Errorf("the set has no snapshot of %s", v.ID)
		}
		if err := s.completed(ctx, id); err != nil {
			return nil, err
		}
		made, err := s.EC2.CreateVolume(ctx, &ec2.CreateVolumeInput{AvailabilityZone: aws.String("eu-west-1a"), SnapshotId: aws.String(id)})
		if err != nil {
			return nil, fmt.Errorf("cannot make a volume of %s: %w", id, err)
		}
		c := Volume{ID: aws.ToString(made.VolumeId), Filesystem: v.Filesystem, Mount: filepath.Join(s.Dir, fmt.Sprintf("restored%d-%d", s.restores, i+1))}
		if c.Device, err = s.attach(ctx, c.ID, fmt.Sprintf("/dev/xvd%c%c", 'b'+i, 'a'+s.restores%26)); err != nil {
			return nil, err
		}
		out.stack.Add("volume "+c.ID, func(ctx context.Context) error {
			if _, err := s.EC2.DetachVolume(ctx, &ec2.DetachVolumeInput{VolumeId: aws.String(c.ID)}); err != nil {
				return err
			}
			_, err := s.EC2.DeleteVolume(ctx, &ec2.DeleteVolumeInput{VolumeId: aws.String(c.ID)})
			return err
		})
		var options []string
		if c.Filesystem == "xfs" {
			options = append(options, "nouuid") // the original is mounted beside it
		}
		if err := rig.Mount(ctx, c.Device, c.Mount, c.Filesystem, options...); err != nil {
			return nil, err
		}
		out.stack.Add("mount "+c.Mount, func(context.Context) error { return rig.Unmount(c.Mount) })
		out.Volumes = append(out.Volumes, c)
	}
	if s.MariaDB == nil {
		return out, nil
	}
	out.MariaDB, err = rig.StartMariaDB(ctx, rig.MariaDBConfig{
		Datadir: filepath.Join(out.Volumes[0].Mount, "mysql"), RunDir: filepath.Join(s.Dir, fmt.Sprintf("run-r%d", s.restores)), ServerID: uint32(100 + s.restores), NoRepair: true,
	})
	if err != nil {
		return nil, err
	}
	out.stack.Add("the restored MariaDB", out.MariaDB.Stop)
	return out, nil
}

// completed waits until EBS has completed a snapshot.
func (s *Scene) completed(ctx context.Context, id string) error {
	w := ec2.NewSnapshotCompletedWaiter(s.EC2, func(o *ec2.SnapshotCompletedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, 200*time.Millisecond
	})
	if err := w.Wait(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{id}}, time.Minute); err != nil {
		return fmt.Errorf("cannot wait for %s: %w", id, err)
	}
	return nil
}

// Proof is what a restored set was found to hold.
type Proof struct {
	Rows int64
	// Faults are sentences about what is wrong; none: the set holds exactly
	// what the recorded binlog position says.
	Faults []string
}

// OK says that nothing is wrong.
func (p Proof) OK() bool { return len(p.Faults) == 0 }

func (p Proof) String() string {
	if p.OK() {
		return fmt.Sprintf("%d rows, all as the binlog says; CHECK TABLE clean for all", p.Rows)
	}
	return strings.Join(p.Faults, "; ")
}

// Prove compares a restored set with the original's binlog: a fresh server
// replays it from the first event to the recorded position, and every row must
// be the same; CHECK TABLE must be clean, and the load's own invariants hold.
func (s *Scene) Prove(ctx context.Context, r *Restored, result *messages.Result) (p Proof, err error) {
	m := result.MySQL
	if m == nil || m.BinlogFile == "" {
		return p, errors.New("the result has no binlog coordinates")
	}
	for _, c := range r.MariaDB.Complaints() {
		p.Faults = append(p.Faults, "the restored server complains: "+c)
	}
	if err := rig.CheckTables(ctx, r.MariaDB); err != nil {
		p.Faults = append(p.Faults, err.Error())
	}
	if err := rig.CheckInvariants(ctx, r.MariaDB); err != nil {
		p.Faults = append(p.Faults, err.Error())
	}
	s.restores++
	replay, err := rig.StartMariaDB(ctx, rig.MariaDBConfig{
		Datadir: filepath.Join(s.Dir, fmt.Sprintf("replay%d", s.restores)), RunDir: filepath.Join(s.Dir, fmt.Sprintf("run-p%d", s.restores)), ServerID: uint32(200 + s.restores),
	})
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, replay.Stop(context.WithoutCancel(ctx))) }()
	if err := rig.Replay(ctx, s.MariaDB, m.BinlogFile, int64(m.BinlogPosition), replay); err != nil {
		return p, err
	}
	diff, err := rig.Compare(ctx, replay, r.MariaDB)
	if err != nil { // a table of the restored server cannot be read
		p.Faults = append(p.Faults, err.Error())
		return p, nil
	}
	p.Rows = diff.Rows()
	if !diff.Equal() {
		p.Faults = append(p.Faults, "rows differ from the binlog's: "+diff.String())
	}
	return p, nil
}
