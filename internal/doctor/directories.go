package doctor

import (
	"fmt"
)

// StateDir is the directory of the journal, as it was seen.
type StateDir struct {
	Dir string
	// UID is who looks, Owner whom the directory belongs to, or its nearest parent where it is not there.
	UID, Owner int
	Exists     bool
	// Problem is why it would be refused, ReadOnly why nothing can be written there,
	// Unreadable what in it cannot be understood; "" where nothing speaks against it.
	Problem, ReadOnly, Unreadable string
	// Free bytes and Inodes (-1: not counted) are left; Needs bytes must be, unless they are Reserved already.
	Free, Inodes, Needs int64
	Reserved            bool
	// Instance is this one, Bound the one that the directory is bound to; "": not known, or none.
	Instance, Bound string
	// SetAside is where another instance's state lies that nobody has claimed, SetAsideOwner whose it is.
	SetAside, SetAsideOwner string
}

// What is left should be more than what a run needs: results that SNS does not take are kept as well.
const (
	roomForOutbox = 64 << 20
	fewInodes     = 1000
	tooFewInodes  = 16
)

// JudgeStateDir judges the directory itself, its room, and whose it is.
func JudgeStateDir(s StateDir) []Finding {
	if s.Exists && s.UID != 0 && s.Owner != s.UID {
		return []Finding{Unchecked(fmt.Sprintf("%s belongs to user %d, and this is user %d", s.Dir, s.Owner, s.UID), AsRoot)}
	}
	dir := Good(s.Dir + " is this user's alone, and can be written to")
	switch {
	case s.Problem != "":
		dir = Bad(s.Problem, "mend the directory, or name another under state_dir")
	case s.ReadOnly != "" && s.UID != 0:
		return []Finding{Unchecked(fmt.Sprintf("%s cannot be written to by user %d: %s", s.Dir, s.UID, s.ReadOnly), AsRoot)}
	case s.ReadOnly != "":
		dir = Bad(fmt.Sprintf("%s cannot be written to: %s", s.Dir, s.ReadOnly), "remount it read-write, and look at the kernel's log for why it is not")
	case !s.Exists:
		dir = Good(s.Dir + " is not there yet and can be made")
	}
	found := []Finding{dir, stateRoom(s)}
	found[1].Check = "host.state_room"
	if f, ok := stateOwner(s); ok {
		f.Check = "host.state_owner"
		found = append(found, f)
	}
	return found
}

func stateRoom(s StateDir) Finding {
	const fix = "make room there, or move state_dir: requests fail, with nothing held, until there is"
	left := fmt.Sprintf("%d MiB free under %s", s.Free>>20, s.Dir)
	if s.Inodes >= 0 {
		left += fmt.Sprintf(", %d inodes", s.Inodes)
	}
	switch {
	case s.Free < s.Needs && !s.Reserved, s.Inodes >= 0 && s.Inodes < tooFewInodes:
		return Bad(fmt.Sprintf("%s, and a run keeps %d KiB for its result", left, s.Needs>>10), fix)
	case s.Free < roomForOutbox, s.Inodes >= 0 && s.Inodes < fewInodes:
		return Poor(fmt.Sprintf("%s: results that SNS does not take are kept there, up to %d MiB", left, roomForOutbox>>20), fix)
	}
	return Good(left)
}

func stateOwner(s StateDir) (f Finding, ok bool) {
	const claim = "correct instance_id, if that is wrong; on a clone run stillpoint claim, which sets aside what is in it"
	switch {
	case s.Unreadable != "":
		return Bad(s.Unreadable, "run stillpoint claim, if this instance is to answer its queue: what cannot be understood is set aside"), true
	case s.SetAside != "":
		return Bad(fmt.Sprintf("what is in %s came from instance %s: it is set aside in %s, and no request is taken", s.Dir, orUnknown(s.SetAsideOwner), s.SetAside),
			"if this instance is to answer its queue, run stillpoint claim on it"), true
	case s.Bound == "":
		return Finding{}, false // the first start binds it
	case s.Instance == "":
		return Unchecked(fmt.Sprintf("%s is bound to %s, and it is not known which instance this is", s.Dir, s.Bound), "mend what tells that first"), true
	case s.Bound != s.Instance:
		return Bad(fmt.Sprintf("%s belongs to instance %s and this is %s: no request is taken", s.Dir, s.Bound, s.Instance), claim), true
	}
	return Good(fmt.Sprintf("%s is bound to %s, which this is", s.Dir, s.Bound)), true
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// Runtime is runtime_dir, as it was seen.
type Runtime struct {
	Dir string
	// Exists is false where it is still to be made.
	Exists bool
	// Problem is why it would be refused, NoRoom why nothing could be written there; "".
	Problem, NoRoom string
}

// JudgeRuntime judges whose it is. What it lies on is JudgeRuntimeDir's.
func JudgeRuntime(r Runtime) Finding {
	switch {
	case r.Problem != "":
		return Bad(r.Problem, "mend the directory: what a record in it says is done as root")
	case r.NoRoom != "":
		return Bad(r.NoRoom, "make room there, or mount it read-write: without its locks and its record neither the worker nor a run starts")
	case !r.Exists:
		return Good(r.Dir + " is not there yet: the first run makes it")
	}
	return Good(r.Dir + " is root's, or this user's, and nobody else may write to it")
}
