package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// victim is who is hit, and by what.
type victim string

const (
	killWorker   victim = "worker"        // SIGKILL
	killGuardian victim = "guardian"      // SIGKILL
	killBoth     victim = "both"          // SIGKILL, with the worker stopped before so that nothing reacts in between
	stopWorker   victim = "stop-worker"   // SIGSTOP past max_hold, then SIGCONT or SIGKILL
	stopGuardian victim = "stop-guardian" // SIGSTOP
)

// victims are drawn in these proportions: those that wait for max_hold to pass take long.
var victims = []victim{killWorker, killGuardian, killBoth, killWorker, killGuardian, killBoth, stopWorker, stopGuardian}

// moment is when within a stage.
type moment string

const (
	atBegin moment = "begin"  // the worker waits at the boundary
	atEnd   moment = "end"    // likewise
	within  moment = "within" // a random time after the beginning, up to a bit more than the stage usually takes
)

// stage is one of the pipeline's, or what the calls to the local AWS show of the worker's later work.
type stage struct {
	name string
	// call is what the stage asks AWS for, and skip how many calls of that kind a request makes before it.
	call string
	skip int
	// guarded says that a guardian is alive when the stage begins; it is at the end too.
	guarded bool
	// held says that the lock is requested or held, and perhaps something frozen.
	held bool
	// called says that the stage is no step of the pipeline, but begins and ends with its call.
	called bool
	// hook says that only a plan with hooks has it.
	hook bool
}

var stages = []stage{
	{name: "look-up", call: "ec2:DescribeSnapshots"},
	{name: "journal"},
	{name: "resolve", call: "ec2:DescribeInstances"},
	{name: "preflight", call: "ec2:CreateSnapshots"},
	{name: "intent", guarded: true},
	{name: "settle", guarded: true},
	{name: "lease", guarded: true, call: "sqs:ChangeMessageVisibility"},
	{name: "credentials", guarded: true},
	{name: "warm-up", guarded: true, call: "ec2:DescribeSnapshots", skip: 1},
	{name: "flush", guarded: true},
	{name: "ready", guarded: true},
	{name: "lock", guarded: true, held: true},
	{name: "coordinates", guarded: true, held: true},
	{name: "pre-freeze", guarded: true, held: true, hook: true},
	{name: "freeze", guarded: true, held: true},
	{name: "snapshot", guarded: true, held: true, call: "ec2:CreateSnapshots", skip: 1},
	{name: "thaw", guarded: true, held: true},
	{name: "post-thaw", guarded: true, held: true, hook: true},
	{name: "coordinates-after", guarded: true, held: true},
	{name: "verify", guarded: true, held: true},
	{name: "unlock", guarded: true, held: true},
	{name: "tag", call: "ec2:CreateTags"},
	{name: "publish", call: "sns:Publish", called: true},
	{name: "delete", call: "sqs:DeleteMessage", called: true},
}

// order is a stage's place in the way of a request.
func order(name string) int {
	for i, s := range stages {
		if s.name == name {
			return i
		}
	}
	return -1
}

// cell is one kill.
type cell struct {
	victim victim
	stage  stage
	moment moment

	latency time.Duration // of EC2's create call
	nudge   float64       // 0 to 1.2: how far into the stage, for within
	cont    bool          // a stopped worker is continued, not killed
	stuck   bool          // a worker whose guardian is stopped stays at the boundary past max_hold
	foreign bool          // somebody else freezes before a stopped worker is continued
	lapse   bool          // the lease of a stopped worker runs out meanwhile
	again   bool          // the message is delivered once more after the end
	moments string        // "first", "middle" or "last": when EC2 does what it was asked
	second  string        // the boundary at which the worker that gets the redelivery is killed too; "": it is not
}

func (c cell) String() string { return fmt.Sprintf("%s/%s/%s", c.victim, c.stage.name, c.moment) }

// needsGuardian says that the cell makes no sense without one alive.
func (c cell) needsGuardian() bool {
	return c.victim == killGuardian || c.victim == killBoth || c.victim == stopGuardian
}

