package visit

import (
	"context"
	"errors"
	"slices"

	"github.com/rs/zerolog"

	"stillpoint/cmd/stillpoint/parts"
	"stillpoint/internal/config"
	"stillpoint/internal/doctor"
	"stillpoint/internal/snapshot"
	"stillpoint/internal/volume"
)

// doctorRequest is the id of what is asked for in dry runs. It never names a snapshot.
const doctorRequest = "doctor"

func isRefusal(err error) bool { return errors.As(err, new(*snapshot.RefusedError)) }

// rehearsed is the pipeline of a plan as far as EC2 is concerned, and the set that it leads to.
func (v *visit) rehearsed(ctx context.Context, p *config.Plan) (*snapshot.Pipeline, snapshot.CreateSet, error) {
	pl := &snapshot.Pipeline{Plan: parts.Plan(p, v.id, zerolog.Nop()), Identity: v.id, EBS: v.aws.ec2, Volumes: &volume.Resolver{}}
	set, err := pl.Rehearsal(ctx, doctorRequest)
	return pl, set, err
}

// unknownSet judges why the set of a plan is not known.
func (v *visit) unknownSet(err error) []doctor.Finding {
	t, refused := v.planTrouble("ec2:DescribeInstances", err)
	if t == nil {
		return []doctor.Finding{doctor.Unchecked("the plan leads to no set of volumes: "+refused, "correct the plan, or the mounts: see volumes.set")}
	}
	return []doctor.Finding{t.Finding()}
}

func ids(set snapshot.CreateSet) []string {
	out := make([]string, len(set.Volumes))
	for i, v := range set.Volumes {
		out[i] = v.ID
	}
	return out
}

// lookAtDisks asks EC2 for the state of the set's volumes and for snapshots of them that are pending.
func (v *visit) lookAtDisks(ctx context.Context, p *config.Plan) []doctor.Finding {
	_, set, err := v.rehearsed(ctx, p)
	if err != nil {
		return v.unknownSet(err)
	}
	states, err := v.aws.ec2.States(ctx, ids(set))
	if err != nil {
		return []doctor.Finding{v.ec2Trouble("ec2:DescribeVolumes", err).Finding()}
	}
	open, err := v.aws.ec2.Incomplete(ctx, ids(set))
	if err != nil {
		f := v.ec2Trouble("ec2:DescribeSnapshots", err).Finding()
		f.Check = "ec2.pending"
		return []doctor.Finding{f}
	}
	var disks []doctor.Disk
	for _, s := range states {
		disks = append(disks, doctor.Disk{ID: s.ID, Type: s.Type, State: s.State, Attached: s.Attached, Encrypted: s.Encrypted, Pending: open[s.ID].Pending, Failed: open[s.ID].Failed})
	}
	return doctor.JudgeDisks(disks)
}

// tryCreate asks EC2 whether the create call of a run would be allowed.
func (v *visit) tryCreate(ctx context.Context, p *config.Plan) []doctor.Finding {
	_, set, err := v.rehearsed(ctx, p)
	if err != nil {
		return v.unknownSet(err)
	}
	t, refused := v.planTrouble("ec2:CreateSnapshots", v.aws.ec2.CheckEveryCreate(ctx, set))
	return []doctor.Finding{doctor.JudgeCreate(len(set.Volumes), t, refused)}
}

// tryTag asks EC2 whether a verdict could be written, on a snapshot that the plan
// has made: of one that does not exist yet nothing can be asked.
func (v *visit) tryTag(ctx context.Context, p *config.Plan) []doctor.Finding {
	latest, ok, err := v.aws.ec2.Latest(ctx, p.Name)
	if err != nil {
		return []doctor.Finding{v.ec2Trouble("ec2:DescribeSnapshots", err).Finding()}
	}
	if !ok {
		const later = "ec2:CreateTags on a snapshot (before the first there is none to ask about)"
		if !slices.Contains(v.notAsked, later) {
			v.notAsked = append(v.notAsked, later)
		}
		return nil
	}
	var own map[string]string
	if p.CopyTags {
		all, err := v.aws.ec2.VolumeTags(ctx, []string{latest.VolumeID})
		if err != nil && !isGone(err) { // the volume of an old snapshot may be
			return []doctor.Finding{v.ec2Trouble("ec2:DescribeVolumes", err).Finding()}
		}
		own = all[latest.VolumeID]
	}
	pl := &snapshot.Pipeline{Plan: parts.Plan(p, v.id, zerolog.Nop()), Identity: v.id}
	t, refused := v.planTrouble("ec2:CreateTags", v.aws.ec2.CheckTag(ctx, latest.SnapshotID, pl.RehearsedTags(latest, own)))
	if refused != "" {
		return []doctor.Finding{doctor.Bad(refused, "")}
	}
	return []doctor.Finding{doctor.JudgeTagging(latest.SnapshotID, t)}
}

func isGone(err error) bool { return awsTrouble("", "", err).Kind == doctor.Gone }
