package doctor_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"stillpoint/internal/doctor"
)

// What needs a check that failed is not made and never ok; another plan's checks
// are made all the same.
func TestNeeds(t *testing.T) {
	made := map[string]bool{}
	check := func(name, plan string, found doctor.Finding, needs ...string) doctor.Check {
		return doctor.Check{Name: name, Plan: plan, Needs: needs, Look: func(context.Context) []doctor.Finding {
			made[plan+"/"+name] = true
			return []doctor.Finding{found}
		}}
	}
	good, bad := doctor.Good("well"), doctor.Bad("broken", "mend it")
	found := doctor.Run(t.Context(), []doctor.Check{
		check("aws", "", good),
		check("mounts", "a", bad, "aws"),
		check("freeze", "a", good, "mounts"),
		check("guardian", "a", good, "freeze"),
		check("mounts", "b", good, "aws"),
		check("freeze", "b", good, "mounts"),
	}, nil)
	var lines []string
	for _, f := range found {
		lines = append(lines, f.Plan+"/"+f.Check+" "+string(f.Status))
	}
	want := []string{"/aws ok", "a/mounts FAIL", "a/freeze warn", "a/guardian warn", "b/mounts ok", "b/freeze ok"}
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
	if made["a/freeze"] || made["a/guardian"] || !made["b/freeze"] {
		t.Errorf("made: %v", made)
	}
	if found[3].Checked || !strings.Contains(found[3].Message, "it needs freeze") {
		t.Errorf("%+v", found[3])
	}
}

// A look that finds several things, of which one is ill, does not keep back what
// needs another one of them; where it has no finding of its own name, it does.
func TestNeedsOfSeveral(t *testing.T) {
	named := func(check string, f doctor.Finding) doctor.Finding { f.Check = check; return f }
	look := func(found ...doctor.Finding) func(context.Context) []doctor.Finding {
		return func(context.Context) []doctor.Finding { return found }
	}
	found := doctor.Run(t.Context(), []doctor.Check{
		{Name: "queue", Look: look(doctor.Good("well"), named("queue.redrive", doctor.Bad("none", "make one")))},
		{Name: "tag", Needs: []string{"queue"}, Look: look(doctor.Good("well"))},
		{Name: "letters", Needs: []string{"queue.redrive"}, Look: look(doctor.Good("well"))},
		{Name: "disks", Look: look(named("disks.pending", doctor.Bad("many", "wait")))},
		{Name: "create", Needs: []string{"disks"}, Look: look(doctor.Good("well"))},
	}, nil)
	var checked []string
	for _, f := range found {
		if f.Checked {
			checked = append(checked, f.Check)
		}
	}
	if d := cmp.Diff([]string{"queue", "queue.redrive", "tag", "disks.pending"}, checked); d != "" {
		t.Error(d)
	}
}

// A finding that was not checked is never ok.
func TestNeverOKUnlessChecked(t *testing.T) {
	found := doctor.Run(t.Context(), []doctor.Check{{Name: "x", Look: func(context.Context) []doctor.Finding {
		return []doctor.Finding{{Status: doctor.OK, Message: "surely"}}
	}}}, nil)
	if found[0].Status != doctor.Warn {
		t.Errorf("%+v", found[0])
	}
}

// Who interrupts the doctor is not told that something is broken, nor kept waiting.
func TestInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	found := doctor.Run(ctx, []doctor.Check{
		{Name: "server", Look: func(ctx context.Context) []doctor.Finding {
			interrupt()
			<-ctx.Done()
			return []doctor.Finding{doctor.Bad(ctx.Err().Error(), "start it")}
		}},
		{Name: "next", Look: func(context.Context) []doctor.Finding {
			t.Error("it goes on looking")
			return nil
		}},
	}, nil)
	for _, f := range found {
		if f.Status != doctor.Warn || f.Checked {
			t.Errorf("%+v", f)
		}
	}
	if len(found) != 2 {
		t.Errorf("%d findings", len(found))
	}
}

// Nor is anyone kept waiting by a look that does not hear of it, as on a dead disk.
func TestInterruptedWhileItHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		began, end := time.Now(), make(chan struct{})
		found := doctor.Run(ctx, []doctor.Check{{Name: "disk", Look: func(context.Context) []doctor.Finding {
			interrupt()
			<-end
			return nil
		}}}, nil)
		if waited := time.Since(began); waited > time.Second || len(found) != 1 || found[0].Status != doctor.Warn || found[0].Checked {
			t.Errorf("after %s: %+v", waited, found)
		}
		close(end)
	})
}

// A look that hangs is left behind, and fails.
func TestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		found := doctor.Run(t.Context(), []doctor.Check{
			{Name: "disk", Look: func(context.Context) []doctor.Finding { <-end; return nil }},
			{Name: "next", Look: func(context.Context) []doctor.Finding { return []doctor.Finding{doctor.Good("well")} }},
		}, nil)
		if len(found) != 2 || found[0].Status != doctor.Fail || found[0].Checked || found[1].Status != doctor.OK {
			t.Errorf("%+v", found)
		}
		close(end)
	})
}
