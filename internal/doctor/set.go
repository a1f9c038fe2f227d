package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Disk is one EBS volume of a plan's set, as EC2 sees it.
type Disk struct {
	ID string
	// Type is EC2's: gp3, io2, st1.
	Type string
	// State is EC2's (in-use), Attached whether it is attached to this instance.
	State     string
	Attached  bool
	Encrypted bool
	// Pending are the snapshots of it that are under way, Failed those that ended in
	// an error: both count against EC2's limit.
	Pending, Failed int
}

// pendingLimit is how many snapshots of a volume may be open at once (Amazon EBS
// quotas: 5 for SSD volumes, 1 for st1 and sc1).
func (d Disk) pendingLimit() int {
	if d.Type == "st1" || d.Type == "sc1" {
		return 1
	}
	return 5
}

// JudgeDisks judges the volumes of a set.
func JudgeDisks(disks []Disk) []Finding {
	var ids, ill []string
	encrypted := 0
	for _, d := range disks {
		ids = append(ids, d.ID)
		if d.State != "in-use" || !d.Attached {
			ill = append(ill, fmt.Sprintf("%s is %s", d.ID, d.State))
		}
		if d.Encrypted {
			encrypted++
		}
	}
	slices.Sort(ids)
	volumes := Good(fmt.Sprintf("%s attached, %d encrypted", strings.Join(ids, ", "), encrypted))
	if len(ill) > 0 {
		volumes = Bad(strings.Join(ill, ", "), "attach them to this instance, or correct the plan")
	}
	return []Finding{named("ec2.volumes", volumes), named("ec2.pending", pending(disks))}
}

func pending(disks []Disk) Finding {
	var full, near []string
	most, failed := 0, 0
	for _, d := range disks {
		open := d.Pending + d.Failed
		most, failed = max(most, open), failed+d.Failed
		said := fmt.Sprintf("%s has %d of %d", d.ID, open, d.pendingLimit())
		switch {
		case open >= d.pendingLimit():
			full = append(full, said)
		case open > 0 && open == d.pendingLimit()-1:
			near = append(near, said)
		}
	}
	fix := "wait for the uploads, and ask less often than they take"
	if failed > 0 {
		fix = fmt.Sprintf("delete the snapshots in the state error, of which there are %d and which count; %s", failed, fix)
	}
	switch {
	case len(full) > 0:
		return Bad("EBS takes no further snapshot now: "+strings.Join(full, ", ")+" that are not completed", fix+"; the worker would wait ten minutes for it, and give up then")
	case len(near) > 0:
		return Poor(strings.Join(near, ", ")+" that are not completed", fix)
	case most > 0:
		return Good(fmt.Sprintf("at most %d of a volume that are not completed", most))
	}
	return Good("all snapshots of these volumes are completed")
}

// Set is a snapshot whose tags say that there is no verdict on its set yet.
type Set struct {
	SnapshotID, RequestID string
	Started               time.Time
}

// unverifiedAfter is from when on a set without a verdict counts as inconsistent.
const unverifiedAfter = 15 * time.Minute

// JudgeUnverified judges them at a time.
func JudgeUnverified(sets []Set, now time.Time) Finding {
	var old []string
	for _, s := range sets {
		if now.Sub(s.Started) > unverifiedAfter && !slices.Contains(old, s.RequestID) {
			old = append(old, s.RequestID)
		}
	}
	if len(old) > 0 {
		slices.Sort(old)
		return Poor(fmt.Sprintf("%s without a verdict for more than 15 minutes: %s", count(len(old), "set of snapshots is", "sets of snapshots are"), strings.Join(old[:min(len(old), 5)], ", ")),
			"start the worker, which settles them, and do not trust them before: a run was killed, or could not write its tags")
	}
	return Good("no set of this instance is without a verdict")
}

// JudgeCreate judges a dry run of the create call for a set of so many volumes.
// refused is what the program itself says against it; "": nothing.
func JudgeCreate(volumes int, trouble *Trouble, refused string) Finding {
	switch {
	case refused != "":
		return Bad(refused, "")
	case trouble == nil:
		return Good(fmt.Sprintf("a dry run of the create call for %s, with the tags of a real one, is allowed", count(volumes, "volume", "volumes")))
	}
	f := trouble.Finding()
	if trouble.Kind == Denied {
		f.Fix = "attach the policy of instance.yaml to the instance's role; where it is attached: the volumes must bear the tag stillpoint:role (or stand in VolumeIds), the keys of the plan's tags must be among OtherTagKeys, and the credentials must be those of the instance's metadata"
	}
	return f
}

// JudgeTagging judges a dry run of writing the verdict on a snapshot that is there.
func JudgeTagging(snapshotID string, trouble *Trouble) Finding {
	if trouble == nil {
		return Good("a dry run of writing a verdict on " + snapshotID + " is allowed")
	}
	f := trouble.Finding()
	if trouble.Kind == Denied {
		f.Fix = "attach the policy of instance.yaml to the instance's role: without the statement TheVerdictAfterwards each set stays without a verdict; with copy_tags the keys of the volumes' tags must be among OtherTagKeys"
	}
	return f
}
