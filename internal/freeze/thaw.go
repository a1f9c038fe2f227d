package freeze

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// thawJob is one file system of the record to be thawed by somebody else than
// the guardian.
type thawJob struct{ fd, index, level int }

// finding is what a thaw found.
type finding int

const (
	foundNothing finding = iota // it was not frozen by us, or had been thawed by the one who froze it
	foundFrozen                 // it was this thaw that ended the freeze
	foundForeign                // it had been frozen by us, and someone else had thawed it
	foundStalled                // given up
)

// thaw thaws what the record names as frozen, each on its own goroutine, the
// highest level first, and returns when nothing of ours is frozen. gone closes
// when the one who freezes has no thread left in the kernel. Where quit closes
// first it gives up, but for FITHAWs that do not return.
func (r *record) thaw(jobs []thawJob, gone, quit <-chan struct{}) []finding {
	found := make([]finding, len(jobs))
	top := 0
	for _, j := range jobs {
		top = max(top, j.level)
	}
	var all sync.WaitGroup
	for level := top; level >= 0; level-- {
		done := make(chan struct{})
		var these sync.WaitGroup
		for i, j := range jobs {
			if j.level == level {
				all.Add(1)
				these.Go(func() {
					defer all.Done()
					found[i] = r.thawSurely(j, gone, quit)
				})
			}
		}
		go func() {
			these.Wait()
			close(done)
		}()
		select {
		case <-done:
		case <-time.After(levelStall):
		}
	}
	all.Wait()
	return found
}

// thawSurely returns when one file system is not frozen by us. What the record
// calls intended or failed is somebody else's, if it is frozen at all. That,
// and EINVAL, are believed only when the one who freezes had been gone before:
// until then its FIFREEZE may be about to begin, or be in flight, and freeze
// the file system after our FITHAW has failed [V].
func (r *record) thawSurely(j thawJob, gone, quit <-chan struct{}) finding {
	for {
		isGone := false
		select {
		case <-gone:
			isGone = true
		default:
		}
		m := r.mark(j.index)
		if !m.owed() && m != markUnknown {
			if isGone {
				return foundNothing
			}
			select {
			case <-gone:
			case <-quit:
				return foundStalled
			}
			continue
		}
		switch errno := thawFS(j.fd); {
		case errno == 0:
			_ = r.set(j.index, markThawed)
			return foundFrozen
		case errno == unix.EINVAL && isGone:
			_ = r.set(j.index, markThawed)
			if m == markFrozen {
				return foundForeign
			}
			return foundNothing
		case errno == unix.EINVAL:
			select {
			case <-gone:
			case <-quit:
				return foundStalled
			}
		default:
			select {
			case <-time.After(thawRetry):
			case <-quit:
				return foundStalled
			}
		}
	}
}
