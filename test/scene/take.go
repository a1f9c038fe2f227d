package scene

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"stillpoint/messages"
)

// Take lets the program take a set once, by hand: `stillpoint snapshot --json` with the scene's file. The result is what it says,
// whatever its status; an error means that it said none.
func (s *Scene) Take(ctx context.Context, args ...string) (*messages.Result, error) {
	cmd := s.Command(ctx, append([]string{"snapshot", "--config", s.ConfigPath, "--json"}, args...)...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("cannot take a set: %w", err)
	}
	r, err := messages.UnmarshalResult(out.Bytes())
	if err != nil {
		return nil, fmt.Errorf("cannot take a set: %w (%v): %s", err, cmd.ProcessState, log.String())
	}
	return r, nil
}

// between is how many transactions of the load TakeCarelessly lets happen between two volumes.
const between = 50

// TakeCarelessly makes a set as nobody should: nothing locked, nothing frozen, the volumes one after the other while the load goes on,
// with the coordinates that the server had before. It is what a comparison has to find fault with.
func (s *Scene) TakeCarelessly(ctx context.Context) (*messages.Result, error) {
	at, err := s.Server.Position(ctx)
	if err != nil {
		return nil, err
	}
	r := &messages.Result{MySQL: &messages.MySQL{BinlogFile: at.File, BinlogPosition: uint64(at.Offset)}}
	if r.MySQL.GTID, err = s.Server.GTID(ctx); err != nil {
		return nil, err
	}
	for i, v := range s.Volumes {
		if i > 0 {
			if err := s.awaitTransactions(ctx, s.Load.Stats().Transactions+between); err != nil {
				return nil, err
			}
		}
		made, err := s.EC2.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{VolumeId: aws.String(v.ID)})
		if err != nil {
			return nil, fmt.Errorf("cannot make a snapshot of %s: %w", v.ID, err)
		}
		r.Snapshots = append(r.Snapshots, messages.Snapshot{SnapshotID: aws.ToString(made.SnapshotId), VolumeID: v.ID})
	}
	return r, nil
}
