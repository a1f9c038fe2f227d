package snapshot_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// The table of claims, said once more and for every case: which lock, whether
// every table is known to be transactional, and what may be said where
// everything is frozen and where not; with "exact" where equal coordinates are.
func TestClaims(t *testing.T) {
	const (
		application = messages.ConsistencyApplication
		database    = messages.ConsistencyDatabase
		filesystem  = messages.ConsistencyFilesystem
		crash       = messages.ConsistencyCrash
	)
	type said struct {
		consistency messages.Consistency
		exact       bool
	}
	type row struct {
		claim        snapshot.Claim
		frozen, open said
		doubt        string
	}
	late := "innodb_flush_log_at_trx_commit"
	claim := func(k snapshot.LockKind, transactional bool) snapshot.Claim {
		return snapshot.Claim{Lock: k, Transactional: transactional}
	}
	mixed := snapshot.Claim{Lock: snapshot.LockInstance, Doubt: "these are not transactional: shop.log (MyISAM)"}
	rows := []row{
		{claim(snapshot.LockFTWRL, true), said{application, true}, said{database, false}, ""},
		{claim(snapshot.LockFTWRL, false), said{application, true}, said{database, false}, ""},
		{claim(snapshot.LockBackupStage, true), said{application, true}, said{database, false}, ""},
		{claim(snapshot.LockBackupStage, false), said{application, true}, said{database, false}, ""},
		{claim(snapshot.LockInstance, true), said{application, true}, said{crash, false}, ""},
		{mixed, said{filesystem, false}, said{crash, false}, "shop.log (MyISAM)"},
		{claim(snapshot.LockTables, true), said{application, true}, said{crash, false}, ""},
		{claim(snapshot.LockTables, false), said{filesystem, false}, said{crash, false}, ""},
		{claim(snapshot.LockNone, true), said{filesystem, false}, said{crash, false}, ""},
		{claim(snapshot.LockNone, false), said{filesystem, false}, said{crash, false}, ""},
		{snapshot.Claim{Lock: snapshot.LockFTWRL, LogsLate: true}, said{filesystem, false}, said{crash, false}, late},
		{snapshot.Claim{Lock: snapshot.LockBackupStage, LogsLate: true}, said{filesystem, false}, said{crash, false}, late},
		{snapshot.Claim{Lock: snapshot.LockInstance, Transactional: true, LogsLate: true}, said{filesystem, false}, said{crash, false}, late},
		{snapshot.Claim{Lock: snapshot.LockNone, LogsLate: true}, said{filesystem, false}, said{crash, false}, ""},
		{claim("a lock of the future", true), said{filesystem, false}, said{crash, false}, ""},
	}
	for _, r := range rows {
		for _, frozen := range []bool{true, false} {
			want := r.open
			if frozen {
				want = r.frozen
			}
			inBubble(t, fmt.Sprintf("%+v, frozen %v", r.claim, frozen), func(t *testing.T) {
				b := newBed()
				b.DB.Locks = r.claim
				if !frozen {
					b.plan.NoFreeze = []string{"/srv"}
				}
				out := b.run(t, t.Context())
				if of(out) != success(want.consistency) {
					t.Errorf("%+v: %s", of(out), out.Result.Message)
				}
				if out.Result.MySQL.CoordinatesExact != want.exact {
					t.Errorf("exact: %v", out.Result.MySQL.CoordinatesExact)
				}
				var doubts []string
				if stops := r.claim.Lock == snapshot.LockFTWRL || r.claim.Lock == snapshot.LockBackupStage; stops && !frozen {
					doubts = append(doubts, "not every file system that the server writes to is frozen")
				}
				if r.doubt != "" {
					doubts = append(doubts, r.doubt)
				}
				if len(out.Result.Warnings) != len(doubts) || slices.ContainsFunc(doubts, func(d string) bool { return !warned(out.Result, d) }) {
					t.Errorf("warnings: %q", out.Result.Warnings)
				}
				// A dry run says the same beforehand.
				b = newBed()
				b.DB.Locks = r.claim
				b.job.Delivery.Request.DryRun = true
				if !frozen {
					b.plan.NoFreeze = []string{"/srv"}
				}
				dry := b.run(t, t.Context())
				if !strings.Contains(dry.Result.Message, "(consistency: "+string(want.consistency)+")") || len(dry.Result.Warnings) != len(out.Result.Warnings) {
					t.Errorf("the dry run: %s %q", dry.Result.Message, dry.Result.Warnings)
				}
			})
		}
	}
}

