package timeline

import (
	"bytes"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stillpoint/messages"
)

var update = flag.Bool("update", false, "write the golden files anew")

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// stages are "name", milliseconds, error, one after the other.
func stages(all ...any) (out []messages.Stage) {
	at := begin
	for i := 0; i < len(all); i += 3 {
		ms := all[i+1].(float64)
		out = append(out, messages.Stage{Name: all[i].(string), StartedAt: at, DurationMS: ms, Error: all[i+2].(string)})
		at = at.Add(time.Duration(ms * float64(time.Millisecond)))
	}
	return out
}

var before = []any{"look-up", 80.0, "", "resolve", 120.0, "", "preflight", 300.0, "", "intent", 4.0, "", "settle", 900.0, "", "lease", 20.0, "", "credentials", 0.1, "", "warm-up", 60.0, ""}

func succeeded() *messages.Result {
	return &messages.Result{
		Status: messages.Succeeded, Plan: "nightly", InstanceID: "i-0123456789abcdef0", Region: "eu-west-1", Consistency: messages.ConsistencyApplication,
		Message: "2 snapshots started while the database was locked and every file system frozen; writes were blocked for 213 ms",
		MySQL:   &messages.MySQL{Flavor: "mariadb", Version: "10.11.6", BinlogFile: "bin.000007", BinlogPosition: 4711, GTID: "0-1-42", CoordinatesExact: true},
		Timings: messages.Timings{WritesBlocked: 213, LockTries: 1},
		Stages: stages(append(append([]any{}, before...),
			"lock", 12.0, "", "coordinates", 1.0, "", "freeze", 1.5, "", "snapshot", 190.0, "", "thaw", 5.0, "", "coordinates-after", 1.0, "", "verify", 0.5, "", "unlock", 2.0, "",
			"tag", 240.0, "")...),
		Snapshots: []messages.Snapshot{
			{SnapshotID: "snap-1", VolumeID: "vol-1", Device: "/dev/sdf", Mount: "/var/lib/mysql", SizeGiB: 8, State: "pending"},
			{SnapshotID: "snap-2", VolumeID: "vol-2", SizeGiB: 100, State: "pending"},
		},
	}
}

func results() map[string]*messages.Result {
	retried := succeeded()
	retried.Timings.LockTries = 4
	all := append([]any{}, before...)
	for range 3 {
		all = append(all, "lock", 500.0, "the lock was not granted in time: SELECT SLEEP(?)")
	}
	retried.Stages = stages(append(all, "settle", 10.0, "", "lease", 20.0, "", "credentials", 0.1, "", "warm-up", 60.0, "",
		"lock", 12.0, "", "coordinates", 1.0, "", "freeze", 1.5, "", "snapshot", 190.0, "", "thaw", 5.0, "", "coordinates-after", 1.0, "", "verify", 0.5, "", "unlock", 2.0, "", "tag", 240.0, "")...)

	gaveUp := succeeded()
	gaveUp.Status, gaveUp.Reason, gaveUp.Consistency, gaveUp.Snapshots = messages.Failed, messages.ReasonLockTimeout, messages.ConsistencyNone, nil
	gaveUp.MySQL, gaveUp.Timings = nil, messages.Timings{LockTries: 3}
	gaveUp.Message = "the database lock was not granted in 3 tries of 500ms"
	gaveUp.Stages = stages(all...)

	failed := succeeded()
	failed.Status, failed.Reason, failed.Consistency, failed.Snapshots = messages.Failed, messages.ReasonFreezeFailed, messages.ConsistencyNone, nil
	failed.Message = "cannot freeze: device or resource busy; no snapshots were made"
	failed.Timings.WritesBlocked = 22
	failed.MySQL.CoordinatesExact = false
	failed.Warnings = []string{"the coordinates are not exact"}
	failed.Stages = stages(append(append([]any{}, before...),
		"lock", 12.0, "", "coordinates", 1.0, "", "freeze", 1.5, "cannot freeze /var/lib/mysql: device or resource busy (it is frozen already, and not by this run)", "thaw", 5.0, "", "coordinates-after", 1.0, "", "verify", 0.5, "", "unlock", 1.0, "")...)

	noDB := succeeded()
	noDB.MySQL, noDB.Consistency, noDB.Timings = nil, messages.ConsistencyFilesystem, messages.Timings{WritesBlocked: 196.5}
	noDB.Stages = stages(append(append([]any{}, before...), "freeze", 1.5, "", "snapshot", 190.0, "", "thaw", 5.0, "", "tag", 240.0, "")...)

	const limit = "EC2 refused with RequestLimitExceeded: Request limit exceeded."
	round := func(err string) []any {
		return []any{"settle", 10.0, "", "warm-up", 60.0, "", "lock", 500.0, "the lock was not granted in time", "lock", 12.0, "", "coordinates", 1.0, "", "pre-freeze", 30.0, "",
			"freeze", 1.5, "", "snapshot", 190.0, err, "thaw", 5.0, "", "post-thaw", 20.0, "", "coordinates-after", 1.0, "", "verify", 0.5, "", "unlock", 2.0, ""}
	}
	limited := succeeded()
	limited.Timings.LockTries = 5
	limited.Stages = stages(slices.Concat(before, round(limit), []any{"quota", 2100.0, "", "lock", 12.0, "", "snapshot", 190.0, limit, "quota", 4400.0, "", "intent", 4.0, "", "reopen", 60.0, ""},
		round(""), []any{"tag", 240.0, ""})...)

	skipped := &messages.Result{Status: messages.Skipped, Reason: messages.ReasonStale, Plan: "nightly", InstanceID: "i-0123456789abcdef0", Consistency: messages.ConsistencyNone,
		Message: "the request is 2h0m0s old", Stages: stages("look-up", 80.0, "")}
	return map[string]*messages.Result{"succeeded": succeeded(), "retried": retried, "gave-up": gaveUp, "failed": failed, "no-database": noDB, "skipped": skipped, "limited": limited}
}

