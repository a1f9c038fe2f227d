package messages

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxResultBytes bounds a Result as JSON.
const MaxResultBytes = 32 << 10

// MarshalResult writes a Result as it is published: one line of JSON, at most
// MaxResultBytes, times in UTC, the same bytes for the same Result, and only
// characters that SNS and SQS carry. Where it would be longer, the message,
// the stages' errors, the warnings, the stages and what is optional about a
// snapshot are shortened or left out, in this order and only as far as needed,
// and a warning says so; the ids of the snapshots always stay. A GTID set that
// takes more than a quarter of the room goes first: cut short it would be a lie; then what is long of the statements that were ended.
// r itself is not changed. The error says that even so it did not fit, which
// takes more than 300 snapshots.
func MarshalResult(r *Result) ([]byte, error) {
	out := tidy(r)
	b, err := marshal(&out)
	if err != nil || len(b) <= MaxResultBytes {
		return b, err
	}
	var did []string
	warnings := out.Warnings
	for _, s := range shortenings {
		if !s.apply(&out, &warnings) {
			continue
		}
		did = append(did, s.what)
		note := fmt.Sprintf("this result was shortened to fit into %d KiB: %s", MaxResultBytes>>10, strings.Join(did, "; "))
		out.Warnings = append(append([]string{}, warnings...), note)
		if b, err = marshal(&out); err != nil || len(b) <= MaxResultBytes {
			return b, err
		}
	}
	return nil, fmt.Errorf("cannot fit the result of %d snapshots into %d bytes: it has %d", len(out.Snapshots), MaxResultBytes, len(b))
}

// UnmarshalResult reads what MarshalResult wrote, by this version or a later
// one: unknown keys are ignored. A JSON of another type or another
// schemaVersion is an error.
func UnmarshalResult(data []byte) (*Result, error) {
	r := &Result{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("cannot read the result: %w", err)
	}
	if r.Type != ResultType {
		return nil, fmt.Errorf("cannot read the result: its type must be %q, not %s", ResultType, quote(r.Type))
	}
	if r.SchemaVersion != SchemaVersion {
		return nil, fmt.Errorf("cannot read the result: its schemaVersion must be %q, not %s", SchemaVersion, quote(r.SchemaVersion))
	}
	out := tidy(r)
	return &out, nil
}

func marshal(r *Result) ([]byte, error) {
	// A server's error message may hold any bytes; the result must get out nevertheless.
	b, err := json.Marshal(r, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, fmt.Errorf("cannot encode the result: %w", err)
	}
	// U+FFFE and U+FFFF are no XML, and SQS refuses them.
	b = bytes.ReplaceAll(b, []byte("\xef\xbf\xbe"), []byte("\uFFFD"))
	return bytes.ReplaceAll(b, []byte("\xef\xbf\xbf"), []byte("\uFFFD")), nil
}

// tidy copies what will be changed, with times in UTC, lists that are [] and
// never null, and numbers that JSON has.
func tidy(r *Result) Result {
	out := *r
	for _, t := range []*time.Time{&out.RequestedAt, &out.StartedAt, &out.FinishedAt} {
		*t = t.UTC()
	}
	out.Snapshots = append([]Snapshot{}, r.Snapshots...)
	for i := range out.Snapshots {
		out.Snapshots[i].StartTime = out.Snapshots[i].StartTime.UTC()
	}
	out.Stages = append([]Stage{}, r.Stages...)
	for i := range out.Stages {
		s := &out.Stages[i]
		s.StartedAt, s.DurationMS = s.StartedAt.UTC(), finite(s.DurationMS)
	}
	out.Warnings = append([]string{}, r.Warnings...)
	if r.MySQL != nil {
		m := *r.MySQL
		if m.Replica != nil {
			replica := *m.Replica
			m.Replica = &replica
		}
		m.OtherSources = slices.Clone(m.OtherSources)
		m.Killed = slices.Clone(m.Killed)
		for i := range m.Killed {
			m.Killed[i].AgeSeconds = finite(m.Killed[i].AgeSeconds)
		}
		out.MySQL = &m
	}
	t := &out.Timings
	for _, f := range []*float64{&t.LockWait, &t.LockHeld, &t.Frozen, &t.SnapshotCall, &t.WritesBlocked, &t.WritesBlockedTotal, &t.Total} {
		*f = finite(*f)
	}
	return out
}

