package visit

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stillpoint/cmd/stillpoint/parts"
	"stillpoint/internal/config"
	"stillpoint/internal/doctor"
	"stillpoint/internal/freeze"
	"stillpoint/internal/hook"
)

// freezing are the checks of whether the plan's file systems can be frozen, and
// let go, and of its hooks.
func (v *visit) freezing(p *config.Plan) []doctor.Check {
	var checks []doctor.Check
	if len(p.Freeze) > 0 {
		look := func(f func(context.Context, *config.Plan) []doctor.Finding) func(context.Context) []doctor.Finding {
			return func(ctx context.Context) []doctor.Finding { return f(ctx, p) }
		}
		checks = append(checks,
			doctor.Check{Name: checkMounts, Plan: p.Name, Look: look(v.lookAtMounts)},
			doctor.Check{Name: "freeze.needed", Plan: p.Name, Needs: []string{checkMounts}, Look: look(v.lookForNeeded)},
			doctor.Check{Name: "freeze.now", Plan: p.Name, Needs: []string{checkMounts}, Look: look(v.lookForFrozen)},
			doctor.Check{Name: "freeze.guardian", Plan: p.Name, Needs: []string{checkRights, checkMounts}, Look: look(v.lookAtGuardian)},
		)
		if p.ExpediteFreeze {
			checks = append(checks, doctor.Check{Name: "freeze.expedite", Plan: p.Name, Needs: []string{checkRights}, Look: lookAtExpedite})
		}
	}
	for _, h := range parts.Hooks(p) {
		checks = append(checks, doctor.Check{Name: "hooks." + h.Stage, Plan: p.Name, Look: func(context.Context) []doctor.Finding { return lookAtHook(h) }})
	}
	return checks
}

// lookAtMounts asks of each mount point what would be asked before it is frozen.
func (v *visit) lookAtMounts(_ context.Context, p *config.Plan) []doctor.Finding {
	var errs []error
	for _, err := range parts.Freezer(v.file, p, v.id.Agent.Version).Examine(p.Freeze) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return []doctor.Finding{doctor.Good(strings.Join(p.Freeze, ", ") + " can be frozen, and no directory of ours lies there")}
	}
	words := make([]string, len(errs))
	for i, err := range errs {
		words[i] = err.Error()
	}
	return looked(&several{strings.Join(words, "; "), errs}, "correct the plan's freeze list, or the mount")
}

// several are errors on one line.
type several struct {
	text string
	errs []error
}

func (e *several) Error() string   { return e.text }
func (e *several) Unwrap() []error { return e.errs }

// lookForNeeded looks whether something lies on what is frozen that the host needs meanwhile.
func (v *visit) lookForNeeded(_ context.Context, p *config.Plan) []doctor.Finding {
	var found []doctor.Needed
	var looked []string
	for _, n := range needed() {
		mount, err := freeze.On(p.Freeze, n.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return []doctor.Finding{doctor.Unchecked(err.Error(), doctor.AsRoot)}
		case mount != "":
			n.Mount = mount
			found = append(found, n)
		}
		looked = append(looked, n.Path)
	}
	return []doctor.Finding{doctor.JudgeNeeded(found, looked)}
}

// needed is what a host writes to all the time.
func needed() []doctor.Needed {
	list := []doctor.Needed{
		{What: "the service manager's sockets", Path: "/run", Grave: true},
		{What: "the service manager's state", Path: "/var/lib/systemd", Grave: true},
		{What: "the log of the service manager", Path: "/var/log/journal"},
		{What: "logs", Path: "/var/log"},
		{What: "temporary files", Path: os.TempDir()},
	}
	// /proc/swaps (proc(5)): a file, and not a partition, lies on a file system.
	swaps, _ := os.ReadFile("/proc/swaps")
	for line := range strings.Lines(string(swaps)) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == "file" {
			list = append(list, doctor.Needed{What: "swap", Path: f[0], Grave: true})
		}
	}
	// core(5): "|program" is a pipe, and a relative name goes where the process is.
	pattern, _ := os.ReadFile("/proc/sys/kernel/core_pattern")
	if dir := filepath.Dir(strings.TrimSpace(string(pattern))); filepath.IsAbs(dir) && dir != "/" {
		list = append(list, doctor.Needed{What: "core dumps", Path: dir})
	}
	return list
}

// writeWithin is how long a write may take before its file system is called frozen.
const writeWithin = 2 * time.Second

// lookForFrozen tries on each mount point whether a write gets on.
func (v *visit) lookForFrozen(ctx context.Context, p *config.Plan) []doctor.Finding {
	list := make([]doctor.Writes, len(p.Freeze))
	for i, m := range p.Freeze {
		ok, err := freeze.Writes(ctx, m, writeWithin, parts.ProbeCommand)
		list[i] = doctor.Writes{Mount: m, OK: ok, Err: text(err)}
		if ok || err != nil {
			continue
		}
		list[i].By = freeze.FrozenBy(v.file.RuntimeDir, m) // whose own window ends it
	}
	return []doctor.Finding{doctor.JudgeWrites(list)}
}

// lookAtGuardian starts one, and freezes nothing.
func (v *visit) lookAtGuardian(ctx context.Context, p *config.Plan) []doctor.Finding {
	notes, err := parts.Freezer(v.file, p, v.id.Agent.Version).Rehearse(ctx, p.Freeze)
	if err != nil {
		return looked(err, "a run would be refused for the same reason")
	}
	return []doctor.Finding{doctor.JudgeGuardian(p.Freeze, notes)}
}

func lookAtExpedite(context.Context) []doctor.Finding {
	if err := freeze.Expeditable(); err != nil {
		return []doctor.Finding{doctor.Poor(err.Error()+": the freeze takes some 30 ms longer", "let the worker write there (ProtectKernelTunables=no in the unit), or write expedite_freeze: false")}
	}
	return []doctor.Finding{doctor.Good("rcu_expedited can be raised for the freeze")}
}

func lookAtHook(h *hook.Command) []doctor.Finding {
	if err := h.Check(); err != nil {
		return looked(err, "mend the program, or take it out of the plan")
	}
	if err := h.CheckParents(); err != nil {
		if os.Geteuid() != 0 && errors.Is(err, fs.ErrPermission) {
			return looked(err, doctor.AsRoot)
		}
		return []doctor.Finding{doctor.Bad(strings.ReplaceAll(err.Error(), "\n", "; ")+"; whoever may write there decides what runs as root", "put the program where only root may write, such as /usr/local/sbin")}
	}
	return []doctor.Finding{doctor.Good(h.Argv[0] + " is root's, and so is every directory on the way to it")}
}
