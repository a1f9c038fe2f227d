package freeze

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkFreezeThaw freezes and thaws an idle XFS; arming is not timed. The
// metrics are medians in ms: of the guardian's own measure of the freeze, and
// of the two calls as the worker sees them.
func BenchmarkFreezeThaw(b *testing.B) {
	for _, expedite := range []bool{false, true} {
		name := "expedite=off"
		if expedite {
			name = "expedite=on"
		}
		b.Run(name, func(b *testing.B) {
			d := newDisk(b, "xfs", b.TempDir())
			c := Config{Args: []string{"guardian"}, Expedite: expedite}
			var guardian, freeze, thaw []time.Duration
			for b.Loop() {
				b.StopTimer()
				guard, err := New(c).Arm(b.Context(), []string{d.path})
				must(b, err)
				must(b, guard.Settle(b.Context()))
				b.StartTimer()
				from := time.Now()
				must(b, guard.Freeze(b.Context(), from.Add(5*time.Second)))
				frozen := time.Now()
				thawed, err := guard.Thaw(b.Context())
				b.StopTimer()
				freeze, thaw = append(freeze, frozen.Sub(from)), append(thaw, time.Since(frozen))
				guardian = append(guardian, guard.(*Guard).Report().FreezeTook)
				must(b, err)
				if !thawed.Held() {
					b.Fatalf("Thaw = %+v, want it held", thawed)
				}
				must(b, guard.Close())
				b.StartTimer()
			}
			report := func(name string, took []time.Duration) {
				slices.Sort(took)
				b.ReportMetric(took[len(took)/2].Seconds()*1e3, name)
			}
			report("guardian-ms", guardian)
			report("freeze-ms", freeze)
			report("thaw-ms", thaw)
		})
	}
}
