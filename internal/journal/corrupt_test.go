package journal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// damage is what can happen to a file.
var damage = map[string]func([]byte) []byte{
	"empty":        func([]byte) []byte { return nil },
	"cut in half":  func(b []byte) []byte { return b[:len(b)/2] },
	"one byte cut": func(b []byte) []byte { return b[:len(b)-1] },
	"a bit turned": func(b []byte) []byte {
		c := append([]byte(nil), b...)
		c[len(c)/3] ^= 1
		return c
	},
	"no checksum": func(b []byte) []byte { return b[:strings.IndexByte(string(b), '\n')+1] },
	"zeros":       func(b []byte) []byte { return make([]byte, len(b)) },
}

func spoil(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	ok(t, err)
	ok(t, os.WriteFile(path, f(b), 0o600))
}

func outboxFiles(t *testing.T, j *Journal) []string {
	t.Helper()
	names, err := records(filepath.Join(j.dir, outboxDir))
	ok(t, err)
	return names
}

func TestADamagedFileIsSetAsideAndNothingElseSuffers(t *testing.T) {
	for name, f := range damage {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			j := open(t, dir, Options{})
			for _, id := range []string{"one", "two"} {
				r := result(id, "a-"+id, messages.Succeeded, time.Now())
				ok(t, j.Finish(r, []snapshot.PendingTags{{SnapshotID: "snap-" + id}}))
			}

			spoil(t, j.requestPath("one"), f)
			_, err := j.Load("one")
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), j.requestPath("one")) {
				t.Fatalf("%v", err)
			}
			if _, err := os.Stat(corrupt.SetAside); err != nil || !strings.HasSuffix(corrupt.SetAside, aside) {
				t.Errorf("set aside as %s: %v", corrupt.SetAside, err)
			}
			if e, err := j.Load("one"); err != nil || e.Result != nil {
				t.Errorf("the second time: %+v, %v", e, err)
			}
			if e, err := j.Load("two"); err != nil || e.Result == nil {
				t.Errorf("the other one: %+v, %v", e, err)
			}

			spoil(t, j.path(outboxDir, outboxFiles(t, j)[0]), f)
			waiting, err := j.Outbox()
			if !errors.As(err, &corrupt) || len(waiting) != 1 || waiting[0].RequestID != "two" {
				t.Errorf("outbox %v, %v", waiting, err)
			}
			if waiting, err := j.Outbox(); err != nil || len(waiting) != 1 {
				t.Errorf("the second time: %v, %v", waiting, err)
			}

			spoil(t, j.tagPath("snap-one"), f)
			owed, err := j.Owed()
			if !errors.As(err, &corrupt) || len(owed) != 1 || owed[0].SnapshotID != "snap-two" {
				t.Errorf("owed %v, %v", owed, err)
			}
			spoil(t, j.planPath("nightly"), f)
			if _, err := j.LastSuccess("nightly"); !errors.As(err, &corrupt) {
				t.Errorf("last success: %v", err)
			}
			ok(t, j.Finish(result("three", "a-3", messages.Succeeded, time.Now()), nil))
			if last, err := j.LastSuccess("nightly"); err != nil || last.IsZero() {
				t.Errorf("last success %s, %v", last, err)
			}
		})
	}
}

func TestOpenBearsADamagedOutbox(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir, Options{})
	ok(t, j.Finish(result("one", "a-1", messages.Failed, time.Now()), nil))
	ok(t, j.Finish(result("two", "a-2", messages.Failed, time.Now()), nil))
	spoil(t, j.path(outboxDir, outboxFiles(t, j)[0]), damage["cut in half"])
	ok(t, os.WriteFile(j.path(outboxDir, "odd-name.json"), []byte("{}"), 0o600))
	j = open(t, dir, Options{})
	if waiting, err := j.Outbox(); err != nil || len(waiting) != 1 {
		t.Errorf("outbox %v, %v", waiting, err)
	}
}

// What a request came to outlives damage to its file while its entry waits.
func TestAResultIsTakenFromTheOutboxAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir, Options{})
	ok(t, j.Finish(result("one", "a-1", messages.Succeeded, time.Now()), nil))
	spoil(t, j.requestPath("one"), damage["zeros"])
	j = open(t, dir, Options{})
	if e, err := j.Load("one"); err != nil || e.Result == nil {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestAFileOfALaterVersionIsNotDamaged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir, Options{})
	ok(t, j.Finish(result("one", "a-1", messages.Succeeded, time.Now()), nil))
	spoil(t, j.requestPath("one"), func(b []byte) []byte {
		return []byte(strings.Replace(string(b), `{"format":1,`, `{"format":2,`, 1))
	})
	for range 2 {
		_, err := j.Load("one")
		if err == nil || errors.As(err, new(*CorruptError)) || !strings.Contains(err.Error(), "format 2") {
			t.Fatalf("%v", err)
		}
	}
	if err := j.Finish(result("one", "a-2", messages.Failed, time.Now()), nil); err == nil {
		t.Error("a file that could not be read was replaced")
	}
}

