package localstack

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// maxExcluded is how many volumes CreateSnapshots can leave out.
const maxExcluded = 40

// snapshot is a clone of a volume's file.
type snapshot struct {
	serial      int
	id          string
	volume      string
	gib         int
	encrypted   bool
	description string
	tags        []tag
	started     time.Time     // when its volume was cloned
	lasts       time.Duration // until it is completed
}

func (s *snapshot) completed(now time.Time) bool { return now.Sub(s.started) >= s.lasts }

func (s *snapshot) state() string {
	if s.completed(time.Now()) {
		return "completed"
	}
	return "pending"
}

func (s *snapshot) progress() string {
	if s.completed(time.Now()) {
		return "100%"
	}
	return strconv.Itoa(int(100*time.Since(s.started)/s.lasts)) + "%"
}

func (s *ec2Service) snapshotKind() kind[snapshot] {
	return kind[snapshot]{
		fields: fields[snapshot]{
			"snapshot-id": func(x *snapshot) []string { return []string{x.id} },
			"volume-id":   func(x *snapshot) []string { return []string{x.volume} },
			"volume-size": func(x *snapshot) []string { return []string{strconv.Itoa(x.gib)} },
			"status":      func(x *snapshot) []string { return []string{x.state()} },
			"description": func(x *snapshot) []string { return []string{x.description} },
			"owner-id":    func(*snapshot) []string { return []string{s.account} },
			"start-time": func(x *snapshot) []string {
				return []string{x.started.UTC().Format("2006-01-02T15:04:05.000Z")}
			},
		},
		tags:     func(x *snapshot) []tag { return x.tags },
		serial:   func(x *snapshot) int { return x.serial },
		minPage:  5,
		idsParam: "SnapshotIds",
	}
}

// createSnapshots makes a snapshot of every volume of an instance that is not excluded. There is no token that would make a
// repeated call harmless, as there is none on AWS.
func (s *ec2Service) createSnapshots(q query, rec *record) ([]node, *apiError) {
	id := q.get("InstanceSpecification.InstanceId")
	i, apiErr := s.findInstance(id)
	if apiErr != nil {
		return nil, apiErr
	}
	volumes, apiErr := s.included(q, i)
	if apiErr != nil {
		return nil, apiErr
	}
	specs, apiErr := specified(q, "snapshot")
	if apiErr != nil {
		return nil, apiErr
	}
	copyTags := q.get("CopyTagsFromSource")
	if copyTags != "" && copyTags != "volume" {
		return nil, errf("InvalidParameterValue", "Value (%s) for parameter copyTagsFromSource is invalid.", copyTags)
	}
	if q.has("OutpostArn") || q.has("Location") {
		return nil, errf("InvalidParameterCombination", "localstack has no outposts and no local zones")
	}
	made, apiErr := s.snap(q, volumes, specs["snapshot"], copyTags != "", rec)
	if apiErr != nil {
		return nil, apiErr
	}
	set := node{name: "snapshotSet"}
	for _, x := range made {
		set.kids = append(set.kids, node{name: "item", kids: s.snapshotNodes(x, "state", true)})
	}
	return []node{set}, nil
}

// included are the volumes of i that the call does not exclude.
func (s *ec2Service) included(q query, i *instance) ([]*volume, *apiError) {
	excluded := q.list("InstanceSpecification.ExcludeDataVolumeId")
	if len(excluded) > maxExcluded {
		return nil, errf("InvalidParameterValue", "The number of volumes to exclude is %d; the maximum is %d", len(excluded), maxExcluded)
	}
	attached := s.attachedTo(i.id)
	for _, id := range excluded {
		at := slices.IndexFunc(attached, func(v *volume) bool { return v.id == id })
		switch {
		case at < 0:
			return nil, errf("InvalidParameterValue", "The volume '%s' is not attached to the instance '%s'", id, i.id)
		case attached[at].root():
			return nil, errf("InvalidParameterValue", "The volume '%s' is the root volume of the instance '%s'; to exclude it, use ExcludeBootVolume", id, i.id)
		}
	}
	boot := q.flag("InstanceSpecification.ExcludeBootVolume")
	volumes := slices.DeleteFunc(attached, func(v *volume) bool {
		return v.root() && boot || slices.Contains(excluded, v.id)
	})
	if len(volumes) == 0 {
		return nil, errf("InvalidParameterValue", "No volumes of the instance '%s' are left to make snapshots of", i.id)
	}
	return volumes, nil
}

func (s *ec2Service) createSnapshot(q query, rec *record) ([]node, *apiError) {
	v, apiErr := s.findVolume(q.get("VolumeId"))
	if apiErr != nil {
		return nil, apiErr
	}
	specs, apiErr := specified(q, "snapshot")
	if apiErr != nil {
		return nil, apiErr
	}
	made, apiErr := s.snap(q, []*volume{v}, specs["snapshot"], false, rec)
	if apiErr != nil {
		return nil, apiErr
	}
	return s.snapshotNodes(made[0], "status", true), nil
}

