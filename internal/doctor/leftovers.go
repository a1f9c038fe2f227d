package doctor

import (
	"fmt"
	"strings"
)

// Record is the record of a freeze that was found in runtime_dir.
type Record struct {
	Found bool
	// Unreadable says why it cannot be understood; "". Damaged are files of records that were set aside.
	Unreadable string
	Damaged    []string
	// Worker and Guardian are the processes of it that live; 0: dead.
	Worker, Guardian int
	EarlierBoot      bool
	// Frozen are mount points that it says may be frozen; Raised and Owed that rcu_expedited and post_thaw are owed.
	Frozen       []string
	Raised, Owed bool
}

const thawFix = "run stillpoint thaw"

// JudgeRecord judges it.
func JudgeRecord(r Record) Finding {
	switch {
	case len(r.Damaged) > 0:
		return Bad("a damaged record of a freeze is kept in "+strings.Join(r.Damaged, ", ")+": what it names may be frozen",
			"look whether it hangs (fsfreeze --unfreeze MOUNT), and remove the file when all is well")
	case r.Unreadable != "":
		return Bad("the record of a freeze cannot be understood: "+r.Unreadable, thawFix)
	case !r.Found:
		return Good("no run has left anything frozen behind")
	case r.EarlierBoot:
		return Good("there is a record of an earlier boot, whose freeze ended with it; the next run removes it")
	case r.Worker != 0:
		return Good(fmt.Sprintf("a run is under way (process %d)", r.Worker))
	case r.Guardian != 0:
		return Bad(fmt.Sprintf("the guardian (process %d) of a worker that is dead is still there, with %s", r.Guardian, mountsOr(r.Frozen)), thawFix)
	case len(r.Frozen) > 0:
		return Bad("a worker and its guardian died and have left frozen: "+strings.Join(r.Frozen, ", "), thawFix+": writes there wait until then")
	case r.Raised:
		return Bad("a worker and its guardian died and have left rcu_expedited raised", thawFix)
	case r.Owed:
		return Bad("a worker and its guardian died and still owe post_thaw", thawFix)
	}
	return Poor("a worker and its guardian died, with nothing frozen", thawFix+", or leave it to the next run")
}

func mountsOr(list []string) string {
	if len(list) == 0 {
		return "nothing frozen"
	}
	return strings.Join(list, ", ") + " frozen"
}

// Applier is the note that a replica's applier was stopped.
type Applier struct {
	Found, Living, EarlierBoot bool
	PID                        int
	Channels                   []string
}

// JudgeApplier judges it.
func JudgeApplier(a Applier) Finding {
	switch {
	case !a.Found:
		return Good("no run has left a replica's applier stopped")
	case a.EarlierBoot:
		return Good("there is a note of an earlier boot about a replica's applier; the next run removes it")
	case a.Living:
		return Good(fmt.Sprintf("a run (process %d) has stopped a replica's applier, and starts it again", a.PID))
	}
	return Bad(fmt.Sprintf("a run that is dead (process %d) has stopped a replica's applier (channels %q)", a.PID, a.Channels), thawFix+", which starts it again")
}

// Writes is what came of trying a write to one of the plan's mount points.
type Writes struct {
	Mount string
	// OK says that it got on; Err why it could not be tried.
	OK  bool
	Err string
	// By is the living worker that has it frozen by its record; 0: nobody of ours.
	By int
}

// JudgeWrites judges whether one of them is frozen at this moment.
func JudgeWrites(list []Writes) Finding {
	var frozen, held, failed, fine []string
	for _, w := range list {
		switch {
		case w.Err != "":
			failed = append(failed, w.Err)
		case w.OK:
			fine = append(fine, w.Mount)
		case w.By != 0:
			held = append(held, fmt.Sprintf("%s (by the run of process %d)", w.Mount, w.By))
		default:
			frozen = append(frozen, w.Mount)
		}
	}
	switch {
	case len(frozen) > 0:
		return Bad("writes wait on "+strings.Join(frozen, ", ")+", as they do on a file system that is frozen",
			"run stillpoint thaw; where somebody else froze it, fsfreeze --unfreeze MOUNT; else look at the volume")
	case len(failed) > 0:
		return Unchecked(strings.Join(failed, "; "), "mend that first")
	case len(held) > 0:
		return Good("frozen at this moment: " + strings.Join(held, ", "))
	}
	return Good("writes get on: " + strings.Join(fine, ", "))
}

// JudgeGuardian judges a guardian that was started and ended again, with nothing frozen.
// notes are what it could not do that is not fatal.
func JudgeGuardian(mounts, notes []string) Finding {
	if len(notes) > 0 {
		return Poor("one was started and has answered, but: "+strings.Join(notes, "; "),
			"give the worker CAP_IPC_LOCK, CAP_SYS_NICE and CAP_SYS_RESOURCE, for a guardian that is on time on a busy host")
	}
	return Good("one was started for " + strings.Join(mounts, ", ") + ", has answered, and was ended; nothing was frozen")
}
