package visit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stillpoint/internal/config"
	"stillpoint/internal/doctor"
	"stillpoint/internal/mysql"
	"stillpoint/internal/snapshot"
	"stillpoint/internal/volume"
)

// hostLooks is what the checks of host and database have found out.
type hostLooks struct {
	// attached are the instance's volumes, once asked for; notAttached why EC2 did not tell.
	attached    []snapshot.Attachment
	notAttached error
	asked       bool
	// sets, by plan, are its volumes.
	sets map[string][]snapshot.Volume
	// servers, by plan, are sessions of its database.
	servers map[string]*server
}

// server is what the checks of a plan's database share.
type server struct {
	*mysql.CheckUp
	claim snapshot.Claim
	// frozen says that all the server's file systems are frozen, as the location showed.
	frozen bool
}

var (
	errUnknown = errors.New("it is not known which instance this is, or in which region")
	errSilent  = errors.New("it has not answered an earlier check")
)

// attachments asks EC2 once which volumes the instance has.
func (v *visit) attachments(ctx context.Context) ([]snapshot.Attachment, error) {
	if !v.asked {
		v.asked = true
		switch {
		case v.aws.ec2 == nil:
			v.notAttached = errUnknown
		case v.aws.silent:
			v.notAttached = errSilent
		default:
			v.attached, v.notAttached = v.aws.ec2.Attached(ctx)
			v.planTrouble("ec2:DescribeInstances", v.notAttached)
		}
	}
	return v.attached, v.notAttached
}

// volumes are the checks of a plan's mounts and their EBS volumes.
func (v *visit) volumes(p *config.Plan) []doctor.Check {
	return []doctor.Check{
		{Name: "volumes.set", Plan: p.Name, Look: func(ctx context.Context) []doctor.Finding { return v.lookAtVolumes(ctx, p) }},
		{Name: "volumes.others", Plan: p.Name, Needs: []string{"volumes.set"}, Look: func(ctx context.Context) []doctor.Finding { return lookForOthers(ctx, p) }},
	}
}

// lookAtVolumes resolves the set as a run does. Where that is refused, each mount
// point is looked at by itself, so that all there is to mend is told at once.
func (v *visit) lookAtVolumes(ctx context.Context, p *config.Plan) []doctor.Finding {
	attached, err := v.attachments(ctx)
	if err != nil {
		return []doctor.Finding{doctor.Unchecked("EC2 did not say which volumes this instance has: "+err.Error(), "mend the access to EC2 first")}
	}
	r := &volume.Resolver{}
	mounts := slices.Concat(p.Freeze, p.NoFreeze)
	set, err := r.Resolve(ctx, mounts, p.Volumes, attached)
	if err == nil && len(set) == 0 {
		return []doctor.Finding{doctor.Bad("the plan leads to no volume", "name mount points under freeze, or volume ids under volumes")}
	}
	if err != nil {
		said := []string{err.Error()}
		for _, m := range mounts {
			if len(p.Volumes) > 0 { // what is listed is held against all of them together
				break
			}
			if _, err := r.Resolve(ctx, []string{m}, nil, attached); err != nil && !slices.Contains(said, err.Error()) {
				said = append(said, err.Error())
			}
		}
		return looked(fmt.Errorf("%s%w", strings.Join(said[1:], "; ")+sep(said[1:]), err), "mount what is missing, or correct freeze, no_freeze and volumes of the plan")
	}
	if v.sets == nil {
		v.sets = map[string][]snapshot.Volume{}
	}
	v.sets[p.Name] = set
	words := make([]string, len(set))
	for i, s := range set {
		words[i] = s.ID
		if s.Mount != "" {
			words[i] += " under " + s.Mount
		}
	}
	return []doctor.Finding{doctor.Good(strings.Join(words, ", "))}
}

func sep(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return "; "
}

// lookForOthers looks for file systems on the set's volumes that the plan does not
// name. A run asks only where everything is to be frozen.
func lookForOthers(ctx context.Context, p *config.Plan) []doctor.Finding {
	if len(p.Freeze) == 0 || len(p.NoFreeze) > 0 {
		return nil
	}
	others, err := (&volume.Resolver{}).Others(ctx, p.Freeze)
	switch {
	case err != nil:
		return looked(err, "mount what is missing, or correct freeze of the plan")
	case len(others) > 0:
		return []doctor.Finding{doctor.Bad("the volumes hold file systems that the plan does not name: "+strings.Join(others, ", "),
			"add them to freeze, or to no_freeze if they may be caught in motion")}
	}
	return []doctor.Finding{doctor.Good("no other file system is mounted from the set's volumes")}
}