// snap clones the volumes, all or none.
func (s *ec2Service) snap(q query, volumes []*volume, tags []tag, copyTags bool, rec *record) ([]*snapshot, *apiError) {
	description := q.get("Description")
	if len(description) > 255 {
		return nil, errf("InvalidParameterValue", "Value for parameter description is invalid: it has %d characters; the maximum is 255", len(description))
	}
	made := make([]*snapshot, len(volumes))
	for i, v := range volumes {
		all := []tag(nil)
		if copyTags {
			all = slices.DeleteFunc(slices.Clone(v.tags), func(t tag) bool { return strings.HasPrefix(t.key, "aws:") })
		}
		all, apiErr := withTags(all, tags)
		if apiErr != nil {
			return nil, apiErr
		}
		made[i] = &snapshot{
			id: newID("snap"), volume: v.id, gib: v.gib, encrypted: v.encrypted,
			description: description, tags: all, lasts: s.snapshotTime,
		}
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	started := time.Now()
	if s.disks.real() {
		note, err := s.cloneAll(volumes, made)
		rec.note(note)
		if err != nil {
			return nil, s.internal(err)
		}
		s.log.Debug().Str("how", note).Msg("volumes cloned")
	}
	for _, x := range made {
		x.started, x.serial = started, s.next()
		s.snapshots[x.id] = x
	}
	return made, nil
}

// cloneAll clones all files at once. The note says how, how long it took, and whether any of the devices was written to
// meanwhile: only if not do the snapshots certainly show one and the same instant.
func (s *ec2Service) cloneAll(volumes []*volume, made []*snapshot) (note string, err error) {
	before := writesOf(volumes)
	began := time.Now()
	how := make([]string, len(volumes))
	var group errgroup.Group
	for i, v := range volumes {
		group.Go(func() (err error) {
			how[i], err = s.disks.clone(v.id, made[i].id, 0, v.loop)
			return err
		})
	}
	err = group.Wait()
	took := time.Since(began)
	still := "nothing was written meanwhile"
	if before == "" || before != writesOf(volumes) {
		still = "the devices were written to meanwhile"
	}
	slices.Sort(how)
	note = fmt.Sprintf("%s of %d files in %.1f ms, %s", strings.Join(slices.Compact(how), " and "), len(volumes), float64(took.Microseconds())/1000, still)
	if err != nil {
		for i := range made {
			if how[i] != "" {
				_ = s.disks.remove(made[i].id) // those that did not fail
			}
		}
		return note, errors.Join(errors.New("cannot make the snapshots"), err)
	}
	return note, nil
}

// writesOf is the sum of what the kernel has counted, or empty while a write is under way.
func writesOf(volumes []*volume) string {
	out := "now:"
	for _, v := range volumes {
		if v.loop == nil {
			continue
		}
		count, busy, err := v.loop.writes()
		if err != nil || busy {
			return ""
		}
		out += " " + v.id + " " + count
	}
	return out
}

func (s *ec2Service) describeSnapshots(q query, _ *record) ([]node, *apiError) {
	mine := s.snapshots
	if owners := q.list("Owner"); len(owners) > 0 && !slices.Contains(owners, "self") && !slices.Contains(owners, s.account) {
		mine = nil
	}
	page, token, apiErr := s.snapshotKind().choose(q, mine, q.list("SnapshotId"), s.findSnapshot)
	if apiErr != nil {
		return nil, apiErr
	}
	return described("snapshotSet", page, token, func(x *snapshot) []node { return s.snapshotNodes(x, "status", false) }), nil
}

func (s *ec2Service) deleteSnapshot(q query, _ *record) ([]node, *apiError) {
	x, apiErr := s.findSnapshot(q.get("SnapshotId"))
	if apiErr != nil {
		return nil, apiErr
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	if s.disks.real() {
		if err := s.disks.remove(x.id); err != nil {
			return nil, s.internal(err)
		}
	}
	delete(s.snapshots, x.id)
	return []node{yes("return", true)}, nil
}

// snapshotNodes shows a snapshot. CreateSnapshots calls its state "state", the others "status"; one that was just made is
// pending, however short it lasts.
func (s *ec2Service) snapshotNodes(x *snapshot, state string, fresh bool) []node {
	status, progress := x.state(), x.progress()
	if fresh {
		status, progress = "pending", "0%"
	}
	out := []node{
		el("snapshotId", x.id), el("volumeId", x.volume), el(state, status), at("startTime", x.started), el("progress", progress),
		el("ownerId", s.account), num("volumeSize", x.gib), el("description", x.description), yes("encrypted", x.encrypted),
		tagNodes(x.tags),
	}
	if state == "status" {
		out = append(out, el("storageTier", "standard"))
		if status == "completed" {
			out = append(out, at("completionTime", x.started.Add(x.lasts)))
		}
	}
	return out
}
