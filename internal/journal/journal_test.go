package journal

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

var ctx = context.Background()

var self = messages.Identity{InstanceID: "i-0aaaaaaaaaaaaaaaa", Region: "eu-west-1", Agent: messages.Agent{Name: "stillpoint", Version: "test"}}

func open(t testing.TB, dir string, o Options) *Journal {
	t.Helper()
	if o.BootID == "" {
		o.BootID = "boot-1"
	}
	j, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func delivery(id, plan string) messages.Delivery {
	return messages.Delivery{Request: messages.Request{RequestID: id, Plan: plan}, Source: messages.SourceSQS, RequestedAt: time.Now().UTC()}
}

func result(id, attemptID string, s messages.Status, at time.Time) *messages.Result {
	d := messages.Delivery{Request: messages.Request{RequestID: id, Plan: "nightly"}, Source: messages.SourceSQS, RequestedAt: at}
	r := self.Result(d, at)
	r.Status, r.AttemptID, r.Message = s, attemptID, "as the test says"
	r.Seal("m-1", at.Add(time.Second))
	return r
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventIDs(t testing.TB, j *Journal) []string {
	t.Helper()
	waiting, err := j.Outbox()
	ok(t, err)
	var ids []string
	for _, r := range waiting {
		ids = append(ids, r.EventID)
	}
	return ids
}

// A worker is killed after each step of a request, and started anew.
func TestEveryStepSurvivesACrash(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	const id = "sqs:7f1e"
	at := time.Now().UTC().Truncate(time.Millisecond)
	settled := result(id, "a-1", messages.Inconsistent, at)
	final := result(id, "a-1", messages.Succeeded, at)
	final.Snapshots = []messages.Snapshot{{SnapshotID: "snap-1", VolumeID: "vol-1", StartTime: at}}
	owed := []snapshot.PendingTags{{SnapshotID: "snap-1", Tags: map[string]string{"stillpoint:status": "succeeded"}}}

	j := open(t, dir, Options{})
	e, err := j.Load(id)
	ok(t, err)
	if e.RequestID != id || e.Plan != "" || e.Attempts != nil || e.Result != nil {
		t.Fatalf("an unknown id: %+v", e)
	}
	rec := j.Record(delivery(id, "nightly"), "m-1")

	ok(t, rec.Intend(ctx, "a-1", nil))
	e, err = open(t, dir, Options{}).Load(id)
	ok(t, err)
	if len(e.Attempts) != 1 || e.Attempts[0].Sent || e.Plan != "nightly" {
		t.Fatalf("after the first intent: %+v", e)
	}

	ok(t, rec.Intend(ctx, "a-1", []string{"vol-1", "vol-2"}))
	e, err = open(t, dir, Options{}).Load(id)
	ok(t, err)
	if len(e.Attempts) != 1 || e.Attempts[0].Sent || len(e.Attempts[0].VolumeIDs) != 2 {
		t.Fatalf("after the second intent: %+v", e)
	}

	rec.Sending()
	e, err = open(t, dir, Options{}).Load(id)
	ok(t, err)
	if !e.Attempts[0].Sent || e.Attempts[0].Settled != nil {
		t.Fatalf("after sending: %+v", e)
	}

	ok(t, rec.Settled(ctx, settled))
	e, err = open(t, dir, Options{}).Load(id)
	ok(t, err)
	if diff := cmp.Diff(settled, e.Attempts[0].Settled); diff != "" || !e.Attempts[0].Sent || e.Result != nil {
		t.Fatalf("after settling: %+v\n%s", e, diff)
	}

	ok(t, j.Finish(final, owed))
	again := open(t, dir, Options{})
	e, err = again.Load(id)
	ok(t, err)
	if diff := cmp.Diff(final, e.Result); diff != "" || !e.Attempts[0].Sent {
		t.Fatalf("after finishing: %+v\n%s", e, diff)
	}
	if ids := eventIDs(t, again); len(ids) != 1 || ids[0] != final.EventID {
		t.Fatalf("outbox %v", ids)
	}
	last, err := again.LastSuccess("nightly")
	ok(t, err)
	if !last.Equal(final.FinishedAt) {
		t.Errorf("last success %s", last)
	}
	debts, err := again.Owed()
	ok(t, err)
	if diff := cmp.Diff(owed, debts); diff != "" {
		t.Error(diff)
	}

	ok(t, again.Published(final.EventID))
	ok(t, again.TagsWritten("snap-1"))
	j = open(t, dir, Options{})
	debts, err = j.Owed()
	ok(t, err)
	if ids := eventIDs(t, j); len(ids) != 0 || len(debts) != 0 {
		t.Fatalf("outbox %v, owed %v", ids, debts)
	}
	if e, err = j.Load(id); err != nil || e.Result == nil {
		t.Fatalf("the request is forgotten: %+v, %v", e, err)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, sentDir)); len(left) != 0 {
		t.Errorf("%d files of sent attempts are left", len(left))
	}
}

// The write of the outbox entry is the only one that counts: what follows from
// it may be missing after a crash.
func TestOpenCarriesOverWhatACrashLeftOut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir, Options{})
	rec := j.Record(delivery("r", "nightly"), "m-1")
	ok(t, rec.Intend(ctx, "a-1", []string{"vol-1"}))
	rec.Sending()
	before, err := os.ReadFile(j.requestPath("r"))
	ok(t, err)
	r := result("r", "a-1", messages.Succeeded, time.Now())
	ok(t, j.Finish(r, []snapshot.PendingTags{{SnapshotID: "snap-1", Tags: map[string]string{"k": "v"}}}))
	// As after a crash right behind the entry.
	ok(t, os.WriteFile(j.requestPath("r"), before, 0o600))
	ok(t, os.Remove(j.planPath("nightly")))
	ok(t, os.Remove(j.tagPath("snap-1")))

	j = open(t, dir, Options{})
	e, err := j.Load("r")
	ok(t, err)
	if e.Result == nil || e.Result.EventID != r.EventID {
		t.Fatalf("the request is not finished: %+v", e)
	}
	if last, err := j.LastSuccess("nightly"); err != nil || last.IsZero() {
		t.Errorf("last success %s, %v", last, err)
	}
	if owed, err := j.Owed(); err != nil || len(owed) != 1 {
		t.Errorf("owed %v, %v", owed, err)
	}
}

