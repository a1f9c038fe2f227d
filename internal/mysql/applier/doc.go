// Package applier stops a replica's applier for the time of a snapshot and starts
// it again, whatever happened in between: that it is owed stands in a note in the
// runtime directory, which whoever comes after a SIGKILL settles.
package applier
