package messages_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"stillpoint/messages"
)

// results has one example of every status, and a dry run.
func results() map[string]*messages.Result {
	id := messages.Identity{InstanceID: "i-0123456789abcdef0", Region: "eu-west-1", Agent: messages.Agent{Name: "stillpoint", Version: "1.0.0"}}
	d := messages.Delivery{
		Request:     messages.Request{RequestID: "eb:arn:aws:events:eu-west-1:111122223333:rule/nightly/2026-01-31T03:00:00Z", Plan: "nightly"},
		Source:      messages.SourceEventBridge,
		RequestedAt: time.Date(2026, 1, 31, 3, 0, 0, 0, time.UTC),
	}
	start := time.Date(2026, 1, 31, 4, 0, 5, 0, time.FixedZone("CET", 3600))
	base := func(s messages.Status, reason messages.Reason, message string) *messages.Result {
		r := id.Result(d, start)
		r.Status, r.Reason, r.Message = s, reason, message
		return r
	}
	ran := func(r *messages.Result, consistency messages.Consistency) *messages.Result {
		r.AttemptID = "0f8fad5b-d9cb-469f-a165-70867728950e"
		r.Consistency = consistency
		r.MySQL = &messages.MySQL{Flavor: "mysql", Version: "8.4.7", Lock: "ftwrl", BinlogFile: "binlog.000042", BinlogPosition: 157,
			GTID: "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-77", CoordinatesExact: true}
		r.Timings = messages.Timings{LockWait: 3.25, LockTries: 1, LockHeld: 208.5, Frozen: 190.75, SnapshotCall: 185, WritesBlocked: 211.75, WritesBlockedTotal: 211.75}
		r.Stages = []messages.Stage{
			{Name: "lock", StartedAt: start.Add(time.Second), DurationMS: 3.25},
			{Name: "freeze", StartedAt: start.Add(1004 * time.Millisecond), DurationMS: 1.5},
			{Name: "snapshot", StartedAt: start.Add(1006 * time.Millisecond), DurationMS: 185},
		}
		return r
	}
	set := func(r *messages.Result) *messages.Result {
		for i, mount := range []string{"/var/lib/mysql", "/var/log/mysql", ""} {
			r.Snapshots = append(r.Snapshots, messages.Snapshot{
				SnapshotID: fmt.Sprintf("snap-0123456789abcdef%d", i), VolumeID: fmt.Sprintf("vol-0123456789abcdef%d", i),
				Device: "/dev/sd" + string(rune('f'+i)), Mount: mount, SizeGiB: 100, StartTime: start.Add(1100 * time.Millisecond), State: "pending"})
		}
		return r
	}
	dry := base(messages.Succeeded, "", "every check passed for plan nightly")
	dry.DryRun = true
	all := map[string]*messages.Result{
		"succeeded": set(ran(base(messages.Succeeded, "", "3 snapshots of plan nightly were started while the database was locked and every file system frozen"), messages.ConsistencyApplication)),
		"failed": ran(base(messages.Failed, messages.ReasonLockTimeout,
			"the database could not be locked in 60 tries of 500ms: a SELECT of 312 s stood in the way; end it or raise lock_tries"), messages.ConsistencyNone),
		"inconsistent": set(ran(base(messages.Inconsistent, messages.ReasonThawedEarly,
			"someone else thawed /var/lib/mysql before EC2 had answered; do not trust these snapshots"), messages.ConsistencyDatabase)),
		"rejected": base(messages.Rejected, messages.ReasonUnknownPlan, "there is no plan \"nightly\" in the worker's file: there is weekly"),
		"skipped":  base(messages.Skipped, messages.ReasonStale, "the request was 2h5m0s old, and plan nightly takes none older than 1h0m0s"),
		"dry_run":  dry,
	}
	for _, r := range all {
		r.Seal("059f36b4-87a3-44ab-83d2-661975830a7d", start.Add(2*time.Second))
	}
	all["failed"].Stages[0].Error = "the lock was not granted in time"
	all["inconsistent"].Warnings = []string{"the verdict tags of snap-01234567 could not be written and are tried again"}
	return all
}

func TestGoldenResults(t *testing.T) {
	for name, r := range results() {
		t.Run(name, func(t *testing.T) {
			b, err := messages.MarshalResult(r)
			if err != nil {
				t.Fatal(err)
			}
			pretty := jsontext.Value(b).Clone()
			if err := pretty.Indent(jsontext.WithIndent("  ")); err != nil {
				t.Fatal(err)
			}
			golden(t, "results/"+name+".json", append(pretty, '\n'))
			golden(t, "results/"+name+".subject", []byte(messages.Subject(r)+"\n"))
			golden(t, "results/"+name+".attributes", indented(t, messages.Attributes(r)))
			back, err := messages.UnmarshalResult(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r, back); diff != "" { // go-cmp compares instants with Equal
				t.Error(diff)
			}
		})
	}
}

