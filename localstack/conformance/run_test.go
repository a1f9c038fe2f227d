package conformance

import (
	"testing"

	"stillpoint/localstack/mototest"
)

// TestLocalstack: localstack does what the table says.
func TestLocalstack(t *testing.T) {
	shared := startLocalstack(t, 0)
	eachRow(t, func(t *testing.T, b behaviour) {
		t.Parallel()
		to := shared
		if b.Needs != 0 {
			to = startLocalstack(t, b.Needs)
		}
		for _, u := range prove(t, to, b) {
			t.Errorf("not met: %s\n     saw: %s\n  AWS does: %s\n  says: %s", u.what, u.saw, b.Says, b.Source[0].url)
		}
	})
}

// TestMoto: moto does what the table says, but for what testdata/moto.json says.
func TestMoto(t *testing.T) {
	listed := readDifferences(t)
	to := newTarget(t, mototest.Start(t), mototest.Account)
	found := newFound()
	t.Run("rows", func(t *testing.T) {
		eachRow(t, func(t *testing.T, b behaviour) {
			if why := b.Needs.notForMoto(); why != "" {
				t.Skip("not for moto: it needs " + why)
			}
			if !b.Needs.has(alone) {
				t.Parallel()
			}
			saw := prove(t, to, b)
			for range 2 { // where time really passes, a busy machine may have spoilt it
				if b.Needs.has(pauses) && !listed.says(b, saw) {
					saw = prove(t, to, b)
				}
			}
			found.add(b, saw)
			if !*update {
				listed.compare(t, b, saw)
			}
		})
	})
	if *update {
		found.print(t, listed)
	}
}

// eachRow runs a test for each row, in a group for each client. A client that is missing is one line.
func eachRow(t *testing.T, run func(t *testing.T, b behaviour)) {
	for _, via := range []client{viaSDK, viaCLI, viaBoto3} {
		t.Run(via.group(), func(t *testing.T) {
			if why := via.missing(); why != "" {
				t.Skip(why)
			}
			for _, b := range table() { // rows that are alone run before those that are parallel begin
				if b.Via == via {
					t.Run(b.ID, func(t *testing.T) { run(t, b) })
				}
			}
		})
	}
}