func finite(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// shortening is one way to make a result smaller; apply says whether there was
// anything to do. The warnings are beside the result, since a note is added to them.
type shortening struct {
	what  string
	apply func(r *Result, warnings *[]string) bool
}

var shortenings = []shortening{
	{"the GTID set was left out", dropGTID},
	{"the statements that were ended were cut", func(r *Result, _ *[]string) bool { return cutKilled(r, 200) }},
	{"the message was cut", func(r *Result, _ *[]string) bool { return cut(&r.Message, 1000) }},
	{"errors of stages were cut", func(r *Result, _ *[]string) bool { return cutStages(r, 200) }},
	{"warnings were cut", func(_ *Result, w *[]string) bool { return cutWarnings(w, 20, 300) }},
	{"stages were left out", func(r *Result, _ *[]string) bool {
		did := len(r.Stages) > 0
		r.Stages = []Stage{}
		return did
	}},
	{"mount, device, size and time of the snapshots were left out", func(r *Result, _ *[]string) bool {
		for i, s := range r.Snapshots {
			r.Snapshots[i] = Snapshot{SnapshotID: s.SnapshotID, VolumeID: s.VolumeID, State: clip(s.State, 20)}
		}
		return len(r.Snapshots) > 0
	}},
	{"more of the warnings was left out", func(_ *Result, w *[]string) bool { return cutWarnings(w, 5, 200) }},
	{"what else was long was cut", cutRest},
}

func dropGTID(r *Result, _ *[]string) (did bool) {
	if r.MySQL == nil {
		return false
	}
	drop := func(s *string) {
		if len(*s) > MaxResultBytes/4 {
			*s, did = "", true
		}
	}
	drop(&r.MySQL.GTID)
	if r.MySQL.Replica != nil {
		drop(&r.MySQL.Replica.GTID)
	}
	return did
}

// cutKilled cuts what is long about the statements that were ended.
func cutKilled(r *Result, n int) (did bool) {
	if r.MySQL == nil {
		return false
	}
	for i := range r.MySQL.Killed {
		k := &r.MySQL.Killed[i]
		for _, s := range []*string{&k.Digest, &k.User, &k.State} {
			did = cut(s, n) || did
		}
	}
	return did
}

// cut shortens to n bytes as JSON writes them, where a control character takes six.
func cut(s *string, n int) bool {
	did := false
	for limit := n; quotedLen(*s) > n && limit > 0; limit -= n/8 + 1 {
		*s, did = clip(*s, limit), true
	}
	return did
}

func quotedLen(s string) int {
	b, err := jsontext.AppendQuote(nil, strings.ToValidUTF8(s, "\uFFFD"))
	if err != nil {
		return 6 * len(s)
	}
	return len(b)
}

func cutStages(r *Result, n int) (did bool) {
	for i := range r.Stages {
		did = cut(&r.Stages[i].Error, n) || did
		did = cut(&r.Stages[i].Name, n) || did
	}
	return did
}

func cutWarnings(w *[]string, count, n int) (did bool) {
	if len(*w) > count {
		*w, did = (*w)[:count], true
	}
	for i := range *w {
		did = cut(&(*w)[i], n) || did
	}
	return did
}

// keptKilled is how many of the statements that were ended stay where all is cut.
const keptKilled = 8

// cutRest bounds what is never long where the program works as it should.
func cutRest(r *Result, _ *[]string) (did bool) {
	all := []*string{&r.Message, &r.RequestID, &r.AttemptID, &r.Plan, &r.InstanceID, &r.Region, &r.Agent.Name, &r.Agent.Version}
	if m := r.MySQL; m != nil {
		all = append(all, &m.Flavor, &m.Version, &m.Lock, &m.LockReason, &m.BinlogFile)
		if m.Replica != nil {
			all = append(all, &m.Replica.Channel, &m.Replica.SourceHost, &m.Replica.ExecutedFile, &m.Replica.PositionOmitted)
		}
		if len(m.Killed) > keptKilled {
			m.Killed, did = m.Killed[:keptKilled], true
		}
		did = did || len(m.OtherSources) > 0
		m.OtherSources = nil
		for _, g := range []*string{&m.GTID, gtidOf(m.Replica)} {
			if len(*g) > 1024 {
				*g, did = "", true
			}
		}
	}
	for _, s := range all {
		did = cut(s, 300) || did
	}
	for i := range r.Snapshots {
		did = cut(&r.Snapshots[i].SnapshotID, 64) || did
		did = cut(&r.Snapshots[i].VolumeID, 64) || did
	}
	return did
}

func gtidOf(r *Replica) *string {
	if r == nil {
		return new(string)
	}
	return &r.GTID
}
