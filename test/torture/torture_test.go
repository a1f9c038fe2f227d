package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"stillpoint/messages"
	"stillpoint/test/rig"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		if err := writerMain(path); err != nil {
			fmt.Fprintln(os.Stderr, "the writer:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// The short form of the kill matrix; `make torture` is the long one.
func TestKills(t *testing.T) {
	if missing := rig.Missing(); len(missing) > 0 {
		t.Skipf("this machine lacks %s", strings.Join(missing, ", "))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	if err := torture(ctx, options{n: 30, perScene: 30, proofs: 1, short: true, out: t.Output()}); err != nil {
		t.Error(err)
	}
}

func TestEveryCellIsDrawn(t *testing.T) {
	all, without := cells("", rand.New(rand.NewPCG(1, 1)))
	have := map[string]bool{}
	for _, c := range all {
		have[c.String()] = true
	}
	for _, v := range []victim{killWorker, killGuardian, killBoth} {
		for _, s := range stages {
			for _, m := range []moment{atBegin, atEnd, within} {
				c := cell{victim: v, stage: s, moment: m}
				if want := !c.needsGuardian() || c.hasGuardian(); have[c.String()] != want {
					t.Errorf("%s is drawn: %v", c, have[c.String()])
				}
			}
		}
	}
	for _, s := range stages {
		for _, v := range []victim{stopWorker, stopGuardian} {
			if s.held && !have[string(v)+"/"+s.name+"/begin"] {
				t.Errorf("%s is never hit in %s", v, s.name)
			}
		}
	}
	if len(without) == 0 {
		t.Error("no cell lacks a guardian")
	}
	for _, c := range []struct {
		only  string
		named bool
	}{{"", true}, {"guardian", true}, {"guardian/lock", true}, {"lock/begin", true}, {"lock", true}, {"guard", false}, {"stop-guardian", false}, {"unlock", false}} {
		one := cell{victim: killGuardian, stage: stages[order("lock")], moment: atBegin}
		if one.named(c.only) != c.named {
			t.Errorf("%q names %s: %v", c.only, one, !c.named)
		}
	}
	few := short(all)
	for _, v := range victims {
		if !slices.ContainsFunc(few, func(c cell) bool { return c.victim == v && c.stage.held }) {
			t.Errorf("the short form never hits %s in the window", v)
		}
	}
	if one, _ := cells("both/freeze", rand.New(rand.NewPCG(1, 1))); len(one) != 2*3 {
		t.Errorf("both/freeze names %d cells", len(one))
	}
}

func TestMeterCountsFromTheKill(t *testing.T) {
	var m meter
	at := time.Now().Add(-10 * time.Second)
	op := func(begun, ended time.Duration) { m.begin(at.Add(begun)); m.end(at.Add(ended)) }
	op(-3*time.Second, -time.Second)
	op(-time.Second, 2*time.Second)
	op(2*time.Second, 2*time.Second+20*time.Millisecond)
	if got := m.stall(at); got != 2*time.Second {
		t.Errorf("the longest wait after the kill: %s", got)
	}
	if got := m.stall(at.Add(2 * time.Second)); got != 20*time.Millisecond {
		t.Errorf("the longest wait later: %s", got)
	}
	if !m.flowed(at.Add(time.Second)) || m.flowed(at.Add(3*time.Second)) {
		t.Error("flowed")
	}
	m.begin(at.Add(4 * time.Second))
	if got := m.stall(at); got < 5*time.Second {
		t.Errorf("a wait that goes on: %s", got)
	}
	m.forget(at)
	if got := m.stall(at.Add(-time.Minute)); got < 5*time.Second {
		t.Errorf("after forget: %s", got)
	}
}

// Each of these is what the matrix must not let pass.
func TestJudgeFindsWhatIsWrong(t *testing.T) {
	snap := func(id string) messages.Snapshot { return messages.Snapshot{SnapshotID: id} }
	result := func(event string, status messages.Status, attempt string, snaps ...string) *messages.Result {
		r := &messages.Result{EventID: event, Status: status, AttemptID: attempt, Consistency: messages.ConsistencyApplication}
		for _, s := range snaps {
			r.Snapshots = append(r.Snapshots, snap(s))
		}
		return r
	}
	set := func(attempt, status string, ids ...string) (out []made) {
		for i, id := range ids {
			out = append(out, made{id: id, volume: fmt.Sprint("vol-", i), attempt: attempt, status: status, consistency: "application"})
		}
		return out
	}
	good := result("e", messages.Succeeded, "A", "s1", "s2")
	for _, c := range []struct {
		name    string
		results []*messages.Result
		sets    []made
		wrong   string // in a fault; "": there must be none
	}{
		{"one set", []*messages.Result{good}, set("A", "succeeded", "s1", "s2"), ""},
		{"one set and another that is tagged", []*messages.Result{good}, append(set("A", "succeeded", "s1", "s2"), set("B", "inconsistent", "s3", "s4")...), ""},
		{"no result", nil, nil, "no result"},
		{"two results", []*messages.Result{good, result("f", messages.Failed, "B")}, set("A", "succeeded", "s1", "s2"), "2 different results"},
		{"two good sets", []*messages.Result{good}, append(set("A", "succeeded", "s1", "s2"), set("B", "succeeded", "s3", "s4")...), "attempt B is tagged succeeded"},
		{"unverified", []*messages.Result{good}, append(set("A", "succeeded", "s1", "s2"), set("B", "unverified", "s3", "s4")...), `tagged "unverified"`},
		{"half a set", []*messages.Result{result("e", messages.Succeeded, "A", "s1")}, set("A", "succeeded", "s1"), "1 snapshots of 1 volumes"},
		{"other ids", []*messages.Result{result("e", messages.Succeeded, "A", "s1", "s9")}, set("A", "succeeded", "s1", "s2"), "EC2 has"},
		{"failed with a set", []*messages.Result{result("e", messages.Failed, "A")}, set("A", "inconsistent", "s1", "s2"), "EC2 has 2 snapshots"},
		{"tags disagree", []*messages.Result{result("e", messages.Inconsistent, "A", "s1", "s2")}, set("A", "succeeded", "s1", "s2"), "the result is inconsistent"},
	} {
		_, faults := judge(c.results, c.sets, 2)
		switch {
		case c.wrong == "" && len(faults) > 0:
			t.Errorf("%s: %v", c.name, faults)
		case c.wrong != "" && !strings.Contains(strings.Join(faults, "\n"), c.wrong):
			t.Errorf("%s: %v, want %q", c.name, faults, c.wrong)
		}
	}
}
