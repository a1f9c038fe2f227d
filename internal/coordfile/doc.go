// Package coordfile keeps a file with the database's coordinates on a volume
// while the snapshot of that is taken, so that a restored volume says by itself
// where it stands. The file is made before the window, with room for all that it
// may hold; under the lock it is only written over, through its descriptor; after
// the thaw it is removed again.
package coordfile
