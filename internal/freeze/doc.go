// Package freeze freezes file systems and makes sure that they thaw.
//
// A frozen file system outlives the process that froze it, so two processes
// look after every freeze. The guardian, a child of the same binary, issues
// every FIFREEZE and FITHAW: it thaws on command, at the deadline, or when the
// worker's end of their socket closes, whichever comes first. The worker keeps
// descriptors of its own and thaws by them when the guardian dies or no longer
// answers. Whichever of the two is killed or stopped, writes flow again.
//
// Between freeze and thaw neither side opens or creates a file, resolves a
// name or logs. The package has no log at all: what is worth saying is
// returned as an error, as a snapshot.Thawed or in a Report.
//
// Requests to freeze `/`, or a file system on which the worker itself depends,
// are refused before anything is held, as *snapshot.RefusedError.
//
// Kernel facts name their source: [V] was verified by experiment on Linux 6.18
// (the tests of this package repeat most of it), [S] was read in fs/super.c or
// a manual page.
package freeze