func TestAFileOfALaterMinorVersionIsRead(t *testing.T) {
	data, err := encode(map[string]any{"requestId": "r", "plan": "p", "news": 1})
	ok(t, err)
	var q request
	ok(t, decode(data, &q))
	if q.Plan != "p" {
		t.Errorf("%+v", q)
	}
}

func TestOldEntriesArePruned(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir, Options{})
	for _, id := range []string{"old", "new"} {
		ok(t, j.Finish(result(id, "a-"+id, messages.Succeeded, time.Now()), nil))
	}
	ok(t, j.Published(result("new", "a-new", messages.Succeeded, time.Now()).EventID))
	ok(t, os.WriteFile(j.path(requestsDir, tmpPrefix+"crash"), []byte("x"), 0o600))
	ok(t, os.WriteFile(j.path(requestsDir, tmpPrefix+"busy"), []byte("x"), 0o600))
	past := time.Now().Add(-31 * 24 * time.Hour)
	for _, path := range []string{j.requestPath("old"), j.planPath("nightly"), j.path(requestsDir, tmpPrefix+"crash"), j.path(outboxDir, outboxFiles(t, j)[0])} {
		ok(t, os.Chtimes(path, past, past))
	}
	j = open(t, dir, Options{})
	for path, stays := range map[string]bool{
		j.requestPath("old"): false, j.requestPath("new"): true, j.planPath("nightly"): true,
		j.path(requestsDir, tmpPrefix+"crash"): false, j.path(requestsDir, tmpPrefix+"busy"): true,
	} {
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s: %v", path, err)
		}
	}
	if ids := eventIDs(t, j); len(ids) != 1 {
		t.Errorf("what waits was pruned by its age: %v", ids)
	}
}

// An instance that was stopped for a month comes back: what it owes has not
// been tried since, and nobody else knows what it had begun.
func TestAHostThatWasOffForgetsNothingThatItOwes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	now := time.Now()
	o := Options{Now: func() time.Time { return now }}
	j := open(t, dir, o)
	ok(t, j.Finish(result("done", "a-0", messages.Failed, now), []snapshot.PendingTags{{SnapshotID: "snap-1", Tags: map[string]string{"k": "v"}}}))
	ok(t, j.Record(delivery("begun", "nightly"), "m-1").Intend(ctx, "a-1", []string{"vol-1"}))

	now = now.Add(40 * 24 * time.Hour)
	j = open(t, dir, o)
	if ids := eventIDs(t, j); len(ids) != 1 {
		t.Errorf("the result was dropped before SNS was asked: %v", ids)
	}
	if left, err := j.Owed(); err != nil || len(left) != 1 {
		t.Errorf("the tags were dropped before EC2 was asked: %v, %v", left, err)
	}
	if ids := unfinished(t, j); !slices.Equal(ids, []string{"begun"}) {
		t.Errorf("nobody will ever hear what became of the attempt: %v", ids)
	}
	now = now.Add(36 * time.Hour) // and a day later AWS has had its chance
	if ids := eventIDs(t, j); len(ids) != 0 {
		t.Errorf("kept for ever: %v", ids)
	}
	if ids := unfinished(t, j); !slices.Equal(ids, []string{"begun"}) {
		t.Errorf("%v", ids)
	}
}

func TestTheOutboxIsBoundedAndKeepsFailuresLongest(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "state"), Options{MaxOutboxBytes: 8 << 10})
	for i := range 40 {
		s := messages.Succeeded
		if i < 3 {
			s = messages.Failed
		}
		ok(t, j.Finish(result("r", "a-"+string(rune('A'+i)), s, time.Now()), nil))
	}
	waiting, err := j.Outbox()
	ok(t, err)
	failures, size := 0, int64(0)
	for _, r := range waiting {
		if r.Status == messages.Failed {
			failures++
		}
	}
	for _, name := range outboxFiles(t, j) {
		info, err := os.Stat(j.path(outboxDir, name))
		ok(t, err)
		size += info.Size()
	}
	if failures != 3 || size > 8<<10 || len(waiting) < 5 {
		t.Errorf("%d waiting, %d of them failures, %d bytes", len(waiting), failures, size)
	}
	if last := waiting[len(waiting)-1]; last.AttemptID != "a-"+string(rune('A'+39)) {
		t.Errorf("the newest is %s", last.AttemptID)
	}
}

