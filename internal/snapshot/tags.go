package snapshot

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"stillpoint/messages"
)

// The tags on every snapshot; the names are part of the contract.
const (
	TagRequestID   = "stillpoint:request-id"
	TagAttemptID   = "stillpoint:attempt-id"
	TagPlan        = "stillpoint:plan"
	TagInstanceID  = "stillpoint:instance-id"
	TagSetSize     = "stillpoint:set-size"
	TagConsistency = "stillpoint:consistency"
	TagStatus      = "stillpoint:status"
	TagBinlog      = "stillpoint:binlog"
	TagGTID        = "stillpoint:gtid"
	TagGTIDOmitted = "stillpoint:gtid-omitted"
	// TagSource, TagSourceBinlog and TagSourceGTID are a replica's: its source, how
	// far that one's binlog was executed, and the GTID set of that where it is another one.
	TagSource       = "stillpoint:source"
	TagSourceBinlog = "stillpoint:source-binlog"
	TagSourceGTID   = "stillpoint:source-gtid"
	TagVolumeID     = "stillpoint:volume-id"
	TagDevice       = "stillpoint:device"
	TagMount        = "stillpoint:mount"

	// Unverified is the value of TagConsistency and TagStatus until the verdict.
	Unverified = "unverified"
)

const (
	ec2Tags      = 50  // EC2's limit for one resource
	ownTags      = 20  // what Stillpoint keeps for itself
	userTags     = 30  // what plan and request may have together
	tagValue     = 256 // characters of one value
	gtidTagParts = 4
)

// userTagSet merges the plan's tags and the request's; the plan wins.
func userTagSet(plan, request map[string]string) map[string]string {
	all := maps.Clone(request)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, plan)
	return all
}

// createTags are the tags in the create call, the same for the whole set.
func (a *attempt) createTags() map[string]string {
	t := maps.Clone(a.userTags)
	r := a.result
	t[TagRequestID] = r.RequestID
	t[TagAttemptID] = r.AttemptID
	t[TagPlan] = r.Plan
	t[TagInstanceID] = r.InstanceID
	t[TagSetSize] = strconv.Itoa(len(a.volumes))
	t[TagConsistency] = Unverified
	t[TagStatus] = Unverified
	if m := a.before; m != nil {
		if m.BinlogFile != "" {
			t[TagBinlog] = m.BinlogFile + ":" + strconv.FormatUint(m.BinlogPosition, 10)
		}
		addGTID(t, m.GTID)
		addSource(t, m)
	}
	return t
}

// addGTID tags a GTID set: whole where it fits one value, in up to four parts
// where it does not, and left out, saying so, where even they are too small.
func addGTID(t map[string]string, gtid string) {
	switch {
	case gtid == "":
	case len(gtid) <= tagValue:
		t[TagGTID] = gtid
	case len(gtid) <= gtidTagParts*tagValue:
		for i, part := range slices.Collect(slices.Chunk([]byte(gtid), tagValue)) {
			t[fmt.Sprintf("%s.%d", TagGTID, i+1)] = string(part)
		}
	default:
		t[TagGTIDOmitted] = "true"
	}
}

// addSource tags a replica's coordinates; of several sources only the first one's.
func addSource(t map[string]string, m *messages.MySQL) {
	r := m.Replica
	if r == nil {
		return
	}
	set := func(key, value string) {
		if value != "" && len(value) <= tagValue {
			t[key] = value
		}
	}
	if r.SourceHost != "" {
		set(TagSource, r.SourceHost+":"+strconv.Itoa(int(r.SourcePort)))
	}
	if r.ExecutedFile != "" {
		set(TagSourceBinlog, r.ExecutedFile+":"+strconv.FormatUint(r.ExecutedPosition, 10))
	}
	if r.GTID != m.GTID {
		set(TagSourceGTID, r.GTID)
	}
}

// verdictTags are written to one snapshot after the thaw. own are the tags of
// its volume (only with copy_tags), taken is what the create call has used.
// The names of those that no longer fit come back too.
func (a *attempt) verdictTags(s messages.Snapshot, own, taken map[string]string) (tags map[string]string, left []string) {
	tags = map[string]string{
		TagVolumeID:    s.VolumeID,
		TagConsistency: string(a.result.Consistency),
		TagStatus:      string(a.result.Status),
	}
	if s.Device != "" {
		tags[TagDevice] = s.Device
	}
	if s.Mount != "" {
		tags[TagMount] = s.Mount
	}
	room := ec2Tags - ownTags - len(a.userTags)
	for _, k := range slices.Sorted(maps.Keys(own)) {
		low := strings.ToLower(k)
		if strings.HasPrefix(low, "aws:") || strings.HasPrefix(low, "stillpoint:") {
			continue
		}
		if _, ok := taken[k]; ok {
			continue // plan and request win over the volume
		}
		if room == 0 {
			left = append(left, k)
			continue
		}
		room--
		tags[k] = own[k]
	}
	return tags, left
}