func TestResultsFitWithTheirSnapshots(t *testing.T) {
	big := func(change func(r *messages.Result)) *messages.Result {
		r := results()["inconsistent"]
		r.Snapshots = nil
		for i := range 128 {
			r.Snapshots = append(r.Snapshots, messages.Snapshot{SnapshotID: fmt.Sprintf("snap-%017x", i), VolumeID: fmt.Sprintf("vol-%017x", i),
				Device: "/dev/xvdba", Mount: fmt.Sprintf("/srv/mysql/instance-%d/data", i), SizeGiB: 16384, StartTime: now, State: "pending"})
		}
		if change != nil {
			change(r)
		}
		return r
	}
	stages := func(n, size int) func(r *messages.Result) {
		return func(r *messages.Result) {
			for range n {
				r.Stages = append(r.Stages, messages.Stage{Name: "lock", StartedAt: now, DurationMS: 500.123, Error: strings.Repeat("\x01", size)})
			}
		}
	}
	for name, test := range map[string]struct {
		r         *messages.Result
		shortened bool
	}{
		"128 volumes":  {big(nil), false},
		"long message": {big(func(r *messages.Result) { r.Message = strings.Repeat("é\x01\xff", 50000) }), true},
		"long stages":  {big(stages(10, 10000)), true},
		"many stages":  {big(stages(2000, 300)), true},
		"warnings": {big(func(r *messages.Result) {
			r.Warnings = strings.Split(strings.Repeat("a warning of some length,", 5000), ",")
		}), true},
		"long mounts": {big(func(r *messages.Result) {
			for i := range r.Snapshots {
				r.Snapshots[i].Mount = "/" + strings.Repeat("m", 4000)
			}
		}), true},
		"gtid": {big(func(r *messages.Result) {
			r.MySQL.GTID = strings.Repeat("g", 100000)
			r.MySQL.Replica = &messages.Replica{GTID: strings.Repeat("h", 100000)}
		}), true},
		"killed": {big(func(r *messages.Result) { r.MySQL.Killed = killed(64) }), true},
		"killed and why": {big(func(r *messages.Result) {
			r.MySQL.Killed = killed(1000)
			r.MySQL.LockReason = strings.Repeat("\x02", 40000)
			r.MySQL.Replica = &messages.Replica{PositionOmitted: strings.Repeat("\x02", 40000)}
		}), true},
		"everything": {big(func(r *messages.Result) {
			stages(500, 5000)(r)
			s := strings.Repeat("\x02", 40000)
			r.Message, r.RequestID, r.Plan, r.MySQL.Version, r.Warnings = s, s, s, s, []string{s, s, s, s, s, s, s}
		}), true},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(test.r.Warnings)
			b, err := messages.MarshalResult(test.r)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) > messages.MaxResultBytes {
				t.Errorf("%d bytes", len(b))
			}
			back, err := messages.UnmarshalResult(b)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d bytes, message %d, stages %d, warnings %q", len(b), len(back.Message), len(back.Stages), back.Warnings[len(back.Warnings)-1])
			if test.r.MySQL != nil && len(test.r.MySQL.Killed) > 0 && (len(back.MySQL.Killed) < 8 || len(test.r.MySQL.Killed[0].Digest) != 1024) {
				t.Errorf("%d of the statements that were ended are left; the caller's digest has %d bytes", len(back.MySQL.Killed), len(test.r.MySQL.Killed[0].Digest))
			}
			if len(back.Snapshots) != 128 || len(test.r.Warnings) != before {
				t.Errorf("%d snapshots; the caller's warnings went from %d to %d", len(back.Snapshots), before, len(test.r.Warnings))
			}
			for i, s := range back.Snapshots {
				if s.SnapshotID != test.r.Snapshots[i].SnapshotID || s.VolumeID != test.r.Snapshots[i].VolumeID {
					t.Fatalf("snapshot %d became %+v", i, s)
				}
			}
			if said := strings.Contains(back.Warnings[len(back.Warnings)-1], "shortened"); said != test.shortened {
				t.Errorf("the last warning is %q", back.Warnings[len(back.Warnings)-1])
			}
		})
	}
}

// killed are statements with digests as long as MySQL keeps them.
func killed(n int) []messages.Statement {
	list := make([]messages.Statement, n)
	for i := range list {
		list[i] = messages.Statement{ID: uint64(i), User: "app", AgeSeconds: 61.5, State: "executing", Digest: strings.Repeat("d", 1024)}
	}
	return list
}

