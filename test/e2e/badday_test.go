package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/scene"
)

// What EC2 can do to a request whose set it has made, or not made. However it ends, there is one set at most, the verdict is what can
// be proved, and the next request is done.
func TestBadDaysOfEC2(t *testing.T) {
	t.Parallel()
	const create, dry = "ec2:CreateSnapshots", 1 // the preflight makes a dry run
	ctx, s := set(t, scene.Config{Writers: 4, Pause: 50 * time.Millisecond, Extra: "ext4"})
	work(t, ctx, s)
	for _, day := range []struct {
		name        string
		faults      []localstack.Fault
		lag         time.Duration // until describes show a set
		status      messages.Status
		reason      messages.Reason
		consistency messages.Consistency
		snapshots   int // that EC2 has under the request's id
	}{
		{"a lost answer, and the set is seen while everything is held", []localstack.Fault{{Operation: create, Skip: dry, Drop: true, After: true, Times: 1}}, 0,
			messages.Succeeded, "", messages.ConsistencyApplication, 2},
		{"half an answer", []localstack.Fault{{Operation: create, Skip: dry, Cut: true, Times: 1}}, 0,
			messages.Succeeded, "", messages.ConsistencyApplication, 2},
		{"an error after the effect", []localstack.Fault{{Operation: create, Skip: dry, Code: "InternalError", After: true, Times: 1}}, 0,
			messages.Succeeded, "", messages.ConsistencyApplication, 2},
		{"a lost answer, and the set is seen too late", []localstack.Fault{{Operation: create, Skip: dry, Drop: true, After: true, Times: 1}}, 6 * time.Second,
			messages.Inconsistent, messages.ReasonSnapshotAmbiguous, messages.ConsistencyCrash, 2},
		{"an answer that lacks a snapshot of the set", []localstack.Fault{{Operation: create, Skip: dry, Wrong: "missing", Times: 1}}, 0,
			messages.Inconsistent, messages.ReasonSnapshotFailed, messages.ConsistencyApplication, 2},
	} {
		t.Run(day.name, func(t *testing.T) {
			b := s.AWS.EC2Behaviour()
			b.DescribeLagMin, b.DescribeLagMax = day.lag, day.lag
			if err := s.AWS.BehaveEC2(b); err != nil {
				t.Fatal(err)
			}
			if err := s.AWS.SetFaults(day.faults...); err != nil {
				t.Fatal(err)
			}
			id := "day/" + strings.ReplaceAll(strings.ReplaceAll(day.name, " ", "-"), ",", "")
			send(t, ctx, s, `{"requestId":"`+id+`"}`)
			d := next(t, ctx, s)
			t.Logf("%s", d.Subject)
			wants(t, d.Result, day.status, day.reason, day.consistency)
			b.DescribeLagMin, b.DescribeLagMax = 0, 0
			s.AWS.MoveClock(day.lag)
			if err := s.AWS.BehaveEC2(b); err != nil {
				t.Fatal(err)
			}
			if n := len(sets(t, ctx, s)[id]); n != day.snapshots {
				t.Errorf("EC2 has %d snapshots of the request, want %d", n, day.snapshots)
			}
		})
	}
}

// Limits of EC2's are waited out with everything let go: writes flow between
// the tries, and there is one set in the end.
func TestLimitsOfEC2AreWaitedOut(t *testing.T) {
	t.Parallel()
	const create, dry = "ec2:CreateSnapshots", 1
	for _, day := range []struct {
		code  string
		times int
		waits time.Duration // at least
	}{
		{"RequestLimitExceeded", 2, 2*time.Second + 4*time.Second},
		{"SnapshotCreationPerVolumeRateExceeded", 1, 15 * time.Second},
	} {
		t.Run(day.code, func(t *testing.T) {
			t.Parallel()
			ctx, s := set(t, scene.Config{Writers: 4, Pause: 50 * time.Millisecond, Extra: "ext4"})
			work(t, ctx, s)
			calls := func() (n int) {
				for _, c := range s.AWS.Calls() {
					if c.Operation == create {
						n++
					}
				}
				return n
			}
			asked := calls()
			if err := s.AWS.SetFaults(localstack.Fault{Operation: create, Skip: dry, Code: day.code, Times: day.times}); err != nil {
				t.Fatal(err)
			}
			s.Load.ResetStalls()
			begin := time.Now()
			send(t, ctx, s, `{"requestId":"limit/`+day.code+`"}`)
			d := next(t, ctx, s)
			stall := s.Load.Stats().Longest
			t.Logf("%s after %s; the longest stall was %s (%s)", d.Subject, time.Since(begin).Round(time.Millisecond), stall.Duration, stall.Statement)
			wants(t, d.Result, messages.Succeeded, "", messages.ConsistencyApplication)
			if took := time.Since(begin); took < day.waits {
				t.Errorf("it took %s: it did not wait", took)
			}
			if n := calls() - asked; n != dry+day.times+1 {
				t.Errorf("%d create calls", n)
			}
			if n := len(sets(t, ctx, s)["limit/"+day.code]); n != 2 {
				t.Errorf("EC2 has %d snapshots of the request", n)
			}
			var waited time.Duration
			for _, st := range d.Result.Stages {
				if st.Name == "quota" {
					waited += time.Duration(st.DurationMS * float64(time.Millisecond))
				}
			}
			if waited < day.waits {
				t.Errorf("the stages say that it waited for %s", waited)
			}
			// Held through the waits, a writer would have stalled for as long.
			if tm := d.Result.Timings; stall.Duration >= day.waits || tm.WritesBlockedTotal <= tm.WritesBlocked || tm.WritesBlockedTotal >= float64(day.waits.Milliseconds()) {
				t.Errorf("the longest stall was %s, timings %+v", stall.Duration, tm)
			}
		})
	}
}

// Where the file names neither region nor instance, the instance's metadata does.
func TestMetadataSaysWhereWeAre(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{NoDatabase: true})
	text, err := os.ReadFile(s.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "region:") && !strings.HasPrefix(line, "instance_id:") {
			kept = append(kept, line)
		}
	}
	if err := os.WriteFile(s.ConfigPath, []byte(strings.Join(kept, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := s.Command(ctx, "snapshot", "--config", s.ConfigPath, "--json")
	env := cmd.Env
	cmd.Env = nil
	for _, pair := range env {
		if name, _, _ := strings.Cut(pair, "="); name != "AWS_REGION" && name != "AWS_DEFAULT_REGION" && name != "AWS_ACCESS_KEY_ID" && name != "AWS_SECRET_ACCESS_KEY" {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r, err := messages.UnmarshalResult(out)
	if err != nil {
		t.Fatal(err)
	}
	if r.InstanceID != s.InstanceID || r.Region != "eu-west-1" || len(r.Snapshots) != 1 {
		t.Errorf("the result is of %s in %s with %d snapshots", r.InstanceID, r.Region, len(r.Snapshots))
	}
	for _, call := range s.AWS.Calls() {
		if call.Operation == "ec2:CreateSnapshots" && !strings.HasSuffix(call.Principal, "assumed-role/localstack-instance/"+s.InstanceID) {
			t.Errorf("the call was made as %s, not as the instance's role", call.Principal)
		}
	}
}
