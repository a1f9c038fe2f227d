package freeze

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// drawAccount makes up a record.
func drawAccount(t *rapid.T) *account {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{`{"state": "frozen"}`, `"owed": true`, "a\nb", `\`, `],`, `"uuid": `}))
	a := &account{BootID: "0", Program: text.Draw(t, "program"), Made: isoNow()}
	a.Worker = process{PID: rapid.IntRange(1, 1<<22).Draw(t, "pid"), Start: rapid.Uint64().Draw(t, "start")}
	a.RCU.Path, a.RCU.Lock = text.Draw(t, "path"), text.Draw(t, "lock")
	a.PostThaw.Command = rapid.SliceOf(text).Draw(t, "command")
	a.PostThaw.Timeout = "10s"
	for range rapid.IntRange(1, 90).Draw(t, "file systems") {
		a.entries = append(a.entries, entry{
			Mount: text.Draw(t, "mount"), Level: rapid.IntRange(0, 9).Draw(t, "level"),
			identity: identity{Device: "7:1", Type: "xfs", Source: text.Draw(t, "source"), Superblock: rapid.Uint64().Draw(t, "superblock")},
		})
	}
	return a
}

// TestRecordReadsBack: whatever names stand in it, a record reads back, stays
// JSON under every change in place, and no field lies across two pages.
func TestRecordReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAccount(t)
		r, err := newRecord("", a)
		if err != nil {
			t.Fatal(err)
		}
		defer r.close()
		want := make([]mark, len(a.entries))
		for range rapid.IntRange(0, 40).Draw(t, "changes") {
			i := rapid.IntRange(0, len(a.entries)-1).Draw(t, "which")
			want[i] = mark(rapid.IntRange(0, len(marks)-1).Draw(t, "mark"))
			if errno := r.set(i, want[i]); errno != 0 {
				t.Fatal(errno)
			}
		}
		raised, owed := rapid.Bool().Draw(t, "raised"), rapid.Bool().Draw(t, "owed")
		guardian := process{PID: rapid.IntRange(1, 1<<22).Draw(t, "guardian"), Start: rapid.Uint64().Draw(t, "guardian's start")}
		deadline := rapid.Int64Range(1, 1<<55).Draw(t, "deadline")
		for _, errno := range []unix.Errno{r.setRaised(raised), r.setOwed(owed), r.setGuardian(guardian), r.setDeadline(deadline)} {
			if errno != 0 {
				t.Fatal(errno)
			}
		}
		before := r.spots
		got, err := r.read()
		if err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(before, r.spots) {
			t.Fatalf("spots moved: %s", cmp.Diff(before, r.spots))
		}
		if got.RCU.Raised != raised || got.PostThaw.Owed != owed || got.Guardian != guardian || got.Deadline.Boot != deadline || got.Worker != a.Worker {
			t.Fatalf("it reads back as %+v", got)
		}
		for i := range want {
			if got.entries[i].marked() != want[i] || r.mark(i) != want[i] {
				t.Fatalf("entry %d reads back as %s, want %s", i, got.entries[i].State, want[i])
			}
			if a, b := clean(a.entries[i].Mount), got.entries[i].Mount; a != b {
				t.Fatalf("mount reads back as %q, want %q", b, a)
			}
			if at := r.Marks[i]; at/pageSize != (at+markWidth-1)/pageSize {
				t.Fatalf("mark %d lies across two pages, at %d", i, at)
			}
		}
		for _, at := range []int64{r.Raised, r.Owed, r.GuardianPID, r.GuardianStart, r.DeadlineNanoseconds, r.DeadlineTime} {
			if at <= 0 {
				t.Fatalf("a field has no place: %+v", r.spots)
			}
		}
	})
}

// clean is what JSON makes of a string that is not UTF-8.
func clean(s string) string {
	var out string
	b, _ := json.Marshal(s)
	_ = json.Unmarshal(b, &out)
	return out
}

// TestRecordCutShort: however short, what is left is understood, and never called whole.
func TestRecordCutShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAccount(t)
		text, err := a.text()
		if err != nil {
			t.Fatal(err)
		}
		whole := strings.TrimRight(string(text), "\n")
		cut := whole[:rapid.IntRange(0, len(whole)-1).Draw(t, "length")]
		got, err := parse([]byte(cut))
		if !errors.Is(err, errDamaged) {
			t.Fatalf("parse = %v, want it damaged", err)
		}
		for i, e := range got.entries {
			if e.Mount != clean(a.entries[i].Mount) || e.Source != clean(a.entries[i].Source) {
				t.Fatalf("entry %d is %+v, want %+v", i, e, a.entries[i])
			}
		}
	})
}
