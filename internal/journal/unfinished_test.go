package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"stillpoint/messages"
	"stillpoint/worker"
)

func unfinished(t *testing.T, j *Journal) []string {
	t.Helper()
	found, err := j.Unfinished()
	ok(t, err)
	var ids []string
	for _, e := range found {
		ids = append(ids, e.RequestID)
	}
	return ids
}

// What settles a request without its message survives a crash.
func TestUnfinishedRequests(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	now := time.Now()
	o := Options{Now: func() time.Time { now = now.Add(time.Second); return now }}
	j := open(t, dir, o)
	d := delivery("cli:1", "weekly")
	d.Source, d.RequestedAt = messages.SourceCLI, now.UTC().Truncate(time.Millisecond)
	d.Request.MaxAge, d.Request.Tags, d.Request.Description = messages.Duration(time.Minute), map[string]string{"a": "b"}, "by hand"
	d.Request.ScheduledTime = d.RequestedAt
	ok(t, j.Record(d, "m-9").Intend(ctx, "a-1", []string{"vol-1"}))
	ok(t, j.Record(delivery("two", "nightly"), "m-2").Intend(ctx, "a-2", nil))
	ok(t, j.Record(delivery("done", "nightly"), "m-3").Intend(ctx, "a-3", nil))
	ok(t, j.Finish(result("done", "a-3", messages.Failed, now), nil))
	ok(t, j.Finish(result("refused", "", messages.Rejected, now), nil))

	j = open(t, dir, o)
	found, err := j.Unfinished()
	ok(t, err)
	if len(found) != 2 || found[0].RequestID != "cli:1" || found[1].RequestID != "two" {
		t.Fatalf("%+v", found)
	}
	e := found[0]
	if diff := cmp.Diff(d, e.Delivery); diff != "" || e.MessageID != "m-9" || e.Plan != "weekly" || len(e.Attempts) != 1 || e.Attempts[0].StartedAt.IsZero() {
		t.Errorf("%+v\n%s", e, diff)
	}
	again, err := j.Load("cli:1")
	ok(t, err)
	if diff := cmp.Diff(e, again); diff != "" {
		t.Error(diff)
	}
	for _, id := range []string{"cli:1", "two"} {
		ok(t, j.Finish(result(id, "a-"+id, messages.Failed, now), nil))
	}
	if ids := unfinished(t, j); len(ids) != 0 {
		t.Errorf("%v", ids)
	}
	// One that is begun later is found, too.
	ok(t, j.Record(delivery("four", "nightly"), "m-4").Intend(ctx, "a-4", nil))
	if ids := unfinished(t, j); !slices.Equal(ids, []string{"four"}) {
		t.Errorf("%v", ids)
	}
}

// A file of the version before this one has no origin.
func TestAFileOfAnEarlierVersion(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir, Options{})
	ok(t, j.Record(delivery("old", "nightly"), "m-1").Intend(ctx, "a-1", []string{"vol-1"}))
	data, err := encode(map[string]any{"requestId": "old", "plan": "nightly", "attempts": []any{
		map[string]any{"id": "a-1", "startedAt": time.Now(), "volumeIds": []string{"vol-1"}, "sent": false, "bootId": "boot-1"},
	}})
	ok(t, err)
	if bytes.Contains(data, []byte("origin")) {
		t.Fatal("it has an origin")
	}
	ok(t, os.WriteFile(j.requestPath("old"), data, 0o600))
	j = open(t, dir, Options{})
	found, err := j.Unfinished()
	ok(t, err)
	if len(found) != 1 || found[0].Plan != "nightly" || !found[0].Delivery.RequestedAt.IsZero() || found[0].Attempts[0].ID != "a-1" {
		t.Fatalf("%+v", found)
	}
}

// When the create call was sent is known after a kill, and not after a crash of the host.
func TestWhenItWasSent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	rec := open(t, dir, Options{}).Record(delivery("r", "nightly"), "m-1")
	ok(t, rec.Intend(ctx, "a-1", []string{"vol-1"}))
	before := time.Now()
	rec.Sending()
	for boot, known := range map[string]bool{"boot-1": true, "boot-2": false} {
		e, err := open(t, dir, Options{BootID: boot}).Load("r")
		ok(t, err)
		at := e.Attempts[0].SentAt
		// The kernel stamps files with the time of its last tick.
		if !e.Attempts[0].Sent || known != !at.IsZero() || known && (at.Before(before.Add(-time.Second)) || time.Since(at) > time.Minute) {
			t.Errorf("%s: %+v", boot, e.Attempts[0])
		}
	}
	ok(t, rec.Settled(ctx, result("r", "a-1", messages.Failed, time.Now())))
	e, err := open(t, dir, Options{BootID: "boot-2"}).Load("r")
	ok(t, err)
	if at := e.Attempts[0].SentAt; at.Before(before.Add(-time.Millisecond)) || time.Since(at) > time.Minute {
		t.Errorf("settled: %s", at)
	}
}

// A month of requests takes its time to read: nobody is to wait for all of it.
func TestTheJournalIsFreeWhileTheRequestsAreRead(t *testing.T) {
	j := open(t, memoryDir(t), Options{})
	ok(t, j.Record(delivery("begun", "nightly"), "m-1").Intend(ctx, "a-1", []string{"vol-1"}))
	const files = 6 // each of them is read for as long as the test wants
	fifo := func(i int) string { return j.path(requestsDir, strconv.Itoa(i)+suffix) }
	for i := range files {
		ok(t, unix.Mkfifo(fifo(i), 0o600))
	}
	feed := func(i int) { ok(t, os.WriteFile(fifo(i), []byte("x"), 0)) } // returns when it is being read

	all, other := make(chan []*worker.Entry), make(chan error)
	go func() {
		found, _ := j.Unfinished()
		all <- found
	}()
	feed(0)
	go func() {
		_, err := j.LastSuccess("nightly")
		other <- err
	}()
	for i := 1; i < files-1; i++ {
		time.Sleep(10 * time.Millisecond) // so that the lock is handed on to who has waited for long
		feed(i)
	}
	select {
	case err := <-other:
		ok(t, err)
	case <-time.After(10 * time.Second):
		t.Error("the journal is locked until all requests are read")
		feed(files - 1)
		<-other
		<-all
		return
	}
	feed(files - 1)
	if found := <-all; len(found) != 1 || found[0].RequestID != "begun" {
		t.Errorf("%+v", found)
	}
}