// An old entry that SNS has not taken yet does not bring an old result back.
func TestAnOlderEntryDoesNotReplaceANewerResult(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir, Options{})
	old := result("r", "a-1", messages.Failed, time.Now())
	ok(t, j.Finish(old, nil))
	found := result("r", "a-1", messages.Inconsistent, time.Now())
	ok(t, j.Finish(found, nil))
	ok(t, j.Published(found.EventID))
	j = open(t, dir, Options{})
	if e, err := j.Load("r"); err != nil || e.Result.Status != messages.Inconsistent {
		t.Fatalf("%+v, %v", e, err)
	}
	if ids := eventIDs(t, j); len(ids) != 1 || ids[0] != old.EventID {
		t.Errorf("outbox %v", ids)
	}
}

func TestWhatDoesNotUseUpAnID(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "state"), Options{})
	at := time.Now()
	dry := result("r", "", messages.Succeeded, at)
	dry.DryRun = true
	dry.Seal("m-dry", at)
	for _, r := range []*messages.Result{dry, result("r", "", messages.Rejected, at), result("r", "", messages.Skipped, at)} {
		ok(t, j.Finish(r, nil))
		ok(t, j.Finish(r, nil)) // delivered again: the same event waits once
	}
	noID := result("", "", messages.Rejected, at)
	ok(t, j.Finish(noID, nil))
	e, err := j.Load("r")
	ok(t, err)
	if e.Result != nil || e.Plan != "" {
		t.Errorf("the id is used up: %+v", e)
	}
	if last, err := j.LastSuccess("nightly"); err != nil || !last.IsZero() {
		t.Errorf("a dry run counts as a success: %s, %v", last, err)
	}
	if ids := eventIDs(t, j); len(ids) != 4 {
		t.Errorf("outbox %v", ids)
	}
}

func TestASuccessAheadOfTheClockDoesNotStand(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "state"), Options{})
	now := time.Now().UTC().Truncate(time.Second)
	for i, step := range []struct{ at, want time.Time }{
		{now.Add(24 * time.Hour), now.Add(24 * time.Hour)}, {now.Add(-time.Hour), now.Add(-time.Hour)}, {now.Add(-2 * time.Hour), now.Add(-time.Hour)},
	} {
		r := result("r"+string(rune('0'+i)), "a", messages.Succeeded, step.at)
		r.FinishedAt = step.at
		ok(t, j.Finish(r, nil))
		if got, err := j.LastSuccess("nightly"); err != nil || !got.Equal(step.want) {
			t.Errorf("after %s: %s, %v", step.at, got, err)
		}
	}
}

func TestRequeueWaitsOnce(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "state"), Options{})
	r := result("r", "a-1", messages.Succeeded, time.Now())
	ok(t, j.Finish(r, nil))
	younger := result("r2", "a-2", messages.Succeeded, time.Now())
	ok(t, j.Finish(younger, nil))
	ok(t, j.Requeue(r))
	if ids := eventIDs(t, j); len(ids) != 2 || ids[0] != r.EventID {
		t.Fatalf("outbox %v: it lost its place", ids)
	}
	ok(t, j.Published(younger.EventID))
	ok(t, j.Published(r.EventID))
	ok(t, j.Published(r.EventID))
	ok(t, j.Requeue(r))
	if ids := eventIDs(t, j); len(ids) != 1 {
		t.Fatalf("outbox %v", ids)
	}
}

