package journal

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// The byte that Sending writes is not synced: it must outlive the process all the same.
func TestSendingSurvivesSIGKILL(t *testing.T) {
	if dir := os.Getenv("SENDING_CHILD"); dir != "" { // the worker that is killed
		rec := open(t, dir, Options{}).Record(delivery("r", "nightly"), "m-1")
		ok(t, rec.Intend(ctx, "a-1", []string{"vol-1"}))
		rec.Sending()
		_, _ = os.Stdout.WriteString("sending\n")
		_, _ = os.Stdin.Read(make([]byte, 1))
		return
	}
	dir := filepath.Join(t.TempDir(), "state")
	child := exec.Command(os.Args[0], "-test.run", "^TestSendingSurvivesSIGKILL$")
	child.Env = append(os.Environ(), "SENDING_CHILD="+dir)
	in, err := child.StdinPipe()
	ok(t, err)
	defer in.Close()
	out, err := child.StdoutPipe()
	ok(t, err)
	ok(t, child.Start())
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	ok(t, child.Process.Kill())
	_ = child.Wait()
	e, err := open(t, dir, Options{}).Load("r")
	ok(t, err)
	if len(e.Attempts) != 1 || !e.Attempts[0].Sent {
		t.Fatalf("%+v", e)
	}
}

// A disk that fills up in the midst of Finish: the entry is durable and what
// follows from it is made up for as soon as that can be written.
func TestFinishIsMadeUpForLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir, Options{})
	r := result("r", "a-1", messages.Succeeded, time.Now())
	hidden := filepath.Join(dir, "hidden")
	ok(t, os.Rename(filepath.Join(dir, requestsDir), hidden)) // nothing can be written there
	if err := j.Finish(r, []snapshot.PendingTags{{SnapshotID: "snap-1"}}); err == nil {
		t.Fatal("nobody hears of it")
	}
	if ids := eventIDs(t, j); len(ids) != 1 {
		t.Fatalf("outbox %v", ids)
	}
	if err := j.Published(r.EventID); err == nil {
		t.Error("the only file that knows of the result was removed")
	}
	if _, err := j.Load("r"); err == nil {
		t.Error("a finished request was taken for a new one")
	}
	ok(t, os.Rename(hidden, filepath.Join(dir, requestsDir)))
	e, err := j.Load("r")
	ok(t, err)
	if e.Result == nil || e.Result.EventID != r.EventID {
		t.Fatalf("%+v", e)
	}
	ok(t, j.Published(r.EventID))
	if ids := eventIDs(t, j); len(ids) != 0 {
		t.Errorf("outbox %v", ids)
	}
}

// A `stillpoint snapshot` that is killed in the midst of Finish, beside a
// worker that has the journal open: what the worker then publishes, it knows to
// be finished.
func TestFinishOfAnotherProcessIsMadeUpFor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	worker := open(t, dir, Options{})
	byHand := open(t, dir, Options{})
	r := result("r", "a-1", messages.Succeeded, time.Now())
	ok(t, byHand.Finish(r, nil))
	ok(t, os.Remove(byHand.requestPath("r"))) // killed before it was written
	if ids := eventIDs(t, worker); len(ids) != 1 {
		t.Fatalf("outbox %v", ids)
	}
	ok(t, worker.Published(r.EventID))
	e, err := worker.Load("r")
	ok(t, err)
	if e.Result == nil || e.Result.EventID != r.EventID {
		t.Fatalf("a finished request is forgotten with its outbox entry: %+v", e)
	}
}
