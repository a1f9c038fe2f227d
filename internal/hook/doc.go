// Package hook runs the commands that a plan names for before the freeze and
// after the thaw. They run while writes are blocked, so whatever the command
// does, Run comes back: it has a process group of its own, which is killed at
// the timeout, and nothing that it leaves behind (a child that keeps the
// output open, a process that cannot be killed) is waited for.
//
// A command sees nothing of the request: a short environment of constants,
// the plan's name and its own place in the run; no input; / as its directory.
package hook
