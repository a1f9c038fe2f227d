package snapshot_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

func TestTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.plan.Tags = map[string]string{"who": "plan", "team": "db"}
		b.plan.CopyTags = true
		b.plan.Describe = func(id string) string { return "nightly " + id }
		b.job.Delivery.Request.Tags = map[string]string{"who": "request", "why": "request"}
		b.EBS.Tags = map[string]map[string]string{
			volumes[0]: {"who": "volume", "why": "volume", "Name": "data", "AWS:x": "1", "aws:y": "2", "Stillpoint:z": "3", "stillpoint:status": "succeeded"},
		}
		b.tweak = func(p *snapshot.Pipeline) { p.NewAttemptID = func() string { return "a-1" } }
		b.run(t, t.Context())
		create := map[string]string{
			"stillpoint:request-id": "req-1", "stillpoint:attempt-id": "a-1", "stillpoint:plan": "nightly",
			"stillpoint:instance-id": "i-0123456789abcdef0", "stillpoint:set-size": "2",
			"stillpoint:consistency": "unverified", "stillpoint:status": "unverified",
			"stillpoint:binlog": "bin.000007:4711", "stillpoint:gtid": "0-1-42",
			"who": "plan", "team": "db", "why": "request",
		}
		if d := cmp.Diff(create, b.EBS.Sets[0].Tags); d != "" {
			t.Errorf("in the create call: %s", d)
		}
		if d := b.EBS.Sets[0].Description; d != "nightly req-1" {
			t.Errorf("the description is %q", d)
		}
		maps.Copy(create, map[string]string{
			"stillpoint:consistency": "application", "stillpoint:status": "succeeded", "stillpoint:volume-id": volumes[0],
			"stillpoint:device": "/dev/sdf", "stillpoint:mount": "/var/lib/mysql", "Name": "data",
		})
		if d := cmp.Diff(create, b.EBS.Made[0].Tags); d != "" {
			t.Errorf("after the verdict: %s", d)
		}
	})
}

func TestRequestDescriptionWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.plan.Describe = func(string) string { return "the plan's" }
		b.job.Delivery.Request.Description = "the request's"
		b.run(t, t.Context())
		if d := b.EBS.Sets[0].Description; d != "the request's" {
			t.Errorf("the description is %q", d)
		}
	})
}

func TestGTIDTags(t *testing.T) {
	for _, tc := range []struct{ length, parts int }{{0, 0}, {1, 1}, {256, 1}, {257, 2}, {1023, 4}, {1024, 4}, {1025, -1}} {
		inBubble(t, fmt.Sprint(tc.length), func(t *testing.T) {
			b := newBed()
			var gtid strings.Builder
			for i := range tc.length {
				gtid.WriteByte("0123456789-,:"[i%13])
			}
			b.DB.Position.GTID = gtid.String()
			b.run(t, t.Context())
			tags := b.EBS.Sets[0].Tags
			joined, n := tags["stillpoint:gtid"], 0
			for i := 1; i <= 9; i++ {
				if part, ok := tags[fmt.Sprintf("stillpoint:gtid.%d", i)]; ok {
					joined, n = joined+part, i
				}
			}
			if tags["stillpoint:gtid"] != "" {
				n = 1
			}
			switch {
			case tc.parts < 0:
				if tags["stillpoint:gtid-omitted"] != "true" || joined != "" {
					t.Errorf("tags: %v", tags)
				}
			case joined != b.DB.Position.GTID || n != tc.parts || tags["stillpoint:gtid-omitted"] != "":
				t.Errorf("%d parts of %d characters", n, len(joined))
			}
			for k, v := range tags {
				if len(v) > 256 || len(k) > 128 {
					t.Errorf("%s has %d characters", k, len(v))
				}
			}
		})
	}
}

