package worker

import "time"

// DefaultVisibility is Timing's.
const DefaultVisibility = 120 * time.Second

// Timing is every delay and bound of the Loop. A zero field means its default.
type Timing struct {
	// ReceiveTimeout bounds one poll of 20 s. Default 30 s.
	ReceiveTimeout time.Duration
	// CallTimeout bounds every other call to SQS. Default 5 s.
	CallTimeout time.Duration
	// Visibility is how long a message is hidden at a time. Default 120 s.
	Visibility time.Duration
	// Heartbeat is how long after the last extension the next one follows. Default 40 s.
	Heartbeat time.Duration
	// HeartbeatRetry is the same after an extension that failed. Default 5 s.
	HeartbeatRetry time.Duration
	// LeaseMargin is how long before SQS's end of it the lease counts as lost. Default 15 s.
	LeaseMargin time.Duration
	// MaxHidden is how long after its receipt SQS lets a message stay hidden,
	// whatever the extensions (Amazon SQS, visibility timeout). Default 12 h.
	MaxHidden time.Duration
	// ReleaseMin is after how long a message that is to be tried again becomes
	// visible for the first time; it doubles with each receipt up to ReleaseMax.
	// Defaults 30 s and 15 min.
	ReleaseMin, ReleaseMax time.Duration
	// ReleaseStopping is the same where the worker was stopped in the midst of
	// it: long enough that it is the next start that gets it. Default 5 s.
	ReleaseStopping time.Duration
	// RetryMin and RetryMax bound the wait after a poll that failed. Defaults 1 s and 60 s.
	RetryMin, RetryMax time.Duration
	// AdmitAgain is how often the tags of a queue that is for another instance
	// are looked at again. Default 1 min.
	AdmitAgain time.Duration
	// DeleteTries is how often the deletion of a message is tried. Default 3.
	DeleteTries int
	// DeleteRetry is the wait after the first failed try; it doubles. Default 500 ms.
	DeleteRetry time.Duration
}

func (t Timing) withDefaults() Timing {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&t.ReceiveTimeout, 30*time.Second)
	def(&t.CallTimeout, 5*time.Second)
	def(&t.Visibility, DefaultVisibility)
	def(&t.Heartbeat, 40*time.Second)
	def(&t.HeartbeatRetry, 5*time.Second)
	def(&t.LeaseMargin, 15*time.Second)
	def(&t.MaxHidden, 12*time.Hour)
	def(&t.ReleaseMin, 30*time.Second)
	def(&t.ReleaseMax, 15*time.Minute)
	def(&t.ReleaseStopping, 5*time.Second)
	def(&t.RetryMin, time.Second)
	def(&t.RetryMax, time.Minute)
	def(&t.AdmitAgain, time.Minute)
	def(&t.DeleteRetry, 500*time.Millisecond)
	if t.DeleteTries == 0 {
		t.DeleteTries = 3
	}
	return t
}
