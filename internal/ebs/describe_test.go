package ebs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"stillpoint/internal/snapshot"
)

func TestAttached(t *testing.T) {
	c := start(t, 2)
	var names []string
	for _, a := range c.attached {
		names = append(names, fmt.Sprint(a.DeviceName, a.Root))
	}
	if d := cmp.Diff([]string{"/dev/xvdatrue", "/dev/sdffalse", "/dev/sdgfalse"}, names); d != "" {
		t.Error(d)
	}
	_, err := New(config(t, c.URL()), "i-0123456789abcdef0").Attached(t.Context())
	if kind(err) != "refused before" {
		t.Errorf("an instance that is not there: %v", err)
	}
}

// Unverified sees this instance's snapshots that have no verdict, and no others.
func TestUnverified(t *testing.T) {
	c := start(t, 2)
	client := New(config(t, c.URL()), c.instance)
	ids := map[string]string{}
	for _, status := range []string{snapshot.Unverified, "succeeded", ""} {
		set := c.set(1)
		set.Tags = map[string]string{snapshot.TagRequestID: "r" + status, snapshot.TagInstanceID: c.instance}
		if status != "" {
			set.Tags[snapshot.TagStatus] = status
		}
		made, err := client.Create(t.Context(), set)
		if err != nil {
			t.Fatal(err)
		}
		ids[status] = made[0].SnapshotID
	}
	list := func() (found []string) {
		t.Helper()
		all, err := client.Unverified(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			found = append(found, e.SnapshotID+" of "+e.Tags[snapshot.TagRequestID])
		}
		return found
	}
	if d := cmp.Diff([]string{ids[snapshot.Unverified] + " of r" + snapshot.Unverified}, list()); d != "" {
		t.Error(d)
	}
	if other, err := New(config(t, c.URL()), "i-0123456789abcdef0").Unverified(t.Context()); err != nil || len(other) > 0 {
		t.Errorf("another instance sees %v, %v", other, err)
	}
	if err := client.Tag(t.Context(), ids[snapshot.Unverified], map[string]string{snapshot.TagStatus: "inconsistent"}); err != nil {
		t.Fatal(err)
	}
	if left := list(); len(left) > 0 {
		t.Error(left)
	}
}

