package visit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/cmd/stillpoint/parts"
	"stillpoint/internal/config"
	"stillpoint/internal/doctor"
	"stillpoint/internal/freeze"
	"stillpoint/internal/journal"
	"stillpoint/internal/mysql"
)

// The names of checks that others need.
const (
	checkRights     = "host.rights"
	checkMounts     = "freeze.mounts"
	checkDefaults   = "database.defaults_file"
	checkConnection = "database.connection"
	checkPrivileges = "database.privileges"
	checkLock       = "database.lock"
)

// host are the checks of this host and its directories, whichever the plan.
func (v *visit) host() []doctor.Check {
	return []doctor.Check{
		{Name: checkRights, Look: v.lookAtRights},
		{Name: "host.kernel", Look: v.lookAtKernel},
		{Name: "host.state_dir", Look: v.lookAtStateDir},
		{Name: "host.runtime_dir", Look: v.lookAtRuntimeDir},
		{Name: "host.leftovers", Look: v.lookForLeftovers},
		{Name: "host.run", Look: v.lookForRun},
		{Name: "host.unit", Look: v.lookAtUnit},
		{Name: "host.environment", Look: v.lookAtEnvironment},
	}
}

// planned says whether one of the plans to look at has something.
func (v *visit) planned(has func(*config.Plan) bool) bool {
	for _, name := range v.plans() {
		if has(v.file.Plans[name]) {
			return true
		}
	}
	return false
}

func freezes(p *config.Plan) bool { return len(p.Freeze) > 0 }

func locates(p *config.Plan) bool { return p.MySQL != nil && !p.MySQL.TrustLocation }

// looked is an error of a look as a finding: of what a plain user may not look
// at, that it was not checked.
func looked(err error, fix string) []doctor.Finding {
	if os.Geteuid() != 0 && errors.Is(err, fs.ErrPermission) {
		return []doctor.Finding{doctor.Unchecked(err.Error(), doctor.AsRoot)}
	}
	return []doctor.Finding{doctor.Bad(err.Error(), fix)}
}

// capabilityNumbers are those of linux/capability.h.
var capabilityNumbers = map[string]uint{
	doctor.CapFreeze: unix.CAP_SYS_ADMIN, doctor.CapTrace: unix.CAP_SYS_PTRACE, doctor.CapRead: unix.CAP_DAC_READ_SEARCH,
	"CAP_IPC_LOCK": unix.CAP_IPC_LOCK, "CAP_SYS_NICE": unix.CAP_SYS_NICE, "CAP_SYS_RESOURCE": unix.CAP_SYS_RESOURCE,
}

func (v *visit) lookAtRights(context.Context) []doctor.Finding {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return []doctor.Finding{doctor.Unchecked("cannot read this process's capabilities: "+err.Error(), doctor.AsRoot)}
	}
	r := doctor.Rights{UID: os.Geteuid(), Freezes: v.planned(freezes), Locates: v.planned(locates)}
	for _, name := range doctor.Capabilities() {
		if n := capabilityNumbers[name]; data[n/32].Effective&(1<<(n%32)) == 0 {
			r.Lacks = append(r.Lacks, name)
		}
	}
	return doctor.JudgeRights(r)
}

func (v *visit) lookAtKernel(context.Context) []doctor.Finding {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return []doctor.Finding{doctor.Unchecked("cannot ask the kernel for its release: "+err.Error(), "see that it is 5.6 or later")}
	}
	release, _, _ := bytes.Cut(u.Release[:], []byte{0})
	return []doctor.Finding{doctor.JudgeKernel(string(release), v.planned(locates))}
}

func (v *visit) lookAtStateDir(context.Context) []doctor.Finding {
	s, err := journal.LookAtDir(v.file.StateDir)
	if err != nil {
		return looked(err, "name a directory that can be made under state_dir")
	}
	return doctor.JudgeStateDir(doctor.StateDir{
		Dir: v.file.StateDir, UID: os.Geteuid(), Owner: s.Owner, Exists: s.Exists,
		Problem: text(s.Problem), ReadOnly: text(s.ReadOnly), Unreadable: text(s.Unreadable),
		Free: s.Free, Inodes: s.Inodes, Needs: journal.Reserve, Reserved: s.Reserved,
		Instance: cmp.Or(v.id.InstanceID, v.file.InstanceID), Bound: s.Bound, SetAside: s.SetAside, SetAsideOwner: s.SetAsideOwner,
	})
}

// text is an error's; "" where there is none.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (v *visit) lookAtRuntimeDir(context.Context) []doctor.Finding {
	dir := v.file.RuntimeDir
	r := doctor.Runtime{Dir: dir}
	var err error
	switch r.Exists, err = freeze.CheckRuntimeDir(dir); {
	case err != nil && os.Geteuid() != 0 && errors.Is(err, fs.ErrPermission):
		return looked(err, doctor.AsRoot)
	case err != nil:
		r.Problem = err.Error()
	}
	switch err = freeze.CheckRuntimeRoom(dir); {
	case err != nil && r.Problem == "" && os.Geteuid() != 0 && errors.Is(err, fs.ErrPermission):
		return looked(err, doctor.AsRoot)
	default:
		r.NoRoom = text(err)
	}
	return []doctor.Finding{doctor.JudgeRuntime(r)}
}