// EC2 takes 50 tags; ours are never more than 20, and never one too many.
func TestNeverTooManyTags(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := rapid.IntRange(0, 30).Draw(rt, "plan")
		request := rapid.IntRange(0, 30-plan).Draw(rt, "request")
		own := rapid.IntRange(0, 50).Draw(rt, "volume")
		shared := rapid.IntRange(0, 5).Draw(rt, "shared")
		gtid := rapid.IntRange(0, 1200).Draw(rt, "gtid")
		b := newBed()
		b.plan.CopyTags, b.plan.Tags = true, map[string]string{}
		b.job.Delivery.Request.Tags = map[string]string{}
		b.EBS.Tags = map[string]map[string]string{volumes[0]: {}}
		for i := range plan {
			b.plan.Tags[fmt.Sprintf("p%d", i)] = "plan"
		}
		for i := range request {
			b.job.Delivery.Request.Tags[fmt.Sprintf("r%d", i)] = "request"
		}
		for i := range own {
			k := fmt.Sprintf("v%02d", i)
			if i < shared {
				k = fmt.Sprintf("p%d", i)
			}
			b.EBS.Tags[volumes[0]][k] = "volume"
		}
		b.DB.Position.GTID = strings.Repeat("x", gtid)
		out := b.Pipeline(b.plan).Run(context.Background(), b.job)
		if out.Result.Status != messages.Succeeded || len(out.PendingTags) > 0 {
			rt.Fatalf("%s: %v", out.Result.Message, out.Result.Warnings)
		}
		tags := b.EBS.Made[0].Tags
		ours, copied := 0, 0
		for k, v := range tags {
			if strings.HasPrefix(k, "stillpoint:") {
				ours++
			}
			if v == "volume" {
				copied++
			}
			if (k[0] == 'p' && v != "plan" && slices.Contains(slices.Collect(maps.Keys(b.plan.Tags)), k)) || (k[0] == 'r' && v != "request") {
				rt.Errorf("%s is the %s's", k, v)
			}
		}
		if len(tags) > 50 || ours > 20 {
			rt.Errorf("%d tags, %d of them ours", len(tags), ours)
		}
		clash := min(shared, own, plan)
		if want := min(own-clash, 30-plan-request); copied != want {
			rt.Errorf("%d of the volume's tags were copied, want %d", copied, want)
		}
		if left := own - clash - copied; (left > 0) != warned(out.Result, "too many tags") {
			rt.Errorf("%d left out, warnings %v", left, out.Result.Warnings)
		}
	})
}

func TestTooManyUserTags(t *testing.T) {
	for _, n := range []int{30, 31} {
		inBubble(t, fmt.Sprint(n), func(t *testing.T) {
			b := newBed()
			b.plan.Tags = map[string]string{"both": "plan"}
			b.job.Delivery.Request.Tags = map[string]string{"both": "request"}
			for i := range n - 1 {
				b.plan.Tags[fmt.Sprintf("k%d", i)] = ""
			}
			out := b.run(t, t.Context())
			if (out.Result.Status == messages.Succeeded) != (n == 30) || n == 31 && (b.Count("Session.Lock") > 0 || out.Result.Reason != messages.ReasonPreflightFailed) {
				t.Errorf("%s: %s", out.Result.Status, out.Result.Message)
			}
		})
	}
}

// Own tags that could not be read before the lock are read after the thaw;
// an adopted set gets them too.
func TestCopiedTagsAreNotForgotten(t *testing.T) {
	own := map[string]map[string]string{volumes[0]: {"Name": "data"}}
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.plan.CopyTags = true
		b.EBS.VolumeTagsFunc = func(context.Context, []string) (map[string]map[string]string, error) {
			if b.Count("EBS.VolumeTags") == 1 {
				return nil, outOfReach("EC2")
			}
			return own, nil
		}
		out := b.run(t, t.Context())
		if b.EBS.Made[0].Tags["Name"] != "data" || len(out.Result.Warnings) > 0 {
			t.Errorf("tags %v, warnings %v", b.EBS.Made[0].Tags, out.Result.Warnings)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.plan.CopyTags = true
		b.EBS.Tags, b.EBS.Made = own, inEC2("a-1", "snap-1", "snap-2")
		b.job.Prior = []snapshot.Attempt{{ID: "a-1", Sent: true, Settled: settled("a-1", messages.Succeeded, "", messages.ConsistencyApplication, "snap-1", "snap-2")}}
		b.run(t, t.Context())
		if b.EBS.Made[0].Tags["Name"] != "data" {
			t.Errorf("tags %v", b.EBS.Made[0].Tags)
		}
	})
	// Reading them leaves time for the verdict.
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.plan.CopyTags = true
		b.EBS.VolumeTagsFunc = func(ctx context.Context, _ []string) (map[string]map[string]string, error) {
			if _, bounded := ctx.Deadline(); bounded {
				<-ctx.Done()
			}
			return nil, outOfReach("EC2")
		}
		out := b.run(t, t.Context())
		if len(out.PendingTags) > 0 || !warned(out.Result, "not copied") {
			t.Errorf("owed %v, warnings %v", out.PendingTags, out.Result.Warnings)
		}
	})
}

// The verdict tags are tried for ten seconds in all; what is left is owed.
func TestTagsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.EBS.TagFunc = func(ctx context.Context, _ string, _ map[string]string) error { <-ctx.Done(); return outOfReach("EC2") }
		out := b.run(t, t.Context())
		if len(out.PendingTags) != 2 || out.Result.Status != messages.Succeeded || out.Result.Timings.Total != 10_000 {
			t.Errorf("owed %d, total %v ms", len(out.PendingTags), out.Result.Timings.Total)
		}
		if tags := out.PendingTags[1].Tags; tags[snapshot.TagVolumeID] != volumes[1] || tags[snapshot.TagConsistency] != "application" {
			t.Errorf("owed: %v", tags)
		}
	})
}
