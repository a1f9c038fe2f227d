package doctor

import (
	"fmt"
	"strings"
)

// Rights are what this process may do on this host.
type Rights struct {
	UID int
	// Freezes says that a plan freezes something, Locates that one looks where a server's files are.
	Freezes, Locates bool
	// Lacks are the capabilities that the process has not, of those that matter.
	Lacks []string
}

// The capabilities that matter, and what for (capabilities(7)).
const (
	CapFreeze = "CAP_SYS_ADMIN"
	CapTrace  = "CAP_SYS_PTRACE"
	CapRead   = "CAP_DAC_READ_SEARCH"
)

var capabilityFor = map[string]string{
	CapFreeze: "to freeze",
	CapTrace:  "to see which process the server is", CapRead: "to see where its files are",
	"CAP_IPC_LOCK": "to lock the guardian's memory", "CAP_SYS_NICE": "to let the guardian run ahead of others",
	"CAP_SYS_RESOURCE": "to keep the guardian from the OOM killer and from write-back",
}

// Capabilities are their names.
func Capabilities() []string {
	return []string{CapFreeze, CapTrace, CapRead, "CAP_IPC_LOCK", "CAP_SYS_NICE", "CAP_SYS_RESOURCE"}
}

// AsRoot is what to do where a plain user cannot look.
const AsRoot = "run it as root (sudo stillpoint doctor), or as the worker's own user"

// JudgeRights judges them: what a freeze needs and, where a plan has a database,
// what it takes to see where that has its files. What the worker's unit takes
// away or gives is not seen.
func JudgeRights(r Rights) []Finding {
	var freeze, locate, guardian []string
	for _, name := range r.Lacks {
		said := name + " (" + capabilityFor[name] + ")"
		switch name {
		case CapFreeze:
			freeze = append(freeze, said)
		case CapTrace, CapRead:
			locate = append(locate, said)
		default:
			guardian = append(guardian, said)
		}
	}
	const fix = "give it these capabilities: what takes them away is a container, or the unit's CapabilityBoundingSet"
	var found []Finding
	plain := func(lacks []string) Finding {
		return Unchecked(fmt.Sprintf("this is user %d, who lacks %s", r.UID, strings.Join(lacks, ", ")), AsRoot)
	}
	if r.Freezes {
		f := Good(fmt.Sprintf("user %d may freeze (this process may; the worker's unit can take that away)", r.UID))
		switch {
		case len(freeze) > 0 && r.UID != 0:
			f = plain(append(freeze, guardian...))
		case len(freeze) > 0:
			f = Bad("this process lacks "+strings.Join(append(freeze, guardian...), ", "), fix)
		case len(guardian) > 0:
			f = Poor("this process lacks "+strings.Join(guardian, ", "), fix+"; with them the guardian is on time on a busy host too")
		}
		found = append(found, f)
	}
	if r.Locates {
		f := Good(fmt.Sprintf("user %d may see which process a server is, and which files it has", r.UID))
		switch {
		case len(locate) > 0 && r.UID != 0:
			f = plain(locate)
		case len(locate) > 0: // database.location shows whether it matters
			f = Poor("this process lacks "+strings.Join(locate, ", "), fix)
		}
		f.Check = "host.server_rights"
		found = append(found, f)
	}
	return found
}

// JudgeKernel judges the kernel's release, such as "6.1.0-18-cloud-amd64". Where
// locates, a run looks where a server's files are, by openat2(2).
func JudgeKernel(release string, locates bool) Finding {
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n != 2 {
		return Unchecked(fmt.Sprintf("the kernel calls itself %q", release), "see that it is 5.6 or later")
	}
	if major > 5 || major == 5 && minor >= 6 {
		return Good("Linux " + release)
	}
	const fix = "take a kernel of 5.6 or later"
	if locates {
		return Bad("Linux "+release+", on which it cannot be shown that the set holds the server's files", fix+", or set mysql.trust_location if you know that it does")
	}
	return Poor("Linux "+release+", on which the guardian cannot be kept from waiting for write-back", fix)
}

// Needed is something that must go on while a plan's file systems are frozen, and lies on one of them.
type Needed struct {
	// What it is, and where.
	What, Path string
	// Mount is the plan's mount point that it lies on.
	Mount string
	// Grave: the host itself waits for it.
	Grave bool
}

// JudgeNeeded judges what lies on the plan's file systems; looked names all that was looked for.
func JudgeNeeded(found []Needed, looked []string) Finding {
	var words []string
	grave := false
	for _, n := range found {
		words = append(words, fmt.Sprintf("%s (%s) on %s", n.What, n.Path, n.Mount))
		grave = grave || n.Grave
	}
	const fix = "move it to a file system that the plan does not freeze"
	switch all := strings.Join(words, ", "); {
	case grave:
		return Bad("the freeze would stop what this host needs: "+all, fix)
	case len(found) > 0:
		return Poor("the freeze makes others wait: "+all, fix)
	}
	return Good("none of these is on what is frozen: " + strings.Join(looked, ", "))
}