// lookForLeftovers looks what dead runs have left behind. It settles nothing.
func (v *visit) lookForLeftovers(context.Context) []doctor.Finding {
	var found []doctor.Finding
	if l, err := freeze.Look(v.file.RuntimeDir); err != nil {
		found = looked(err, "run stillpoint thaw as root, which says more")
	} else {
		found = append(found, doctor.JudgeRecord(doctor.Record{
			Found: l.Found, Unreadable: text(l.Unreadable), Damaged: l.Damaged, Worker: l.Worker, Guardian: l.Guardian,
			EarlierBoot: l.EarlierBoot, Frozen: l.Frozen, Raised: l.Raised, Owed: l.Owed,
		}))
	}
	found[0].Check = "host.freeze_record"
	var applier []doctor.Finding
	if a, err := mysql.LookApplier(v.file.RuntimeDir); err != nil {
		applier = looked(err, "look whether the replica's applier runs, start it, and remove the file")
	} else {
		applier = append(applier, doctor.JudgeApplier(doctor.Applier{Found: a.Found, Living: a.Living, EarlierBoot: a.EarlierBoot, PID: a.PID, Channels: a.Channels}))
	}
	applier[0].Check = "host.applier_note"
	return append(found, applier...)
}

// usualRun is the longest that a run takes beside the wait of its plan's
// start_within: the tries, the look-ups and the waits at limits of EC2's.
const usualRun = time.Hour

// lookForRun says what is being done now, which everything else waits for.
func (v *visit) lookForRun(context.Context) []doctor.Finding {
	holder, held, err := journal.HeldBy(filepath.Join(v.file.RuntimeDir, "run.lock"))
	u := doctor.Underway{Held: held, PID: holder.PID, Since: holder.Since, RequestID: holder.RequestID, Plan: holder.Plan, Usual: usualRun, Err: text(err)}
	for _, p := range v.file.Plans {
		u.Usual = max(u.Usual, usualRun+p.StartWithin)
	}
	return []doctor.Finding{doctor.JudgeUnderway(u, time.Now())}
}

// environmentFile is what the packages' unit reads.
const environmentFile = "/etc/stillpoint/environment"

// lookAtEnvironment says whether this process asks AWS as the worker does.
func (v *visit) lookAtEnvironment(context.Context) []doctor.Finding {
	text, err := os.ReadFile(environmentFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) || v.file.QueueURL == "":
		return nil
	case err != nil:
		return []doctor.Finding{doctor.Unchecked(err.Error(), doctor.AsRoot)}
	}
	return []doctor.Finding{doctor.JudgeEnvironment(environmentFile, string(text), os.Getenv)}
}

// unitName is the worker's unit, as the packages call it.
const unitName = "stillpoint.service"

// lookAtUnit asks systemd, where that is what runs this host, for the worker's unit.
func (v *visit) lookAtUnit(ctx context.Context) []doctor.Finding {
	if _, err := os.Stat("/run/systemd/system"); err != nil || v.file.QueueURL == "" { // sd_booted(3); or no worker is wanted
		return nil
	}
	shown, err := exec.CommandContext(ctx, "systemctl", "show", unitName,
		"--property=LoadState,ActiveState,UnitFileState,ExecStart,TimeoutStopUSec,WatchdogUSec,ExecStopPost,CapabilityBoundingSet").Output()
	if err != nil {
		return []doctor.Finding{doctor.Unchecked(fmt.Sprintf("systemctl show %s: %v", unitName, err), "look at TimeoutStopSec and WatchdogSec of the worker's unit yourself")}
	}
	files, unread := exec.CommandContext(ctx, "systemctl", "cat", unitName).Output()
	u, loaded, err := doctor.ParseUnit(unitName, string(shown), string(files))
	if loaded && !u.Masked && unread != nil {
		err = fmt.Errorf("systemctl cat %s: %w", unitName, unread)
	}
	switch {
	case err != nil:
		return []doctor.Finding{doctor.Unchecked(err.Error(), "look at TimeoutStopSec and WatchdogSec of the worker's unit yourself")}
	case !loaded: // it is run in another way
		return nil
	}
	window, _ := parts.LongestWindow(v.file)
	return []doctor.Finding{doctor.JudgeUnit(u, doctor.UnitFor{
		Stop: parts.StopBudget(v.file), Window: window, Freezes: v.planned(freezes), Locates: v.planned(locates),
		File: v.path, Default: config.DefaultPath,
	})}
}
