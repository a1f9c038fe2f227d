package ec2

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"stillpoint/localstack/internal/wire"
)

// maxExcluded is how many volumes CreateSnapshots can leave out.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceSpecification.html
const maxExcluded = 40

// createSnapshots makes a snapshot of every volume of an instance that is not excluded. There is no token that would make a
// repeated call harmless, as there is none on AWS.
func (s *Service) createSnapshots(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	id := q.Get("InstanceSpecification.InstanceId")
	i, apiErr := s.findInstance(id)
	if apiErr != nil {
		return nil, apiErr
	}
	if hint := s.elsewhere(); hint != "" {
		return nil, wire.Errorf("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist%s", id, hint)
	}
	volumes, apiErr := s.included(q, i)
	if apiErr != nil {
		return nil, apiErr
	}
	copyTags := q.Get("CopyTagsFromSource")
	if copyTags != "" && copyTags != "volume" {
		return nil, wire.Errorf("InvalidParameterValue", "Value (%s) for parameter copyTagsFromSource is invalid.", copyTags)
	}
	made, apiErr := s.snap(q, i, volumes, copyTags != "", newID("set"), c)
	if apiErr != nil {
		return nil, apiErr
	}
	set := wire.Node{Name: "snapshotSet"}
	for _, x := range made {
		set.Kids = append(set.Kids, wire.Node{Name: "item", Kids: s.freshNodes(x, "state")})
	}
	return []wire.Node{set}, nil
}

// included are the volumes of i that the call does not exclude. That there must be some is known; the codes are guesses.
func (s *Service) included(q wire.Query, i *instance) ([]*volume, *wire.Error) {
	excluded := q.List("InstanceSpecification.ExcludeDataVolumeId")
	if len(excluded) > maxExcluded {
		return nil, wire.Errorf("InvalidParameterValue", "The number of volumes to exclude is %d; the maximum is %d", len(excluded), maxExcluded)
	}
	attached := s.attachedTo(i.ID)
	if len(attached) == 0 { // it was terminated, say
		return nil, wire.Errorf("IncorrectState", "The instance '%s' has no volumes attached", i.ID)
	}
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
	id := q.Get("VolumeId")
	v, apiErr := s.findVolume(id)
	if apiErr != nil {
		return nil, apiErr
	}
	if hint := s.elsewhere(); hint != "" {
		return nil, wire.Errorf("InvalidVolume.NotFound", "The volume '%s' does not exist%s", id, hint)
	}
	made, apiErr := s.snap(q, nil, []*volume{v}, false, "", c)
	if apiErr != nil {
		return nil, apiErr
	}
	return s.freshNodes(made[0], "status"), nil
}

// snap clones the volumes, all or none; i is the instance that a call for all of its volumes is about, else nil. set is what the
// snapshots have in common, empty for nothing.
func (s *Service) snap(q wire.Query, i *instance, volumes []*volume, copyTags bool, set string, c *wire.Call) ([]*snapshot, *wire.Error) {
	if q.Has("OutpostArn") || q.Has("Location") {
		return nil, wire.Errorf("InvalidParameterCombination", "OutpostArn and Location are for volumes on Outposts and in Local Zones, of which localstack has none")
	}
	specs, apiErr := specified(q, "snapshot")
	if apiErr != nil {
		return nil, apiErr
	}
	if apiErr := checkDescription(q); apiErr != nil {
		return nil, apiErr
	}
	s.askForSnapshots(c, i, volumes, specs["snapshot"])
	made := make([]*snapshot, len(volumes))
	for i, v := range volumes {
		all := []tag(nil)
		if copyTags {
			all = slices.DeleteFunc(slices.Clone(v.Tags), func(t tag) bool { return strings.HasPrefix(t.Key, "aws:") })
		}
		all, apiErr := withTags(all, specs["snapshot"])
		if apiErr != nil {
			return nil, apiErr
		}
		made[i] = &snapshot{
			ID: newID("snap"), Region: s.caller.Region, Account: s.caller.Account, Volume: v.ID, GiB: v.GiB, Encrypted: v.Encrypted,
			Description: q.Get("Description"), Tags: all, Set: set,
		}
		made[i].Key = v.KmsKey
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	if apiErr := s.mayCreate(volumes); apiErr != nil {
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
		s.begin(x, started)
		c.About(x.arn())
	}
	if at := slices.IndexFunc(made, func(x *snapshot) bool { return x.Failed }); at >= 0 {
		for _, x := range made { // all of a set fail together, see FailSnapshot
			x.Failed, x.Stuck, x.Message = true, 99, made[at].Message
		}
	}
	return made, nil
}

// checkDescription refuses one that is too long. The limit is from the older API reference.
func checkDescription(q wire.Query) *wire.Error {
	if n := utf8.RuneCountInString(q.Get("Description")); n > 255 {
		return wire.Errorf("InvalidParameterValue", "Value for parameter description is invalid: it has %d characters; the maximum is 255", n)
	}
	return nil
}

// begin enters a snapshot that is pending from started on. It is not completed before an older one of its volume.
// https://repost.aws/knowledge-center/ebs-snapshot-stuck
func (s *Service) begin(x *snapshot, started time.Time) {
	lasts := s.behaviour.SnapshotTime
	if speed := s.behaviour.BytesPerSecond; speed > 0 {
		lasts += time.Duration(float64(x.GiB) * (1 << 30) / float64(speed) * float64(time.Second))
	}
	x.Serial, x.Started, x.Ends, x.Visible = s.next(), started, started.Add(lasts), started.Add(s.lag())
	if x.Transfer == "" {
		for _, older := range s.snapshots {
			if older.Volume == x.Volume && older.Account == x.Account && older.Ends.After(x.Ends) && older.Started.Before(started) {
				x.Ends = older.Ends
			}
		}
	}
	if s.behaviour.FailNext > 0 {
		s.behaviour.FailNext--
		x.Failed, x.Stuck, x.Message = true, 99, s.behaviour.FailMessage
	}
	s.snapshots[x.ID] = x
}

// FailSnapshot ends a pending snapshot now, in the state "error", with a StateMessage that may be empty. If it was made by
// CreateSnapshots, the others of its set end so too, even those that were completed: "If any one snapshot for the multi-volume
// snapshot set fails, all of the other snapshots display an error status."
// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-create-snapshots.html
func (s *Service) FailSnapshot(id, message string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Clock.Now()
	x, ok := s.snapshots[id]
	if !ok {
		return fmt.Errorf("cannot fail the snapshot %s: there is none", id)
	}
	if !x.pending(now) {
		return fmt.Errorf("cannot fail the snapshot %s: it is no longer pending but %s", id, x.state(now))
	}
	x.fail(message, now)
	for _, other := range s.snapshots {
		if x.Set != "" && other.Set == x.Set && other != x {
			other.fail(message, now)
		}
	}
	return s.save()
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
		for _, x := range made {
			_ = s.disks.Remove(x.ID) // those that failed are gone already
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
