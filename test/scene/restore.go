package scene

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"stillpoint/messages"
	"stillpoint/test/rig"
)

// Restored is a set that was made into volumes again.
type Restored struct {
	Volumes []Volume
	// Server runs on the copy of the database's volumes.
	Server *rig.Server
	// BinlogEnd is where the binlog of the set ended, before the server went on with it.
	BinlogEnd rig.Position
	stack     rig.Stack
}

// Close takes the copy down.
func (r *Restored) Close() error { return r.stack.Close() }

// Restore makes volumes from the snapshots of a result, attaches and mounts
// them, and starts a second server on the copy of the database's.
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
			// Whoever copied the mounts of this machine a moment ago still has the device open.
			w := ec2.NewVolumeAvailableWaiter(s.EC2, func(o *ec2.VolumeAvailableWaiterOptions) {
				o.MinDelay, o.MaxDelay = 20*time.Millisecond, 200*time.Millisecond
			})
			if err := w.Wait(ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{c.ID}}, 20*time.Second); err != nil {
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
	if s.Server == nil {
		return out, nil
	}
	config := s.serverConfig(out.Volumes, fmt.Sprintf("run-r%d", s.restores), 100+s.restores)
	config.NoRepair, config.Options = true, s.Config.RestoreOptions
	if out.BinlogEnd, err = rig.BinlogEnd(cmp.Or(config.BinlogDir, config.Datadir)); err != nil {
		return nil, err
	}
	if out.Server, err = rig.StartServer(ctx, s.Config.Flavor, config); err != nil {
		return nil, err
	}
	out.stack.Add("the restored server", out.Server.Discard)
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