func draw(t *testing.T, r *messages.Result, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The head of a dry run does not say that nothing is proved, which is so of a set that there is not.
func TestDryRun(t *testing.T) {
	r := succeeded()
	r.DryRun, r.Consistency = true, messages.ConsistencyNone
	head, _, _ := strings.Cut(draw(t, r, Options{}), "\n")
	if want := "SUCCEEDED  plan nightly  i-0123456789abcdef0  eu-west-1  dry run"; head != want {
		t.Errorf("%q, want %q", head, want)
	}
}

func TestGolden(t *testing.T) {
	for name, r := range results() {
		for _, o := range []struct {
			suffix string
			Options
		}{{".txt", Options{}}, {".color.txt", Options{Width: 100, Color: true}}} {
			path := filepath.Join("testdata", name+o.suffix)
			got := draw(t, r, o.Options)
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("%s: %s", path, d)
			}
		}
	}
}

// bars finds start and length of each stage's bar, in columns.
func bars(picture string) map[string][2]int {
	out := map[string][2]int{}
	for line := range strings.Lines(picture) {
		r := []rune(strings.TrimRight(line, "\n"))
		if len(r) < nameWidth+timeWidth+2 {
			continue
		}
		from, n := -1, 0
		for i := nameWidth + timeWidth + 2; i < len(r); i++ {
			if r[i] == '█' || r[i] == '▏' {
				if from < 0 {
					from = i - nameWidth - timeWidth - 2
				}
				n++
			}
		}
		if from >= 0 {
			out[strings.TrimSpace(string(r[:nameWidth]))] = [2]int{from, n}
		}
	}
	return out
}

// A stage of half the time has half the width, and stands where it ran.
func TestBarsAreToScale(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		parts := rapid.SliceOfN(rapid.Float64Range(1, 1000), 3, 3).Draw(rt, "parts")
		width := rapid.IntRange(60, 200).Draw(rt, "width")
		r := &messages.Result{Stages: stages("lock", parts[0], "", "snapshot", parts[1], "", "unlock", parts[2], "")}
		var b bytes.Buffer
		if err := Write(&b, r, Options{Width: width}); err != nil {
			rt.Fatal(err)
		}
		got := bars(b.String())
		room, total := float64(width-nameWidth-timeWidth-3), parts[0]+parts[1]+parts[2]
		at := 0.0
		for i, name := range []string{"lock", "snapshot", "unlock"} {
			from, n := room*at/total, max(room*parts[i]/total, 1)
			if math.Abs(float64(got[name][0])-from) > 1.01 || math.Abs(float64(got[name][1])-n) > 2.01 {
				rt.Errorf("%s is at %v, want %.1f of length %.1f\n%s", name, got[name], from, n, b.String())
			}
			at += parts[i]
		}
	})
}

