package doctor

import (
	"cmp"
	"fmt"
	"time"
)

// Underway is the run that this host carries out now; there is one at a time.
type Underway struct {
	// Held says that somebody has the run lock; PID is who, 0 where that is not known.
	Held bool
	PID  int
	// Since is when it began; zero: not known.
	Since time.Time
	// RequestID and Plan are what it does; "" where nothing is yet.
	RequestID, Plan string
	// Usual is the longest that a run takes where nothing hangs.
	Usual time.Duration
	// Err is why it cannot be seen; "": it can.
	Err string
}

// JudgeUnderway judges it at a time.
func JudgeUnderway(u Underway, now time.Time) Finding {
	if u.Err != "" {
		return Unchecked("whether a run is under way: "+u.Err, "see that run.lock in runtime_dir is a file of stillpoint's")
	}
	if !u.Held {
		return Good("no run is under way")
	}
	if u.PID == 0 || u.Since.IsZero() { // of another version, or just beginning
		return Good("a run is under way")
	}
	said := fmt.Sprintf("process %d carries out %s of plan %s", u.PID, cmp.Or(u.RequestID, "a request"), cmp.Or(u.Plan, "(not known yet)"))
	age := now.Sub(u.Since).Round(time.Second)
	if age > u.Usual {
		return Poor(fmt.Sprintf("%s for %s, and all others wait for it", said, age),
			fmt.Sprintf("see in its log what it waits for; where it hangs, end it by kill %d, and by kill -9 %d if that takes longer than its windows: nothing stays frozen", u.PID, u.PID))
	}
	return Good(fmt.Sprintf("%s for %s", said, age))
}