// Under a lock that stops the commits moved coordinates are worth a warning;
// under one that does not they are what is to be expected.
func TestCoordinatesThatMove(t *testing.T) {
	for kind, warns := range map[snapshot.LockKind]bool{
		snapshot.LockFTWRL: true, snapshot.LockBackupStage: true, snapshot.LockInstance: false, snapshot.LockNone: false,
	} {
		inBubble(t, string(kind), func(t *testing.T) {
			b := newBed()
			b.DB.Locks = snapshot.Claim{Lock: kind, Transactional: true}
			b.DB.CoordinatesFunc = func(context.Context) (messages.MySQL, error) {
				b.DB.Position.BinlogPosition++
				return b.DB.Position, nil
			}
			out := b.run(t, t.Context())
			if out.Result.Status != messages.Succeeded || out.Result.MySQL.CoordinatesExact || warned(out.Result, "moved") != warns {
				t.Errorf("%+v, %+v, %q", of(out), out.Result.MySQL, out.Result.Warnings)
			}
		})
	}
}

// A lock that is lost is worth nothing, and spoils the set where there was one.
func TestLostLockIsWorthNothing(t *testing.T) {
	for kind, want := range map[snapshot.LockKind]verdict{
		snapshot.LockFTWRL:       inconsistent(messages.ReasonLockLost, messages.ConsistencyFilesystem),
		snapshot.LockBackupStage: inconsistent(messages.ReasonLockLost, messages.ConsistencyFilesystem),
		snapshot.LockInstance:    inconsistent(messages.ReasonLockLost, messages.ConsistencyFilesystem),
		snapshot.LockNone:        success(messages.ConsistencyFilesystem),
	} {
		inBubble(t, string(kind), func(t *testing.T) {
			b := newBed()
			b.DB.Locks = snapshot.Claim{Lock: kind, Transactional: true}
			b.DB.VerifyFunc = func(context.Context) error { return lockLost() }
			out := b.run(t, t.Context())
			if of(out) != want || out.Result.MySQL.CoordinatesExact {
				t.Errorf("%+v: %s", of(out), out.Result.Message)
			}
		})
	}
}

// A freeze that is lost leaves what the lock alone is worth.
func TestLostFreezeLeavesTheLock(t *testing.T) {
	for kind, left := range map[snapshot.LockKind]messages.Consistency{
		snapshot.LockFTWRL:       messages.ConsistencyDatabase,
		snapshot.LockBackupStage: messages.ConsistencyDatabase,
		snapshot.LockInstance:    messages.ConsistencyCrash,
		snapshot.LockNone:        messages.ConsistencyCrash,
	} {
		inBubble(t, string(kind), func(t *testing.T) {
			b := newBed()
			b.DB.Locks = snapshot.Claim{Lock: kind, Transactional: true}
			b.Freezer.ThawFunc = func(context.Context) (snapshot.Thawed, error) {
				return snapshot.Thawed{Cause: snapshot.ThawForeign, Detail: "/var/lib/mysql was not frozen"}, nil
			}
			out := b.run(t, t.Context())
			if of(out) != inconsistent(messages.ReasonThawedEarly, left) {
				t.Errorf("%+v: %s", of(out), out.Result.Message)
			}
		})
	}
}

