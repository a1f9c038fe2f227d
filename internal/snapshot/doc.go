// Package snapshot is the pipeline: what comes to rest, in which order, how it
// is let go again, and the verdict on what was made meanwhile. It knows
// databases, file systems and EC2 only through the small interfaces in
// ports.go; the adapters are elsewhere.
//
// The rules inside the window (from the lock to the unlock) are those of
// ARCHITECTURE.md: the path that owes the thaw does not log, open, resolve,
// fetch or sleep; whatever was acquired is released in reverse by the same
// mechanism on success and on error, on contexts that shutdown cannot cancel.
package snapshot
