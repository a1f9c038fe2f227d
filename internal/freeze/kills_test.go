package freeze

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestRandomKills kills worker and guardian, in either order or together, at
// random moments around freeze and thaw. At no time is anything frozen by us
// that the record does not name, and Settle always ends it. STILLPOINT_KILLS is
// how many rounds, 30 by default.
func TestRandomKills(t *testing.T) {
	rounds := 30
	if n, err := strconv.Atoi(os.Getenv("STILLPOINT_KILLS")); err == nil {
		rounds = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	temp := t.TempDir()
	disks := []*disk{newDisk(t, "xfs", temp), newDisk(t, "ext4", temp)}
	count := map[string]int{}
	for range rounds {
		dir := t.TempDir()
		c := startCrew(t, dir, 20*time.Second, "", disks...)
		c.goOn(t)
		switch dice.IntN(4) {
		case 0: // around the thaw
			c.expect(t, "frozen")
			c.goOn(t)
			wait(dice, 3*time.Millisecond)
		case 1: // around the close
			c.expect(t, "frozen")
			c.goOn(t)
			c.goOn(t)
			wait(dice, 20*time.Millisecond)
		default: // around the freeze
			wait(dice, 80*time.Millisecond)
		}
		victims := []int{c.Process.Pid, c.guardian}
		if dice.IntN(2) == 0 {
			victims[0], victims[1] = victims[1], victims[0]
		}
		if dice.IntN(2) == 0 {
			c.killBoth(t)
		} else {
			_ = unix.Kill(victims[0], unix.SIGKILL)
			wait(dice, 4*time.Millisecond)
			_ = unix.Kill(victims[1], unix.SIGKILL)
			_ = c.Wait()
		}
		count[afterKill(t, dir, disks)]++
		if _, err := Settle(bounded(t, 20*time.Second), SettleOptions{RuntimeDir: dir}); err != nil {
			t.Error(err)
		}
		for _, d := range disks {
			if d.isFrozen(t) {
				t.Fatalf("%s stays frozen", d.path)
			}
		}
		wantNoRecord(t, dir)
	}
	t.Logf("%d rounds; what the record said afterwards, and what was frozen: %v", rounds, count)
}

func wait(dice *rand.Rand, most time.Duration) { time.Sleep(time.Duration(dice.Int64N(int64(most)))) }

// afterKill waits until both are gone, and holds the record against the kernel.
func afterKill(t *testing.T, dir string, disks []*disk) string {
	t.Helper()
	for limit := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		r, err := openRecord(dir)
		must(t, err)
		if r != nil && !r.lock() {
			r.close()
			if time.Now().After(limit) {
				t.Fatal("the record is locked by nobody")
			}
			continue
		}
		named := map[string]mark{}
		said := "no record"
		if r != nil {
			a, err := r.read()
			must(t, err)
			r.close()
			said = states(a)
			for _, e := range a.entries {
				named[e.Mount] = e.marked()
			}
		}
		for _, d := range disks {
			frozen := d.isFrozen(t)
			if frozen && !named[d.path].owed() {
				t.Errorf("%s is frozen, and the record says %s", d.path, said)
			}
			if frozen {
				said += " +"
			} else {
				said += " -"
			}
		}
		return said
	}
}