// What is drawn keeps to the width; only sentences do not.
func TestWidth(t *testing.T) {
	for name, r := range results() {
		for _, width := range []int{-5, 0, 1, 60, 80, 110, 300} {
			limit := max(width, minWidth)
			if width == 0 {
				limit = defaultWidth
			}
			for line := range strings.Lines(draw(t, r, Options{Width: width})) {
				line = strings.TrimRight(line, "\n")
				drawn := strings.ContainsAny(line, "█▏├") || strings.HasPrefix(line, strings.Repeat(" ", nameWidth))
				if n := utf8.RuneCountInString(line); drawn && n > limit {
					t.Errorf("%s at %d: %d columns: %s", name, width, n, line)
				}
			}
		}
	}
}

// Nothing that a result may hold panics, breaks the lines or steers the terminal.
func TestOddInput(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Just("\x1b[2J\r\n"), rapid.Just(""), rapid.Just("lock"), rapid.Just("unlock"), rapid.Just("thaw"), rapid.Just("freeze"), rapid.Just("\xff\x00"))
		number := rapid.OneOf(rapid.Float64(), rapid.Just(0.0), rapid.Just(math.NaN()), rapid.Just(math.Inf(1)), rapid.Just(math.Inf(-1)), rapid.Just(-5.0))
		stage := rapid.Custom(func(rt *rapid.T) messages.Stage {
			return messages.Stage{Name: text.Draw(rt, "name"), Error: text.Draw(rt, "error"), DurationMS: number.Draw(rt, "duration"),
				StartedAt: time.Unix(rapid.Int64().Draw(rt, "start")/1e3, 0)}
		})
		r := &messages.Result{
			Status: messages.Status(text.Draw(rt, "status")), Reason: messages.Reason(text.Draw(rt, "reason")), Plan: text.Draw(rt, "plan"), Message: text.Draw(rt, "message"),
			Stages: rapid.SliceOfN(stage, 0, 8).Draw(rt, "stages"), Warnings: []string{text.Draw(rt, "warning")},
			Timings:   messages.Timings{WritesBlocked: number.Draw(rt, "blocked")},
			MySQL:     &messages.MySQL{BinlogFile: text.Draw(rt, "binlog"), GTID: text.Draw(rt, "gtid")},
			Snapshots: []messages.Snapshot{{SnapshotID: text.Draw(rt, "snapshot"), Mount: text.Draw(rt, "mount")}},
		}
		var b bytes.Buffer
		if err := Write(&b, r, Options{Width: rapid.IntRange(-10, 300).Draw(rt, "width")}); err != nil {
			rt.Fatal(err)
		}
		for _, c := range b.String() {
			if c != '\n' && unicode.IsControl(c) {
				rt.Fatalf("%q in %q", c, b.String())
			}
		}
		if !utf8.Valid(b.Bytes()) {
			rt.Fatal("no UTF-8")
		}
		rowsDrawn := 0
		for line := range strings.Lines(b.String()) {
			if strings.HasPrefix(line, "warning:") {
				rowsDrawn++
			}
		}
		if rowsDrawn < 1 {
			rt.Fatal("the warning is not on a line of its own")
		}
	})
}

type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestWriterError(t *testing.T) {
	if err := Write(broken{}, succeeded(), Options{}); !errors.Is(err, errBroken) {
		t.Error(err)
	}
}

// Which lock it was, and what was ended for it, is told where it is not a matter of course.
func TestLockIsTold(t *testing.T) {
	r := succeeded()
	told := func() string {
		var b strings.Builder
		if err := Write(&b, r, Options{Width: 200}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	r.MySQL.Lock = "ftwrl"
	if out := told(); strings.Contains(out, "lock: ftwrl") || strings.Contains(out, "ended") {
		t.Error(out)
	}
	r.MySQL.LockReason = "not transactional: shop.my (MyISAM)"
	r.MySQL.Killed = []messages.Statement{{ID: 65, User: "app", AgeSeconds: 61.2, State: "updating", Digest: "UPDATE t SET a = ?"}}
	out := told()
	for _, want := range []string{"lock: ftwrl, since not transactional: shop.my (MyISAM)\n", "ended, as it was in the way: id 65 of app, after 61 s, updating, UPDATE t SET a = ?\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	r.MySQL.Lock, r.MySQL.LockReason = "none", ""
	if out := told(); !strings.Contains(out, "lock: none\n") {
		t.Error(out)
	}
}
