package ebs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"stillpoint/internal/snapshot"
	"stillpoint/localstack"
)

func kind(err error) string {
	switch {
	case err == nil:
		return "nil"
	case errors.As(err, new(*snapshot.AmbiguousError)):
		return "ambiguous"
	case errors.As(err, new(*snapshot.QuotaError)):
		return "quota"
	case errors.As(err, new(*snapshot.SnapshotRefusedError)):
		return "refused"
	case errors.As(err, new(*snapshot.RefusedError)):
		return "refused before"
	case errors.As(err, new(*snapshot.OutOfReachError)):
		return "out of reach"
	}
	return fmt.Sprintf("%T", err)
}

// However the one call ends, there is one set or none, and the error says
// which, or that it does not know.
func TestOneCallOneSet(t *testing.T) {
	const create = "ec2:CreateSnapshots"
	for _, tc := range []struct {
		name   string
		faults []localstack.Fault
		want   string
		calls  int
		made   int
		code   string // told to OnError
	}{
		{"well", nil, "nil", 1, 2, "-"},
		{"dropped before", []localstack.Fault{{Drop: true}}, "ambiguous", 1, 0, ""},
		{"dropped after", []localstack.Fault{{Drop: true, After: true}}, "ambiguous", 1, 2, ""},
		{"500 before", []localstack.Fault{{Code: "InternalError"}}, "ambiguous", 1, 0, "InternalError"},
		{"500 after", []localstack.Fault{{Code: "InternalError", After: true}}, "ambiguous", 1, 2, "InternalError"},
		{"503 after", []localstack.Fault{{Code: "Unavailable", Status: 503, After: true}}, "ambiguous", 1, 2, "Unavailable"},
		{"timeout", []localstack.Fault{{Hang: true}}, "ambiguous", 1, 0, ""},
		{"timeout after", []localstack.Fault{{Hang: true, After: true}}, "ambiguous", 1, 2, ""},
		{"throttled once", []localstack.Fault{{Code: "RequestLimitExceeded", Times: 1}}, "quota", 1, 0, "RequestLimitExceeded"},
		{"throttled by another name", []localstack.Fault{{Code: "Throttling", Status: 400, Times: 1}}, "quota", 1, 0, "Throttling"},
		{"concurrent limit", []localstack.Fault{{Code: "ConcurrentSnapshotLimitExceeded", Status: 400}}, "quota", 1, 0, "ConcurrentSnapshotLimitExceeded"},
		{"rate of a volume", []localstack.Fault{{Code: "SnapshotCreationPerVolumeRateExceeded", Status: 400}}, "quota", 1, 0, "SnapshotCreationPerVolumeRateExceeded"},
		{"pending limit", []localstack.Fault{{Code: "PendingSnapshotLimitExceeded", Status: 400}}, "quota", 1, 0, "PendingSnapshotLimitExceeded"},
		{"denied", []localstack.Fault{{Code: "UnauthorizedOperation", Status: 403}}, "refused", 1, 0, "UnauthorizedOperation"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, 2)
			client := New(config(t, c.URL()), c.instance)
			told := "-"
			client.OnError = func(op, code string) { told = code }
			// The connection is an old one: the transport must not try again by itself either.
			if _, err := client.Find(t.Context(), "r-1"); err != nil {
				t.Fatal(err)
			}
			for i := range tc.faults {
				tc.faults[i].Operation = create
			}
			c.SetFaults(tc.faults...)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if strings.HasPrefix(tc.name, "timeout") {
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
			}
			defer cancel()
			made, err := client.Create(ctx, c.set(1, 2))
			if kind(err) != tc.want {
				t.Errorf("it is %s, want %s: %v", kind(err), tc.want, err)
			}
			c.SetFaults()
			if n := c.count(create); n != tc.calls {
				t.Errorf("%d calls, want %d", n, tc.calls)
			}
			if n := c.made(t); n != tc.made {
				t.Errorf("%d snapshots, want %d", n, tc.made)
			}
			if tc.want == "nil" && len(made) != 2 || tc.want != "nil" && len(made) != 0 {
				t.Errorf("it returned %v", made)
			}
			if told != tc.code {
				t.Errorf("OnError was told %q, want %q", told, tc.code)
			}
		})
	}
}