func TestAResultAlwaysGetsOut(t *testing.T) {
	r := results()["failed"]
	r.Message = "Access denied for \xff\xfe \ufffe\uffff\x00"
	r.Timings.Total, r.Timings.Frozen = math.NaN(), math.Inf(1)
	r.Snapshots, r.Stages, r.Warnings = nil, nil, nil
	b, err := messages.MarshalResult(r)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(b); strings.ContainsAny(s, "\ufffe\uffff\x00") || !strings.Contains(s, `"snapshots":[]`) || !strings.Contains(s, `"stages":[]`) {
		t.Error(s)
	}
	if _, err := messages.UnmarshalResult([]byte(strings.Replace(string(b), `{`, `{"later":{"x":1},`, 1))); err != nil {
		t.Errorf("an unknown key is an error: %v", err)
	}
	for _, foreign := range []string{`{}`, `{"type":"stillpoint.other","schemaVersion":"1"}`, `{"type":"stillpoint.snapshot.result","schemaVersion":"2"}`, `[]`, ``} {
		if _, err := messages.UnmarshalResult([]byte(foreign)); err == nil {
			t.Errorf("%s is taken for a result", foreign)
		}
	}
}

func TestSubject(t *testing.T) {
	three := make([]messages.Snapshot, 3)
	for _, test := range []struct {
		r    messages.Result
		want string
	}{
		{messages.Result{Status: messages.Succeeded, Plan: "nightly", InstanceID: "i-0abc", Snapshots: three, Timings: messages.Timings{WritesBlocked: 211.75, Frozen: 190}},
			"[OK] stillpoint nightly i-0abc: 3 snapshots started, writes blocked 212 ms"},
		{messages.Result{Status: messages.Succeeded, Plan: "files", InstanceID: "i-0abc", Snapshots: three[:1], Timings: messages.Timings{Frozen: 1.46}},
			"[OK] stillpoint files i-0abc: 1 snapshot started, frozen 1.5 ms"},
		{messages.Result{Status: messages.Succeeded, DryRun: true, Plan: "nightly", InstanceID: "i-0abc"},
			"[OK] stillpoint nightly i-0abc: dry run, every check passed"},
		{messages.Result{Status: messages.Failed, Reason: messages.ReasonLockTimeout, Plan: "nightly", InstanceID: "i-0abc", Message: "the database could not be locked"},
			"[FAILED] stillpoint nightly i-0abc: lock_timeout: the database could not be locked"},
		{messages.Result{Status: messages.Rejected, Reason: messages.ReasonInvalidRequest, Message: "plan\r\nmust be\tä \x00 string\u2028now\x7f"},
			"[REJECTED] stillpoint: invalid_request: plan must be ? string now"},
		{messages.Result{Status: messages.Skipped, Reason: messages.ReasonStale, DryRun: true}, "[SKIPPED] stillpoint: dry run, stale"},
		{messages.Result{Status: messages.Inconsistent, Reason: messages.ReasonThawedEarly, Plan: strings.Repeat("p", 64), InstanceID: "i-0123456789abcdef0", Message: strings.Repeat("m", 200)},
			"[INCONSISTENT] stillpoint ppppppppppppppppppppp... i-0123456789abcdef0: thawed_early: mmmmmmmmmm..."},
		{messages.Result{}, "[UNKNOWN] stillpoint"},
	} {
		got := messages.Subject(&test.r)
		if got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
		if len(got) > messages.MaxSubject {
			t.Errorf("%d characters", len(got))
		}
	}
}

func TestAttributesLeaveOutWhatIsUnknown(t *testing.T) {
	r := messages.Result{SchemaVersion: "1", Type: messages.ResultType, Status: messages.Rejected}
	want := map[string]string{"schemaVersion": "1", "type": messages.ResultType, "status": "rejected", "severity": "warning"}
	if diff := cmp.Diff(want, messages.Attributes(&r)); diff != "" {
		t.Error(diff)
	}
}

// A clock that was set back during a run leaves the time of day as it is, and no negative duration.
func TestSealAfterTheClockWasSetBack(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := messages.Identity{InstanceID: "i-0123456789abcdef0"}.Result(messages.Delivery{}, start)
	r.Seal("059f36b4-87a3-44ab-83d2-661975830a7d", start.Add(-time.Hour))
	if r.Timings.Total != 0 || !r.FinishedAt.Equal(start.Add(-time.Hour)) {
		t.Errorf("total %g ms, finished at %s", r.Timings.Total, r.FinishedAt)
	}
}
