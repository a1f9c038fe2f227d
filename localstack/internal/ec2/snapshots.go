package ec2

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"stillpoint/localstack/internal/wire"
)

// maxExcluded is how many volumes CreateSnapshots can leave out.
const maxExcluded = 40

// snapshot is a clone of a volume's file.
type snapshot struct {
	Serial      int
	ID          string
	Volume      string
	GiB         int
	Encrypted   bool
	Description string
	Tags        []tag
	Started     time.Time     // when its volume was cloned
	Lasts       time.Duration // until it is completed
}

func (s *snapshot) completed(now time.Time) bool { return now.Sub(s.Started) >= s.Lasts }

func (s *snapshot) state(now time.Time) string {
	if s.completed(now) {
		return "completed"
	}
	return "pending"
}

func (s *snapshot) progress(now time.Time) string {
	if s.completed(now) {
		return "100%"
	}
	return strconv.Itoa(int(100*now.Sub(s.Started)/s.Lasts)) + "%"
}

func (s *Service) snapshotKind() kind[snapshot] {
	return kind[snapshot]{
		fields: fields[snapshot]{
			"snapshot-id": func(x *snapshot) []string { return []string{x.ID} },
			"volume-id":   func(x *snapshot) []string { return []string{x.Volume} },
			"volume-size": func(x *snapshot) []string { return []string{strconv.Itoa(x.GiB)} },
			"status":      func(x *snapshot) []string { return []string{x.state(s.Clock.Now())} },
			"description": func(x *snapshot) []string { return []string{x.Description} },
			"owner-id":    func(*snapshot) []string { return []string{s.Account} },
			"start-time": func(x *snapshot) []string {
				return []string{x.Started.UTC().Format("2006-01-02T15:04:05.000Z")}
			},
		},
		Tags:     func(x *snapshot) []tag { return x.Tags },
		Serial:   func(x *snapshot) int { return x.Serial },
		minPage:  5,
		idsParam: "SnapshotIds",
	}
}

// createSnapshots makes a snapshot of every volume of an instance that is not excluded. There is no token that would make a
// repeated call harmless, as there is none on AWS.
func (s *Service) createSnapshots(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	id := q.Get("InstanceSpecification.InstanceId")
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
	copyTags := q.Get("CopyTagsFromSource")
	if copyTags != "" && copyTags != "volume" {
		return nil, wire.Errorf("InvalidParameterValue", "Value (%s) for parameter copyTagsFromSource is invalid.", copyTags)
	}
	if q.Has("OutpostArn") || q.Has("Location") {
		return nil, wire.Errorf("InvalidParameterCombination", "localstack has no outposts and no local zones")
	}
	made, apiErr := s.snap(q, volumes, specs["snapshot"], copyTags != "", c)
	if apiErr != nil {
		return nil, apiErr
	}
	set := wire.Node{Name: "snapshotSet"}
	for _, x := range made {
		set.Kids = append(set.Kids, wire.Node{Name: "item", Kids: s.snapshotNodes(x, "state", true)})
	}
	return []wire.Node{set}, nil
}

// included are the volumes of i that the call does not exclude.
func (s *Service) included(q wire.Query, i *instance) ([]*volume, *wire.Error) {
	excluded := q.List("InstanceSpecification.ExcludeDataVolumeId")
	if len(excluded) > maxExcluded {
		return nil, wire.Errorf("InvalidParameterValue", "The number of volumes to exclude is %d; the maximum is %d", len(excluded), maxExcluded)
	}
	attached := s.attachedTo(i.ID)
	for _, id := range excluded {
		at := slices.IndexFunc(attached, func(v *volume) bool { return v.ID == id })
		switch {
		case at < 0:
			return nil, wire.Errorf("InvalidParameterValue", "The volume '%s' is not attached to the instance '%s'", id, i.ID)
		case attached[at].root():
			return nil, wire.Errorf("InvalidParameterValue", "The volume '%s' is the root volume of the instance '%s'; to exclude it, use ExcludeBootVolume", id, i.ID)
		}
	}
	boot := q.Flag("InstanceSpecification.ExcludeBootVolume")
	volumes := slices.DeleteFunc(attached, func(v *volume) bool {
		return v.root() && boot || slices.Contains(excluded, v.ID)
	})
	if len(volumes) == 0 {
		return nil, wire.Errorf("InvalidParameterValue", "No volumes of the instance '%s' are left to make snapshots of", i.ID)
	}
	return volumes, nil
}

func (s *Service) createSnapshot(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	v, apiErr := s.findVolume(q.Get("VolumeId"))
	if apiErr != nil {
		return nil, apiErr
	}
	specs, apiErr := specified(q, "snapshot")
	if apiErr != nil {
		return nil, apiErr
	}
	made, apiErr := s.snap(q, []*volume{v}, specs["snapshot"], false, c)
	if apiErr != nil {
		return nil, apiErr
	}
	return s.snapshotNodes(made[0], "status", true), nil
}

