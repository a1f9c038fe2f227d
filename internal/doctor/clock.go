package doctor

import (
	"fmt"
	"time"
)

// The bounds of the clock's error. The worker takes what is up to two minutes
// ahead for now; AWS refuses what is signed more than five minutes off (IAM User
// Guide, signing requests), which the SDK corrects, and schedules do not.
const (
	skewWarn = 30 * time.Second
	skewFail = 2 * time.Minute
)

// Skew is how far this host's clock is ahead of AWS's.
type Skew struct {
	// Known is false where no answer of AWS's told the time.
	Known bool
	// Ahead is negative where the clock is behind. By is how far off Ahead may be.
	Ahead, By time.Duration
}

// JudgeSkew judges it.
func JudgeSkew(s Skew) Finding {
	if !s.Known {
		return Unchecked("no answer of AWS's told the time", "see the checks of identity and queue")
	}
	off, way := s.Ahead, "ahead of"
	if off < 0 {
		off, way = -off, "behind"
	}
	const fix = "let chronyd or systemd-timesyncd keep it (Amazon's server is 169.254.169.123): requests are taken for too old or too young otherwise"
	said := fmt.Sprintf("the clock is %s %s AWS's", off.Round(time.Second), way)
	switch {
	case off-s.By > skewFail:
		return Bad(said, fix)
	case off-s.By > skewWarn:
		return Poor(said, fix)
	case off <= s.By:
		return Good(fmt.Sprintf("the clock is AWS's, to %s", s.By.Round(100*time.Millisecond)))
	}
	return Good(said)
}

// JudgeSync judges what the kernel says of who keeps its clock; err is why it
// would not say.
func JudgeSync(synchronized bool, err error) Finding {
	switch {
	case err != nil:
		return Unchecked(err.Error(), "see by chronyc tracking or timedatectl")
	case !synchronized:
		return Poor("the kernel knows of nobody who keeps its clock",
			"start chronyd or systemd-timesyncd; where chronyd runs, give it the line rtcsync, by which it tells the kernel")
	}
	return Good("a daemon keeps the clock")
}