// Find sees this instance's sets of this request, over all attempts and nothing else.
func TestFind(t *testing.T) {
	c := start(t, 2)
	client := New(config(t, c.URL()), c.instance)
	other := *c
	other.instance = c.launch(t, 1)
	var err error
	if other.attached, err = New(config(t, c.URL()), other.instance).Attached(t.Context()); err != nil {
		t.Fatal(err)
	}
	create := func(c *cloud, request, attempt string) {
		t.Helper()
		set := c.set(1)
		set.Tags = map[string]string{snapshot.TagRequestID: request, snapshot.TagAttemptID: attempt, snapshot.TagInstanceID: c.instance}
		if _, err := New(config(t, c.URL()), c.instance).Create(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
	create(c, "r-1", "a-1")
	create(c, "r-1", "a-2")
	create(c, "r-12", "a-3")
	create(&other, "r-1", "a-4")
	for request, want := range map[string][]string{"r-1": {"a-1", "a-2"}, "r-12": {"a-3"}, "r-*": nil, "r-?": nil, "*": nil} {
		found, err := client.Find(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range found {
			got = append(got, f.Tags[snapshot.TagAttemptID])
			if f.SnapshotID == "" || f.VolumeID == "" || f.State == "" {
				t.Errorf("found %+v", f)
			}
		}
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", request, d)
		}
	}
}

// pages answers with one snapshot a page.
type pages struct {
	API
	n int
}

func (p *pages) DescribeSnapshots(_ context.Context, in *ec2.DescribeSnapshotsInput, _ ...func(*ec2.Options)) (*ec2.DescribeSnapshotsOutput, error) {
	i := 0
	if in.NextToken != nil {
		if _, err := fmt.Sscan(*in.NextToken, &i); err != nil {
			return nil, err
		}
	}
	if i == 3 && p.n == 0 {
		return nil, errors.New("the third page is missing")
	}
	out := &ec2.DescribeSnapshotsOutput{}
	if i > 0 { // EC2 may send empty pages with a token
		out.Snapshots = []types.Snapshot{{SnapshotId: aws.String(fmt.Sprint("snap-", i)), Tags: []types.Tag{
			{Key: aws.String(snapshot.TagRequestID), Value: aws.String("r-1")}, {Key: aws.String(snapshot.TagInstanceID), Value: aws.String("i-1")},
		}}}
	}
	if i < p.n || p.n == 0 {
		out.NextToken = aws.String(fmt.Sprint(i + 1))
	}
	return out, nil
}

func TestFindReadsAllPages(t *testing.T) {
	found, err := NewFromAPI(&pages{n: 5}, "i-1").Find(t.Context(), "r-1")
	if err != nil || len(found) != 5 {
		t.Errorf("found %d, %v", len(found), err)
	}
	// A page that fails is no short answer.
	if found, err := NewFromAPI(&pages{}, "i-1").Find(t.Context(), "r-1"); err == nil {
		t.Errorf("found %d of an unfinished list", len(found))
	}
}

func TestTagsAndProgress(t *testing.T) {
	c := start(t, 1)
	client := New(config(t, c.URL()), c.instance)
	made, err := client.Create(t.Context(), c.set(0, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Tag(t.Context(), made[0].SnapshotID, map[string]string{"k": "v"}); err != nil {
		t.Fatal(err)
	}
	found, err := client.Find(t.Context(), "r-1")
	if err != nil || len(found) != 2 {
		t.Fatal(found, err)
	}
	for _, f := range found {
		if (f.Tags["k"] == "v") != (f.SnapshotID == made[0].SnapshotID) {
			t.Errorf("%s has %v", f.SnapshotID, f.Tags)
		}
	}
	if err := client.Tag(t.Context(), "snap-0123456789abcdef0", map[string]string{"k": "v"}); kind(err) != "refused before" {
		t.Errorf("tags for nothing: %v", err)
	}
	if _, err := c.api.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{c.attached[1].VolumeID}, Tags: []types.Tag{{Key: aws.String("Name"), Value: aws.String("data")}}}); err != nil {
		t.Fatal(err)
	}
	own, err := client.VolumeTags(t.Context(), []string{c.attached[0].VolumeID, c.attached[1].VolumeID})
	if err != nil || own[c.attached[1].VolumeID]["Name"] != "data" || len(own) != 2 {
		t.Errorf("own tags %v, %v", own, err)
	}
	p, err := client.Progress(t.Context(), []string{made[0].SnapshotID, made[1].SnapshotID})
	if err != nil || len(p) != 2 || p[0].State == "" {
		t.Errorf("progress %v, %v", p, err)
	}
}

// expiring hands out keys K1, K2, ... which last for one time each.
type expiring struct {
	calls atomic.Int32
	lasts func(n int) time.Time
}

func (e *expiring) Retrieve(context.Context) (aws.Credentials, error) {
	n := int(e.calls.Add(1))
	until := e.lasts(n)
	return aws.Credentials{AccessKeyID: fmt.Sprint("K", n), SecretAccessKey: "s", CanExpire: !until.IsZero(), Expires: until}, nil
}

func TestCredentialsOutlastTheWindow(t *testing.T) {
	now := time.Now()
	in := func(d time.Duration) time.Time { return now.Add(d) }
	for _, tc := range []struct {
		name string
		last []time.Time // of K1, K2, ...; the last one repeats
		key  string      // used inside; "": Warm fails
	}{
		{"long", []time.Time{in(time.Hour)}, "K1"},
		{"for ever", []time.Time{{}}, "K1"},
		{"inside the window", []time.Time{in(30 * time.Second), in(6 * time.Hour)}, "K2"},
		{"inside its margin", []time.Time{in(100 * time.Second), in(6 * time.Hour)}, "K2"},
		{"then for ever", []time.Time{in(30 * time.Second), {}}, "K2"},
		{"and no better ones", []time.Time{in(30 * time.Second)}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, 1)
			f := proxy(t, c.URL())
			p := &expiring{lasts: func(n int) time.Time { return tc.last[min(n, len(tc.last))-1] }}
			cfg := config(t, f.URL)
			cfg.Credentials = aws.NewCredentialsCache(p)
			client := New(cfg, c.instance)
			err := client.Warm(t.Context(), 45*time.Second)
			if tc.key == "" {
				if kind(err) != "out of reach" {
					t.Errorf("Warm says %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			fetched := p.calls.Load()
			if _, err := client.Find(t.Context(), "r-1"); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Create(t.Context(), c.set(1)); err != nil {
				t.Fatal(err)
			}
			if p.calls.Load() != fetched {
				t.Error("credentials were fetched after Warm")
			}
			if _, keys := f.seen(); !cmp.Equal(keys, []string{tc.key, tc.key}) {
				t.Errorf("signed with %v", keys)
			}
		})
	}
}

// The next run does not begin with the credentials of the last one's window.
func TestPinnedCredentialsAreDropped(t *testing.T) {
	c := start(t, 1)
	f := proxy(t, c.URL())
	now := time.Now()
	p := &expiring{lasts: func(int) time.Time { return time.Now().Add(6 * time.Hour) }}
	cfg := config(t, f.URL)
	cache := aws.NewCredentialsCache(p)
	cfg.Credentials = cache
	client := New(cfg, c.instance)
	client.now = func() time.Time { return now }
	if err := client.Warm(t.Context(), 45*time.Second); err != nil {
		t.Fatal(err)
	}
	cache.Invalidate() // what is fetched from now on is K2
	find := func(want string) {
		t.Helper()
		if _, err := client.Find(t.Context(), "r-1"); err != nil {
			t.Fatal(err)
		}
		if _, keys := f.seen(); keys[len(keys)-1] != want {
			t.Errorf("signed with %v, want %s", keys, want)
		}
	}
	find("K1")
	now = now.Add(45*time.Second + beyondWindow - time.Second)
	find("K1")
	now = now.Add(2 * time.Second)
	find("K2")
}

func TestNoCredentials(t *testing.T) {
	cfg := config(t, "http://127.0.0.1:1")
	cfg.Credentials = nil
	if err := New(cfg, "i-1").Warm(t.Context(), time.Second); kind(err) != "out of reach" || !strings.Contains(err.Error(), "no credentials") {
		t.Error(err)
	}
	if err := NewFromAPI(&fake{}, "i-1").Warm(t.Context(), time.Second); err != nil {
		t.Error(err)
	}
}

// The look-up opens the connection that the create call uses. On a machine
// under load Go's transport may give a connection up (it waits 50 ms for its
// own writer), so one good round of three is proof.
func TestOneConnection(t *testing.T) {
	c := start(t, 1)
	for range 3 {
		f := proxy(t, c.URL())
		client := New(buildable(t, f.URL), c.instance)
		if err := client.Warm(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := client.Find(t.Context(), "r-1"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := client.Create(t.Context(), c.set(1)); err != nil {
			t.Fatal(err)
		}
		n, keys := f.seen()
		if len(keys) != 3 {
			t.Fatalf("%d calls", len(keys))
		}
		if n == 1 {
			return
		}
	}
	t.Error("look-up and create call do not share a connection")
}