// The lock that was taken counts, not the one that was expected.
func TestClaimIsThatOfTheLockTaken(t *testing.T) {
	inBubble(t, "", func(t *testing.T) {
		b := newBed()
		b.DB.Locks = snapshot.Claim{Lock: snapshot.LockInstance, Transactional: true}
		b.DB.LockFunc = func(context.Context, time.Duration) error {
			b.DB.Locks = snapshot.Claim{Lock: snapshot.LockInstance, Doubt: "these are not transactional: shop.log (MyISAM)"}
			return nil
		}
		out := b.run(t, t.Context())
		if of(out) != success(messages.ConsistencyFilesystem) || !warned(out.Result, "shop.log") {
			t.Errorf("%+v %q", of(out), out.Result.Warnings)
		}
	})
}

// Writes wait from the freeze on under a lock that does not stop them.
func TestWritesBlockedUnderALightLock(t *testing.T) {
	for kind, want := range map[snapshot.LockKind]float64{snapshot.LockFTWRL: 3000, snapshot.LockInstance: 1000, snapshot.LockNone: 1000} {
		inBubble(t, string(kind), func(t *testing.T) {
			b := newBed()
			b.DB.Locks = snapshot.Claim{Lock: kind, Transactional: true}
			b.DB.LockFunc = func(ctx context.Context, _ time.Duration) error { return wait(ctx, 2*time.Second) }
			b.EBS.CreateFunc = func(ctx context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error) {
				return b.EBS.Start(set, len(set.Volumes)), wait(ctx, time.Second)
			}
			out := b.run(t, t.Context())
			if got := out.Result.Timings; got.WritesBlocked != want || got.WritesBlockedTotal != want {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Without everything frozen the coordinates are exact where all that the server
// needs is, as far as the host can show it.
func TestCoordinatesWhereTheServersFilesAreFrozen(t *testing.T) {
	part := snapshot.Part{What: "datadir", Path: "/var/lib/mysql"}
	for _, c := range []struct {
		name   string
		at     snapshot.Location
		frozen bool
		exact  bool
	}{
		{"all frozen", snapshot.Location{Process: "p", Parts: []snapshot.Part{part}}, true, true},
		{"one is not", snapshot.Location{Process: "p", Parts: []snapshot.Part{part}}, false, false},
		{"not shown", snapshot.Location{Doubt: "it is far away", Trusted: true, Parts: []snapshot.Part{part}}, true, false},
		{"nothing known", snapshot.Location{Process: "p"}, true, false},
	} {
		inBubble(t, c.name, func(t *testing.T) {
			b := newBed()
			b.plan.NoFreeze = []string{"/srv"}
			b.DB.LocateFunc = func(context.Context) (snapshot.Location, error) { return c.at, nil }
			b.Volumes.CoverFunc = func(context.Context, snapshot.Set, []snapshot.FileSystem) ([]snapshot.Coverage, error) {
				return []snapshot.Coverage{{InSet: true, Frozen: c.frozen, On: "nvme1n1"}}, nil
			}
			if c.at.Parts == nil {
				b.Volumes.CoverFunc = nil
			}
			out := b.run(t, t.Context())
			if of(out) != success(messages.ConsistencyDatabase) || out.Result.MySQL.CoordinatesExact != c.exact || warned(out.Result, "not every file system") == c.exact {
				t.Errorf("%+v, exact %v: %q", of(out), out.Result.MySQL.CoordinatesExact, out.Result.Warnings)
			}
		})
	}
}

// A try that went on from the backup lock to FTWRL, and did not get that, has kept writers waiting.
func TestATryThatWentOnToFTWRLCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.plan.LockTries = 1
		b.DB.Locks = snapshot.Claim{Lock: snapshot.LockInstance, Transactional: true}
		b.DB.LockFunc = func(context.Context, time.Duration) error {
			time.Sleep(300 * time.Millisecond)
			b.DB.Locks = snapshot.Claim{Lock: snapshot.LockFTWRL}
			return &snapshot.LockNotGrantedError{}
		}
		r := b.run(t, t.Context()).Result
		if r.Reason != messages.ReasonLockTimeout || r.Timings.WritesBlockedTotal != 300 {
			t.Errorf("%s: %s; %v ms", r.Reason, r.Message, r.Timings.WritesBlockedTotal)
		}
	})
}
