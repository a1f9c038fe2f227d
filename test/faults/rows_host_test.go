package faults

import (
	"time"

	"stillpoint/localstack"
)

// Boundaries at which a worker is held: before it asks for the lock, and with everything held before EC2 is called.
const (
	beforeLock = "begin lock"
	inside     = "begin snapshot"
)

var lockLost = is("inconsistent lock_lost (filesystem)", oneBad, askedOnce, once)

const whyLock = "nothing proves that the lock was held until EC2 had answered"

func databaseRows() []*cell {
	start := (*bench).startDatabase
	return []*cell{
		{
			row: "MySQL", fault: "is killed (SIGKILL) before the lock", hold: beforeLock, at: (*bench).killDatabase, between: start,
			want:   []string{nextTime, is("failed lock_lost", none, neverAsked, once)}, // which of the two sessions hears of it first
			why:    "comes back, where the server is seen to be gone; else nothing proves that the request for the lock is, and that is final",
			stalls: true,
		},
		{
			row: "MySQL", fault: "is killed (SIGKILL) inside the window", hold: inside, at: (*bench).killDatabase, between: start,
			want: []string{lockLost}, why: whyLock, short: true, stalls: true,
		},
		{
			row: "MySQL", fault: "is restarted before the lock", hold: beforeLock,
			at: func(b *bench) error {
				if err := b.stopDatabase(); err != nil {
					return err
				}
				return b.startDatabase()
			},
			want: []string{nextTime}, why: whyAgain, stalls: true,
		},
		{
			row: "MySQL", fault: "is told to stop inside the window, and started again", hold: inside, at: (*bench).stopDatabase, between: start,
			want: []string{lockLost}, why: whyLock, stalls: true,
		},
		{
			row: "MySQL", fault: "an administrator kills the sessions before the lock", hold: beforeLock, at: (*bench).killSessions,
			want: []string{nextTime}, why: whyAgain,
		},
		{
			row: "MySQL", fault: "an administrator kills the sessions inside the window", hold: inside, at: (*bench).killSessions,
			want: []string{lockLost}, why: whyLock,
		},
	}
}

func freezeRows() []*cell {
	database := func(b *bench) string { return b.s.Volumes[0].Mount }
	other := func(b *bench) string { return b.s.Volumes[1].Mount }
	early := is("inconsistent thawed_early (database)", oneBad, askedOnce, once)
	return []*cell{
		{
			row: "Freezes", fault: "somebody thaws the database's file system inside the window", hold: inside,
			at:   func(b *bench) error { return thaw(database(b)) },
			want: []string{early}, why: "FITHAW found it thawed: never succeeded", short: true,
		},
		{
			row: "Freezes", fault: "somebody thaws the other file system inside the window", hold: inside,
			at:   func(b *bench) error { return thaw(other(b)) },
			want: []string{early}, why: "FITHAW found it thawed: never succeeded",
		},
		{
			row: "Freezes", fault: "somebody thaws and freezes again inside the window", hold: inside,
			at: func(b *bench) error {
				if err := thaw(other(b)); err != nil {
					return err
				}
				return freeze(other(b))
			},
			after: func(b *bench) error { _ = thaw(other(b)); return nil },
			want:  []string{is(succeeded, oneGood, askedOnce, once)},
			why:   "cannot be told apart from a freeze that held: the kernel counts no freezes",
		},
		{
			row: "Freezes", fault: "somebody else has frozen the other file system before", short: true, stalls: true,
			before: func(b *bench) error { return freeze(other(b)) },
			after:  func(b *bench) error { return stillFrozen(other(b)) },
			want:   []string{is("failed freeze_failed", none, neverAsked, once)}, why: "their freeze is theirs: still there afterwards",
		},
		{
			row: "Freezes", fault: "somebody else has frozen the database's file system before", stalls: true,
			before: func(b *bench) error { return freeze(database(b)) },
			after:  func(b *bench) error { return stillFrozen(database(b)) },
			want: []string{
				is("failed lock_timeout", none, neverAsked, once), is("failed preflight_failed", none, neverAsked, twice), is("failed preflight_failed", none, neverAsked, once),
			},
			// How far the server has come to a stop decides what is given up first: reading the
			// binlog position (out of reach: comes back), the preliminary flush, or the lock.
			why: "their freeze is theirs: still there afterwards; the server stands still with its volume, and is given up on before anything is held",
		},
	}
}

func diskRows() []*cell {
	free := (*bench).free
	return []*cell{
		{
			row: "The disk of state_dir", fault: "is full before the request", before: (*bench).fill, between: free,
			want: []string{nextTime}, why: "nothing is locked for what cannot be recorded: comes back", short: true,
		},
		{
			row: "The disk of state_dir", fault: "fills up before the lock", hold: beforeLock, at: (*bench).fill, between: free,
			want: []string{plain}, why: "room for what follows is kept beforehand",
		},
		{
			row: "The disk of state_dir", fault: "fills up inside the window", hold: inside, at: (*bench).fill, between: free,
			want: []string{plain}, why: "room for what follows is kept beforehand", short: true,
		},
	}
}

func clockRows() (out []*cell) {
	back := func(b *bench) error { return b.setClock(0) }
	failedOnce := coded("ec2:DescribeInstances", "InternalError", 500)
	for _, jump := range []struct {
		name  string
		by    time.Duration
		short bool
	}{{"an hour forward", time.Hour, false}, {"an hour back", -time.Hour, true}} {
		set := func(b *bench) error { return b.setClock(jump.by) }
		between := []string{nextTime}
		why := "within the request's age"
		// Its age counts from SQS's clock, which runs ahead here.
		send := func(b *bench, id string) (string, error) { return b.s.Send(b.ctx, `{"requestId":"`+id+`"}`) }
		if jump.by > 0 {
			send = nil
			between = []string{is("failed interrupted", none, neverAsked, twice)}
			why = "older than max_age by then: said so, and not done"
		}
		out = append(out,
			&cell{
				row: "The clock", fault: "jumps " + jump.name + " before the lock", hold: beforeLock, at: set, after: back,
				want: []string{plain}, why: "durations go by the monotonic clock",
			},
			&cell{
				row: "The clock", fault: "jumps " + jump.name + " inside the window", hold: inside, at: set, after: back,
				want: []string{plain}, why: "durations go by the monotonic clock", short: jump.short,
			},
			&cell{
				row: "The clock", fault: "jumps " + jump.name + " between two deliveries", between: set, after: back,
				faults: []localstack.Fault{failedOnce}, send: send,
				want: between, why: why,
			},
		)
	}
	out = append(out, &cell{
		row: "The clock", fault: "jumps an hour back between two deliveries of a request with a scheduledTime", after: back,
		between: func(b *bench) error { return b.setClock(-time.Hour) },
		faults:  []localstack.Fault{failedOnce},
		want:    []string{is("rejected invalid_request", none, neverAsked, twice, "dead letter invalid_request")},
		why:     "a scheduledTime more than 5 minutes ahead is rejected, whoever's clock is wrong",
	})
	return append(out, &cell{
		row: "The clock", fault: "jumps a month forward while the result waits for SNS", after: back,
		faults: []localstack.Fault{coded("sns:Publish", "InternalError", 500)},
		between: func(b *bench) error {
			if err := b.setClock(30 * 24 * time.Hour); err != nil {
				return err
			}
			n := len(b.ofWorker("sns:Publish"))
			return b.await(30*time.Second, "further tries to publish", func() bool { return len(b.ofWorker("sns:Publish")) > n+3 })
		},
		want: []string{plain}, why: "a result is not lost by a clock that was wrong",
	})
}