func TestSentIsBelievedWithinOneRunOfTheKernelOnly(t *testing.T) {
	for _, tc := range []struct {
		name    string
		volumes []string
		boot    string
		lost    bool
		want    bool
	}{
		{"killed before sending", []string{"vol-1"}, "boot-1", false, false},
		{"power lost in preflight", nil, "boot-2", false, false},
		{"power lost when it may have been sent", []string{"vol-1"}, "boot-2", false, true},
		{"the file is gone", []string{"vol-1"}, "boot-1", true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			j := open(t, dir, Options{})
			ok(t, j.Record(delivery("r", "nightly"), "m-1").Intend(ctx, "a-1", tc.volumes))
			if tc.lost {
				ok(t, os.Remove(j.sentPath("r", "a-1")))
			}
			e, err := open(t, dir, Options{BootID: tc.boot}).Load("r")
			ok(t, err)
			if e.Attempts[0].Sent != tc.want {
				t.Errorf("sent: %v", e.Attempts[0].Sent)
			}
		})
	}
}

func TestSettledKnowsWhetherItWasSent(t *testing.T) {
	for _, sent := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "state")
		j := open(t, dir, Options{})
		rec := j.Record(delivery("r", "nightly"), "m-1")
		ok(t, rec.Intend(ctx, "a-1", []string{"vol-1"}))
		if sent {
			rec.Sending()
		}
		ok(t, rec.Settled(ctx, result("r", "a-1", messages.Failed, time.Now())))
		// The byte is not asked any more, whatever becomes of it.
		e, err := open(t, dir, Options{BootID: "boot-2"}).Load("r")
		ok(t, err)
		if e.Attempts[0].Sent != sent {
			t.Errorf("sent %v is read as %v", sent, e.Attempts[0].Sent)
		}
	}
}

func TestSendingAllocatesNothing(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "state"), Options{})
	rec := j.Record(delivery("r", "nightly"), "m-1")
	ok(t, rec.Intend(ctx, "a-1", []string{"vol-1"}))
	j.mu.Lock() // nor does it wait for the journal
	defer j.mu.Unlock()
	if n := testing.AllocsPerRun(10, rec.Sending); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSendingWithoutAnIntentIsReported(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "state"), Options{})
	ok(t, j.Record(delivery("r", "nightly"), "m-1").Intend(ctx, "a-1", nil))
	rec := j.Record(delivery("r", "nightly"), "m-1")
	rec.Sending()
	if err := rec.Settled(ctx, result("r", "a-1", messages.Failed, time.Now())); err == nil {
		t.Error("nobody hears of it")
	}
	if err := rec.Settled(ctx, result("r", "a-9", messages.Failed, time.Now())); err == nil {
		t.Error("an unknown attempt was settled")
	}
}

func TestInvalidUTF8DoesNotLoseAResult(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	r := result("r", "a-1", messages.Failed, time.Now())
	r.Message = "the server said \xff\xfe"
	ok(t, open(t, dir, Options{}).Finish(r, nil))
	if ids := eventIDs(t, open(t, dir, Options{})); len(ids) != 1 {
		t.Errorf("outbox %v", ids)
	}
}

func TestFileNamesHoldNothingOfTheRequest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir, Options{})
	const id = "../../etc/evil"
	ok(t, j.Record(delivery(id, "../plan"), "m-1").Intend(ctx, "../attempt", []string{"vol"}))
	r := result(id, "../attempt", messages.Succeeded, time.Now())
	ok(t, j.Finish(r, []snapshot.PendingTags{{SnapshotID: "../snap"}}))
	ok(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if strings.ContainsAny(d.Name(), "/ ") || strings.Contains(d.Name(), "..") || strings.Contains(d.Name(), "evil") {
			t.Errorf("file name %q", d.Name())
		}
		if info, err := d.Info(); err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s lets others in: %s", path, info.Mode())
		}
		return err
	}))
	r.EventID = "../../evil"
	if err := j.Finish(r, nil); err == nil {
		t.Error("an event id that is none became a file name")
	}
}

func TestOpenRefusesADirectoryOfOthers(t *testing.T) {
	base := t.TempDir()
	loose := filepath.Join(base, "loose")
	ok(t, os.Mkdir(loose, 0o750))
	file := filepath.Join(base, "file")
	ok(t, os.WriteFile(file, nil, 0o600))
	link := filepath.Join(base, "link")
	ok(t, os.Mkdir(filepath.Join(base, "good"), 0o700))
	ok(t, os.Symlink(filepath.Join(base, "good"), link))
	inner := filepath.Join(base, "inner")
	ok(t, os.MkdirAll(filepath.Join(inner, outboxDir), 0o700))
	ok(t, os.Chmod(filepath.Join(inner, outboxDir), 0o777))
	dirs := []string{loose, link, inner}
	if os.Geteuid() == 0 {
		foreign := filepath.Join(base, "foreign")
		ok(t, os.Mkdir(foreign, 0o700))
		ok(t, os.Chown(foreign, 12345, 12345))
		dirs = append(dirs, foreign)
	}
	for _, dir := range dirs {
		_, err := Open(dir, Options{})
		var bad *DirError
		if !errors.As(err, &bad) || bad.Fix == "" || !strings.Contains(err.Error(), bad.Dir) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if _, err := Open(file, Options{}); err == nil {
		t.Error("a file was taken for a directory")
	}
}