// A throttle comes back at once, whatever the environment says of retries: it is
// waited out by those who hold nothing.
func TestThrottlesAreNotWaitedOut(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "5")
	c := start(t, 1)
	cfg := config(t, c.URL())
	cfg.RetryMaxAttempts = 5
	client := New(cfg, c.instance)
	for code, wait := range map[string]time.Duration{
		"RequestLimitExceeded": 2 * time.Second, "ThrottlingException": 2 * time.Second,
		"SnapshotCreationPerVolumeRateExceeded": 15 * time.Second,
		"ConcurrentSnapshotLimitExceeded":       30 * time.Second, "PendingSnapshotLimitExceeded": 30 * time.Second,
		"SnapshotLimitExceeded": 0,
	} {
		before := c.count("ec2:CreateSnapshots")
		c.SetFaults(localstack.Fault{Operation: "ec2:CreateSnapshots", Code: code, Status: 400})
		_, err := client.Create(t.Context(), c.set(1))
		var limit *snapshot.QuotaError
		if !errors.As(err, &limit) || limit.Wait != wait || limit.Code != code {
			t.Errorf("%s is %+v", code, err)
		}
		if n := c.count("ec2:CreateSnapshots") - before; n != 1 {
			t.Errorf("%s: %d calls", code, n)
		}
	}
	if n := c.made(t); n != 0 {
		t.Errorf("%d snapshots", n)
	}
}