// snap clones the volumes, all or none.
func (s *Service) snap(q wire.Query, volumes []*volume, tags []tag, copyTags bool, c *wire.Call) ([]*snapshot, *wire.Error) {
	description := q.Get("Description")
	if len(description) > 255 {
		return nil, wire.Errorf("InvalidParameterValue", "Value for parameter description is invalid: it has %d characters; the maximum is 255", len(description))
	}
	made := make([]*snapshot, len(volumes))
	for i, v := range volumes {
		all := []tag(nil)
		if copyTags {
			all = slices.DeleteFunc(slices.Clone(v.Tags), func(t tag) bool { return strings.HasPrefix(t.Key, "aws:") })
		}
		all, apiErr := withTags(all, tags)
		if apiErr != nil {
			return nil, apiErr
		}
		made[i] = &snapshot{
			ID: newID("snap"), Volume: v.ID, GiB: v.GiB, Encrypted: v.Encrypted,
			Description: description, Tags: all, Lasts: s.snapshotTime,
		}
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	started := s.Clock.Now()
	if s.disks.Real() {
		note, err := s.cloneAll(volumes, made)
		c.Note(note)
		if err != nil {
			return nil, s.internal(err)
		}
		s.Log.Debug().Str("how", note).Msg("volumes cloned")
	}
	for _, x := range made {
		x.Started, x.Serial = started, s.next()
		s.snapshots[x.ID] = x
	}
	return made, nil
}

// cloneAll clones all files at once. The note says how, how long it took, and whether any of the devices was written to
// meanwhile: only if not do the snapshots certainly show one and the same instant.
func (s *Service) cloneAll(volumes []*volume, made []*snapshot) (note string, err error) {
	ids := make([]string, len(made))
	for i, x := range made {
		ids[i] = x.ID
	}
	if err := s.disks.Intend(ids...); err != nil {
		return "", err
	}
	before := writesOf(volumes)
	began := time.Now()
	how := make([]string, len(volumes))
	var group errgroup.Group
	for i, v := range volumes {
		group.Go(func() (err error) {
			how[i], err = s.disks.Clone(v.ID, made[i].ID, 0, v.loop)
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
				_ = s.disks.Remove(made[i].ID) // those that did not fail
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
		count, busy, err := v.loop.Writes()
		if err != nil || busy {
			return ""
		}
		out += " " + v.ID + " " + count
	}
	return out
}

func (s *Service) describeSnapshots(q wire.Query, _ *wire.Call) ([]wire.Node, *wire.Error) {
	mine := s.snapshots
	if owners := q.List("Owner"); len(owners) > 0 && !slices.Contains(owners, "self") && !slices.Contains(owners, s.Account) {
		mine = nil
	}
	page, token, apiErr := s.snapshotKind().choose(q, mine, q.List("SnapshotId"), s.findSnapshot)
	if apiErr != nil {
		return nil, apiErr
	}
	return described("snapshotSet", page, token, func(x *snapshot) []wire.Node { return s.snapshotNodes(x, "status", false) }), nil
}

func (s *Service) deleteSnapshot(q wire.Query, _ *wire.Call) ([]wire.Node, *wire.Error) {
	x, apiErr := s.findSnapshot(q.Get("SnapshotId"))
	if apiErr != nil {
		return nil, apiErr
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	if s.disks.Real() {
		if err := s.disks.Remove(x.ID); err != nil {
			return nil, s.internal(err)
		}
	}
	delete(s.snapshots, x.ID)
	return []wire.Node{wire.Bool("return", true)}, nil
}

// snapshotNodes shows a snapshot. CreateSnapshots calls its state "state", the others "status"; one that was just made is
// pending, however short it lasts.
func (s *Service) snapshotNodes(x *snapshot, state string, fresh bool) []wire.Node {
	status, progress := x.state(s.Clock.Now()), x.progress(s.Clock.Now())
	if fresh {
		status, progress = "pending", "0%"
	}
	out := []wire.Node{
		wire.El("snapshotId", x.ID), wire.El("volumeId", x.Volume), wire.El(state, status), wire.Time("startTime", x.Started), wire.El("progress", progress),
		wire.El("ownerId", s.Account), wire.Num("volumeSize", x.GiB), wire.El("description", x.Description), wire.Bool("encrypted", x.Encrypted),
		tagNodes(x.Tags),
	}
	if state == "status" {
		out = append(out, wire.El("storageTier", "standard"))
		if status == "completed" {
			out = append(out, wire.Time("completionTime", x.Started.Add(x.Lasts)))
		}
	}
	return out
}