// hasGuardian says that there is one at that moment.
func (c cell) hasGuardian() bool {
	return c.stage.guarded || c.stage.name == "preflight" && c.moment != atBegin
}

// waits says that the worker waits at the cell's boundary until it is told to go on.
func (c cell) waits() bool { return c.moment != within && !c.stage.called }

// named says that the cell is meant by some of "victim/stage/moment", such as
// "both/freeze", "freeze" or "within"; "" means all.
func (c cell) named(only string) bool {
	return only == "" || strings.Contains("/"+c.String()+"/", "/"+strings.Trim(only, "/")+"/")
}

// cells is every cell that only names, in an order drawn by random, victims in their proportions.
func cells(only string, random *rand.Rand) (all, without []cell) {
	seen := map[string]bool{}
	for i, v := range victims {
		for _, s := range stages {
			for _, m := range []moment{atBegin, atEnd, within} {
				c := cell{victim: v, stage: s, moment: m}
				if !c.named(only) {
					continue
				}
				if c.needsGuardian() && !c.hasGuardian() {
					if !seen[c.String()] {
						without = append(without, c)
					}
					seen[c.String()] = true
					continue
				}
				// What holds nothing is the same for a worker that is stopped: every other one will do.
				if v == stopWorker && !s.held && (order(s.name)+i)%3 != 0 && only == "" {
					continue
				}
				all = append(all, c)
			}
		}
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all, without
}

// short puts in front what stands for the rest: each victim that is killed in
// each of the window's stages that differ, a few before and after, and one of
// each that is stopped, which takes max_hold.
func short(all []cell) (few []cell) {
	quota := map[string]int{"stop-worker held": 1, "stop-worker free": 1, "stop-guardian held": 1, "stop-guardian free": 0}
	seen := map[string]bool{}
	for _, c := range all {
		key := string(c.victim) + "/" + c.stage.name
		kind := string(c.victim) + " free"
		if c.stage.held {
			kind = string(c.victim) + " held"
		}
		limit, ok := quota[kind]
		if !ok {
			limit = map[bool]int{true: 5, false: 2}[c.stage.held]
		}
		if seen[key] || limit == 0 {
			continue
		}
		seen[key] = true
		quota[kind] = limit - 1
		few = append(few, c)
	}
	return few
}

// dice draws what is left open by the cell.
func (c cell) dice(random *rand.Rand) cell {
	c.latency = time.Duration(200+random.IntN(600)) * time.Millisecond
	c.nudge = random.Float64() * 1.2
	c.cont = random.IntN(2) == 0
	c.stuck = random.IntN(2) == 0
	c.foreign = random.IntN(2) == 0
	c.lapse = random.IntN(3) == 0
	c.again = random.IntN(4) == 0
	c.moments = []string{"first", "middle", "last"}[random.IntN(3)]
	if random.IntN(4) == 0 {
		places := []string{atStart, "begin reconcile", "end reconcile"}
		for _, s := range stages {
			if !s.called {
				places = append(places, "begin "+s.name, "end "+s.name, atStart)
			}
		}
		c.second = places[random.IntN(len(places))]
	}
	return c
}

// atStart is a cell's second boundary where the worker is killed a random time
// after its start, and may be at what an earlier one has left.
const atStart = "the start"

// how says what else happens, beside the victim and the moment.
func (c cell) how() string {
	var words []string
	add := func(when bool, word string) {
		if when {
			words = append(words, word)
		}
	}
	stop := c.victim == stopWorker
	add(stop && c.cont, "then SIGCONT")
	add(stop && !c.cont, "then SIGKILL")
	add(stop && c.cont && c.foreign && c.stage.held, "foreign freeze")
	add(stop && c.lapse, "lease lapsed")
	add(c.victim == stopGuardian && c.stuck && c.waits() && c.stage.held, "worker stuck")
	add(c.second != "", "killed again at "+c.second)
	return strings.Join(words, ", ")
}