// Every file of the journal, cut at many lengths and with many of its bytes
// turned: nothing panics, nothing wrong is read, and the other request is there.
func TestNoDamageIsTakenForARecord(t *testing.T) {
	base := filepath.Join(memoryDir(t), "state")
	j := open(t, base, Options{})
	ok(t, j.Record(delivery("open", "nightly"), "m-0").Intend(ctx, "a-0", []string{"vol-1"}))
	for _, id := range []string{"one", "two"} {
		ok(t, j.Finish(result(id, "a-"+id, messages.Failed, time.Now()), []snapshot.PendingTags{{SnapshotID: "snap-" + id}}))
	}
	ok(t, j.Finish(result("three", "a-3", messages.Succeeded, time.Now()), nil))
	ok(t, j.Close())
	for _, path := range []string{j.requestPath("one"), j.requestPath("open"), j.path(outboxDir, outboxFiles(t, j)[0]), j.tagPath("snap-one"), j.planPath("nightly")} {
		whole, err := os.ReadFile(path)
		ok(t, err)
		var spoiled [][]byte
		for n := range whole {
			turned := append([]byte(nil), whole...)
			turned[n] ^= 1 << (n % 8)
			if n%7 == 0 || n > len(whole)-100 { // each costs syncs
				spoiled = append(spoiled, whole[:n], turned)
			}
		}
		for i, data := range spoiled {
			ok(t, os.WriteFile(path, data, 0o600))
			everything(t, j, i)
			aside, err := filepath.Glob(path + ".*")
			ok(t, err)
			var v map[string]any
			err = decode(data, &v)
			if err == nil || len(aside) == 0 && !errors.As(err, new(*formatError)) {
				t.Fatalf("%s, damaged so: %q, was read", path, data)
			}
			for _, a := range aside {
				ok(t, os.Remove(a))
			}
		}
		ok(t, os.WriteFile(path, whole, 0o600))
	}
}

// everything reads all that there is; what is wrong may only be missing.
func everything(t *testing.T, j *Journal, i int) {
	t.Helper()
	j.behind = i%16 == 0 // as a start would
	for _, id := range []string{"one", "open"} {
		if e, err := j.Load(id); err == nil && (e.RequestID != id || e.Result != nil && e.Result.RequestID != id) {
			t.Fatalf("%s is %+v", id, e)
		}
	}
	if e, err := j.Load("two"); err != nil || e.Result == nil || e.Result.AttemptID != "a-two" {
		t.Fatalf("the other request: %+v, %v", e, err)
	}
	found, _ := j.Unfinished()
	for _, e := range found {
		if e.RequestID != "open" && e.RequestID != "one" {
			t.Fatalf("unfinished: %+v", e)
		}
	}
	waiting, _ := j.Outbox()
	for _, r := range waiting {
		if r.RequestID != "one" && r.RequestID != "two" && r.RequestID != "three" {
			t.Fatalf("waiting: %+v", r)
		}
	}
	if len(waiting) < 2 {
		t.Fatalf("%d results wait", len(waiting))
	}
	if owed, _ := j.Owed(); len(owed) < 1 {
		t.Fatal("a debt of another snapshot is gone")
	}
	_, _ = j.LastSuccess("nightly")
}

func TestAResultThatSNSNeverTakesIsDroppedInTheEnd(t *testing.T) {
	now := time.Now()
	log := &strings.Builder{}
	o := Options{Now: func() time.Time { return now }, Log: zerolog.New(log)}
	j := open(t, filepath.Join(t.TempDir(), "state"), o)
	ok(t, j.Finish(result("one", "a-1", messages.Failed, now), nil))
	now = now.Add(13 * 24 * time.Hour)
	ok(t, j.Finish(result("two", "a-2", messages.Failed, now), nil))
	if ids := eventIDs(t, j); len(ids) != 2 {
		t.Fatalf("dropped too early: %v", ids)
	}
	now = now.Add(36 * time.Hour)
	if ids := eventIDs(t, j); len(ids) != 1 {
		t.Fatalf("outbox %v", ids)
	}
	if !strings.Contains(log.String(), `"request_id":"one"`) {
		t.Errorf("nobody hears of it: %s", log)
	}
	if e, err := j.Load("one"); err != nil || e.Result == nil {
		t.Errorf("the request is forgotten with it: %+v, %v", e, err)
	}
}