// The set is what the plan wants, with the root or without.
func TestWhatIsLeftOut(t *testing.T) {
	for name, indexes := range map[string][]int{"all": {0, 1, 2}, "without the root": {1, 2}, "root alone": {0}, "one": {2}, "root and one": {0, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, 2)
			client := New(config(t, c.URL()), c.instance)
			set := c.set(indexes...)
			if err := client.CheckCreate(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			if n := c.made(t); n != 0 {
				t.Fatalf("the check made %d snapshots", n)
			}
			made, err := client.Create(t.Context(), set)
			if err != nil {
				t.Fatal(err)
			}
			var want, got []string
			for _, v := range set.Volumes {
				want = append(want, v.ID)
			}
			for _, s := range made {
				got = append(got, s.VolumeID)
				if s.SnapshotID == "" || s.StartTime.IsZero() || s.State != "pending" || s.StartTime.Location() != time.UTC {
					t.Errorf("a snapshot is %+v", s)
				}
			}
			slices.Sort(want)
			slices.Sort(got)
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// fake is an API of which only the create calls work.
type fake struct {
	API
	mu   sync.Mutex
	sets []*ec2.CreateSnapshotsInput
	each []string
	fail func(volume string) error
	// denied is a volume of which no snapshot may be made, as a dry run says.
	denied string
}

func (f *fake) CreateSnapshots(_ context.Context, in *ec2.CreateSnapshotsInput, _ ...func(*ec2.Options)) (*ec2.CreateSnapshotsOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sets = append(f.sets, in)
	if aws.ToBool(in.DryRun) {
		return nil, &smithy.GenericAPIError{Code: dryRunOK}
	}
	return &ec2.CreateSnapshotsOutput{}, nil
}

func (f *fake) CreateSnapshot(_ context.Context, in *ec2.CreateSnapshotInput, _ ...func(*ec2.Options)) (*ec2.CreateSnapshotOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if aws.ToBool(in.DryRun) {
		if *in.VolumeId == f.denied {
			return nil, &smithy.GenericAPIError{Code: "UnauthorizedOperation"}
		}
		return nil, &smithy.GenericAPIError{Code: dryRunOK}
	}
	f.each = append(f.each, *in.VolumeId)
	if f.fail != nil {
		if err := f.fail(*in.VolumeId); err != nil {
			return nil, err
		}
	}
	return &ec2.CreateSnapshotOutput{SnapshotId: aws.String("snap-" + *in.VolumeId), VolumeId: in.VolumeId}, nil
}

func many(n int) snapshot.CreateSet {
	set := snapshot.CreateSet{
		Attached: []snapshot.Attachment{{VolumeID: "root", Root: true}, {VolumeID: "a"}, {VolumeID: "b"}},
		Volumes:  []snapshot.Volume{{ID: "a"}, {ID: "b"}},
	}
	for i := range n {
		set.Attached = append(set.Attached, snapshot.Attachment{VolumeID: fmt.Sprintf("other-%d", i)})
	}
	return set
}

// With separate calls the doctor asks for each of them: all may be allowed but one. A
// run asks for the first alone.
func TestEachSeparateCallIsAskedFor(t *testing.T) {
	set := many(41)
	set.AllFrozen = true
	for _, v := range set.Volumes {
		client := NewFromAPI(&fake{denied: v.ID}, "i-1")
		if err := client.CheckEveryCreate(t.Context(), set); err == nil {
			t.Errorf("%s is denied, and the check is content", v.ID)
		}
		if err := client.CheckCreate(t.Context(), set); (err == nil) != (v.ID != set.Volumes[0].ID) {
			t.Errorf("%s is denied: %v", v.ID, err)
		}
	}
}

// More than 40 to leave out need separate calls, which need everything frozen.
func TestMoreThanOneCallCanLeaveOut(t *testing.T) {
	for _, tc := range []struct {
		others    int
		allFrozen bool
		want      string
		one       bool
	}{{40, false, "nil", true}, {40, true, "nil", true}, {41, false, "refused", false}, {41, true, "nil", false}} {
		f := &fake{}
		client := NewFromAPI(f, "i-1")
		set := many(tc.others)
		set.AllFrozen = tc.allFrozen
		check := client.CheckCreate(t.Context(), set)
		dry := len(f.sets)
		made, err := client.Create(t.Context(), set)
		if kind(err) != tc.want || (check == nil) != (err == nil) || (check != nil && kind(check) != "refused before") {
			t.Errorf("%d left out, all frozen %v: %v, and beforehand %v", tc.others, tc.allFrozen, err, check)
		}
		if (len(f.sets)-dry == 1) != tc.one || (len(f.each) == 2) != (tc.want == "nil" && !tc.one) || len(f.each) != len(made) {
			t.Errorf("%d left out, all frozen %v: %d and %d calls", tc.others, tc.allFrozen, len(f.sets)-dry, len(f.each))
		}
		if tc.one {
			spec := f.sets[dry].InstanceSpecification
			if !aws.ToBool(spec.ExcludeBootVolume) || len(spec.ExcludeDataVolumeIds) != 40 || slices.Contains(spec.ExcludeDataVolumeIds, "root") {
				t.Errorf("left out: %v", spec.ExcludeDataVolumeIds)
			}
		}
	}
}

// Of separate calls some may fail: nothing made is a refusal, some is ambiguous.
func TestSeparateCallsThatFail(t *testing.T) {
	limit := &smithy.GenericAPIError{Code: "SnapshotCreationPerVolumeRateExceeded"}
	for name, tc := range map[string]struct {
		fail map[string]error
		want string
		made []string
	}{
		"none made":                {map[string]error{"a": limit, "b": limit}, "quota", nil},
		"one made":                 {map[string]error{"b": limit}, "ambiguous", []string{"snap-a"}},
		"one unknown":              {map[string]error{"b": errors.New("reset")}, "ambiguous", []string{"snap-a"}},
		"one refused, one unknown": {map[string]error{"a": limit, "b": errors.New("reset")}, "ambiguous", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{fail: func(v string) error { return tc.fail[v] }}
			set := many(41)
			set.AllFrozen = true
			_, err := NewFromAPI(f, "i-1").Create(t.Context(), set)
			if kind(err) != tc.want {
				t.Errorf("it is %s: %v", kind(err), err)
			}
			var amb *snapshot.AmbiguousError
			if errors.As(err, &amb) {
				var made []string
				for _, s := range amb.Made {
					made = append(made, s.SnapshotID)
				}
				if !cmp.Equal(made, tc.made) {
					t.Errorf("made: %v", amb.Made)
				}
			}
		})
	}
}

// An endpoint that takes a dry run for a real call is not trusted.
func TestCheckCreate(t *testing.T) {
	c := start(t, 1)
	client := New(config(t, c.URL()), c.instance)
	told := 0
	client.OnError = func(string, string) { told++ }
	if err := client.CheckCreate(t.Context(), c.set(1)); err != nil || told != 0 {
		t.Errorf("%v, told %d times", err, told)
	}
	c.SetFaults(localstack.Fault{Operation: "ec2:CreateSnapshots", Code: "UnauthorizedOperation", Status: 403})
	err := client.CheckCreate(t.Context(), c.set(1))
	if kind(err) != "refused before" || !strings.Contains(err.Error(), "allow ec2:CreateSnapshots") || told != 1 {
		t.Errorf("%v, told %d times", err, told)
	}
	if err := NewFromAPI(&blind{}, "i-1").CheckCreate(t.Context(), c.set(1)); kind(err) != "refused before" {
		t.Errorf("an endpoint that ignores DryRun: %v", err)
	}
}

type blind struct{ fake }

func (*blind) CreateSnapshots(context.Context, *ec2.CreateSnapshotsInput, ...func(*ec2.Options)) (*ec2.CreateSnapshotsOutput, error) {
	return &ec2.CreateSnapshotsOutput{}, nil
}
