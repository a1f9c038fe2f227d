package faults

import (
	"time"

	"stillpoint/localstack"
)

// What the one create call comes to.
var (
	nothingMade = is("failed snapshot_ambiguous", none, askedOnce, once)
	foundLate   = is("inconsistent snapshot_ambiguous (crash)", oneBad, askedOnce, once)
)

const whySeen = "the look-up showed the whole set while everything was held"

// createRows are those of the create call itself.
func createRows() []*cell {
	const op = "ec2:CreateSnapshots"
	row := calls{
		row: "CreateSnapshots", operation: op, effect: true, skip: 1, times: 1, short: []string{fails, failsAfter, throttled},
		want: map[string][]string{
			fails: {nothingMade}, hangs: {nothingMade}, reset: {nothingMade},
			denied:    {is("failed snapshot_failed", none, askedOnce, once)},
			throttled: {is(succeeded, oneGood, askedTwice, once)},
			"":        {plain},
		},
		why: map[string]string{
			fails: "never sent a second time after an ambiguous answer", hangs: "never sent a second time after an ambiguous answer",
			reset: "never sent a second time after an ambiguous answer", denied: "a refusal proves that nothing was made",
			throttled:  "proves that nothing ran: everything is let go, and tried again in the same delivery",
			failsAfter: whySeen, resetAfter: whySeen, cut: whySeen, late: "within snapshot_timeout",
		},
	}
	cells := row.cells()
	special := func(fault, want, why string, short bool, f localstack.Fault) *cell {
		f.Operation, f.Skip, f.Times = op, 1, 1
		return &cell{row: row.row, fault: fault, want: []string{want}, why: why, short: short, faults: []localstack.Fault{f}}
	}
	cells = append(cells,
		special("hangs after its effect", plain, whySeen, false, localstack.Fault{Hang: true, After: true}),
		special("sends half an answer and stops", plain, whySeen, false, localstack.Fault{HalfOpen: true}),
		special("is answered after snapshot_timeout", plain, whySeen, false, localstack.Fault{Latency: snapshotTimeout + time.Second, Moment: "first"}),
		special("takes effect after everything was let go", foundLate, "what is found later is never called consistent", true,
			localstack.Fault{Latency: snapshotTimeout + lookup, Moment: "last"}),
		special("names only a part of the set", is("inconsistent snapshot_failed (application)", "a set tagged inconsistent and unverified", askedOnce, once), "a set that is not whole must not be restored as one; what EC2 did not name stays unverified, which counts as inconsistent", false,
			localstack.Fault{Wrong: "missing"}),
		special("names no snapshots", plain, "an answer without snapshots is ambiguous: "+whySeen, false, localstack.Fault{Wrong: "empty"}),
	)
	for _, code := range []string{"PendingSnapshotLimitExceeded", "ConcurrentSnapshotLimitExceeded", "SnapshotCreationPerVolumeRateExceeded"} {
		cells = append(cells, special(code, is(succeeded, oneGood, askedTwice, once), "a limit: nothing is held while it is waited for", false, coded("", code, 400)))
	}
	cells = append(cells, special("SnapshotLimitExceeded", is(succeeded, oneGood, askedTwice, twice), "somebody has to delete snapshots first: comes back", false, coded("", "SnapshotLimitExceeded", 400)))
	lateEffect := special("takes effect when nobody looks any more", "", "", false, localstack.Fault{Latency: snapshotTimeout + 6*lookup, Moment: "last"})
	lateEffect.want = []string{is("failed snapshot_ambiguous then inconsistent snapshot_ambiguous (crash)", oneBad, askedOnce, twice)}
	lateEffect.why = "the redelivery looks again, and makes no new set"
	lateEffect.again = true
	lateEffect.between = func(b *bench) error {
		return b.await(20*time.Second, "the late effect", func() bool {
			c := b.ofWorker(op)
			return len(c) > 0 && c[len(c)-1].Effect && c[len(c)-1].Params["DryRun"] != "true"
		})
	}
	return append(cells, lateEffect)
}
