package snapshot_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

var errBoom = errors.New("boom")

func outOfReach(what string) error { return &snapshot.OutOfReachError{What: what, Err: errBoom} }

func refused() error { return &snapshot.RefusedError{Sentence: "it is refused: change it"} }

func lockLost() error { return &snapshot.LockLostError{Err: errBoom} }

func ambiguous() error { return &snapshot.AmbiguousError{Err: errBoom} }

func quota() error {
	return &snapshot.QuotaError{Code: "PendingSnapshotLimitExceeded", Err: errBoom}
}

func refusedCreate() error {
	return &snapshot.SnapshotRefusedError{Code: "UnauthorizedOperation", Err: errBoom}
}

// healthy is the order of a run in which nothing goes wrong. Design: "The way of a request".
var healthy = []string{
	"Progress look-up", "EBS.Find",
	"Record.Intend",
	"Progress resolve", "EBS.Attached", "Volumes.Resolve", "Volumes.Others",
	"Progress preflight", "Freezer.Arm", "Database.Connect", "Session.Locate", "EBS.CheckCreate",
	"Progress intent", "Record.Intend",
	"Progress lock",
	"Guard.Settle", "Lease.Cover", "EBS.Warm", "EBS.Find",
	"Session.Settle", "Progress flush", "Session.Ready", "Guard.Ready",
	"Session.Lock", "Session.Coordinates",
	"Guard.Freeze", "Record.Sending", "EBS.Create", "Guard.Thaw",
	"Session.Coordinates", "Session.Verify", "Session.Unlock",
	"Session.Close", "Guard.Close",
	"Record.Settled", "Progress tag", "EBS.Tag", "EBS.Tag",
}

func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		out := b.run(t, t.Context())
		if d := cmp.Diff(success(messages.ConsistencyApplication), of(out)); d != "" {
			t.Errorf("verdict: %s\n%s", d, out.Result.Message)
		}
		if d := cmp.Diff(healthy, b.Calls()); d != "" {
			t.Errorf("calls: %s", d)
		}
		var names []string
		for _, s := range out.Result.Stages {
			names = append(names, s.Name)
		}
		want := strings.Fields("look-up journal resolve preflight intent settle lease credentials warm-up flush ready lock coordinates freeze snapshot thaw coordinates-after verify unlock tag")
		if d := cmp.Diff(want, names); d != "" {
			t.Errorf("stages: %s", d)
		}
		if m := out.Result.MySQL; m == nil || !m.CoordinatesExact || m.BinlogFile != "bin.000007" {
			t.Errorf("the coordinates are %+v", m)
		}
		if s := out.Result.Snapshots[1]; s.Device != "/dev/sdg" || s.Mount != "/var/lib/mysql" {
			t.Errorf("the snapshot is %+v", s)
		}
		if len(out.PendingTags) != 0 || len(out.Result.Warnings) != 0 {
			t.Errorf("owed %v, warnings %v", out.PendingTags, out.Result.Warnings)
		}
	})
}

// Whatever goes wrong wherever: the verdict, and (in run) that all was let go.
func TestFailures(t *testing.T) {
	type row struct {
		name    string
		set     func(b *bed)
		want    verdict
		says    string // in the message
		warns   string
		creates int // calls of Create
	}
	preflight := func(name string, fail func(b *bed, err error)) []row {
		return []row{
			{name: name + " out of reach", set: func(b *bed) { fail(b, outOfReach(name)) }, want: failedAgain(messages.ReasonPreflightFailed), says: "nothing was locked or frozen"},
			{name: name + " refused", set: func(b *bed) { fail(b, refused()) }, want: failed(messages.ReasonPreflightFailed), says: "it is refused"},
			{name: name + " odd", set: func(b *bed) { fail(b, errBoom) }, want: failed(messages.ReasonPreflightFailed), says: "boom"},
		}
	}
	thaw := func(name string, thawed snapshot.Thawed, err error, want verdict, says string) row {
		return row{name: "thaw " + name, set: func(b *bed) {
			b.Freezer.ThawFunc = func(context.Context) (snapshot.Thawed, error) { return thawed, err }
		}, want: want, says: says, creates: 1}
	}
	created := func(name string, err error, want verdict, says string) row {
		return row{name: "create " + name, set: func(b *bed) {
			b.EBS.CreateFunc = func(context.Context, snapshot.CreateSet) ([]messages.Snapshot, error) { return nil, err }
		}, want: want, says: says, creates: 1}
	}
	db, crash := messages.ConsistencyDatabase, messages.ConsistencyCrash
	rows := slices.Concat(
		preflight("look-up", func(b *bed, err error) {
			b.EBS.FindFunc = func(context.Context, string) ([]snapshot.Existing, error) { return nil, err }
		}),
		preflight("warm-up", func(b *bed, err error) {
			b.EBS.FindFunc = func(context.Context, string) ([]snapshot.Existing, error) {
				if b.Count("EBS.Warm") == 0 {
					return nil, nil
				}
				return nil, err
			}
		}),
		preflight("attached", func(b *bed, err error) {
			b.EBS.AttachedFunc = func(context.Context) ([]snapshot.Attachment, error) { return nil, err }
		}),
		preflight("resolve", func(b *bed, err error) {
			b.Volumes.ResolveFunc = func(context.Context, []string, []string, []snapshot.Attachment) ([]snapshot.Volume, error) {
				return nil, err
			}
		}),
		preflight("arm", func(b *bed, err error) {
			b.Freezer.ArmFunc = func(context.Context, []string) error { return err }
		}),
		preflight("connect", func(b *bed, err error) { b.DB.ConnectFunc = func(context.Context) error { return err } }),
		preflight("check", func(b *bed, err error) {
			b.EBS.CheckFunc = func(context.Context, snapshot.CreateSet) error { return err }
		}),
		preflight("credentials", func(b *bed, err error) {
			b.EBS.WarmFunc = func(context.Context, time.Duration) error { return err }
		}),
		preflight("settle", func(b *bed, err error) {
			b.DB.SettleFunc = func(context.Context) (string, error) { return "", err }
		}),
		preflight("syncfs", func(b *bed, err error) { b.Freezer.SettleFunc = func(context.Context) error { return err } }),
		preflight("lock", func(b *bed, err error) {
			b.DB.LockFunc = func(context.Context, time.Duration) error { return err }
		}),
		[]row{
			{name: "a lock that may still be held", set: func(b *bed) {
				b.DB.LockFunc = func(context.Context, time.Duration) error {
					return &snapshot.LockUnknownError{Until: 46 * time.Second, Err: errBoom}
				}
			}, want: failed(messages.ReasonLockLost), says: "within 46s"},
			{name: "a part confirmed that describe never shows", set: func(b *bed) {
				b.EBS.CreateFunc = func(context.Context, snapshot.CreateSet) ([]messages.Snapshot, error) {
					return nil, &snapshot.AmbiguousError{Err: errBoom, Made: []messages.Snapshot{{SnapshotID: "snap-1", VolumeID: "vol-1"}}}
				}
				b.EBS.FindFunc = func(context.Context, string) ([]snapshot.Existing, error) { return nil, nil }
			}, want: inconsistent(messages.ReasonSnapshotAmbiguous, messages.ConsistencyCrash), says: "1 snapshot of this request", creates: 1},
			{name: "a file system nobody named", set: func(b *bed) {
				b.Volumes.OthersFunc = func(context.Context, []string) ([]string, error) {
					return []string{"/logs (on nvme1n1, as is /data)"}, nil
				}
			}, want: failed(messages.ReasonPreflightFailed), says: "/logs (on nvme1n1"},
			{name: "no volumes", set: func(b *bed) { b.Volumes.Set = nil }, want: failed(messages.ReasonPreflightFailed), says: "leads to no volume"},
			{name: "SQS out of reach", set: func(b *bed) { b.Lease.CoverFunc = func(context.Context, time.Duration) error { return errBoom } },
				want: failedAgain(messages.ReasonPreflightFailed), says: "SQS"},
			{name: "lease lost", set: func(b *bed) {
				b.Lease.CoverFunc = func(context.Context, time.Duration) error { return &snapshot.LeaseLostError{Err: errBoom} }
			}, want: failedAgain(messages.ReasonInterrupted), says: "lease was lost"},
			{name: "journal before", set: func(b *bed) {
				b.Record.IntendFunc = func(context.Context, string, []string) error { return errBoom }
			}, want: failed(messages.ReasonInternal), says: "state_dir"},
			{name: "journal intent", set: func(b *bed) {
				b.Record.IntendFunc = func(_ context.Context, _ string, v []string) error {
					if len(v) > 0 {
						return errBoom
					}
					return nil
				}
			}, want: failed(messages.ReasonInternal), says: "state_dir"},

			{name: "lock not granted", set: func(b *bed) {
				b.DB.LockFunc = func(ctx context.Context, _ time.Duration) error {
					return errors.Join(wait(ctx, 500*time.Millisecond), &snapshot.LockNotGrantedError{Blockers: "SELECT ?"})
				}
			}, want: failed(messages.ReasonLockTimeout), says: "3 tries of 500ms"},
			{name: "lock granted the third time", set: func(b *bed) {
				b.DB.LockFunc = func(context.Context, time.Duration) error {
					if b.Count("Session.Lock") < 3 {
						return &snapshot.LockNotGrantedError{}
					}
					return nil
				}
			}, want: success(messages.ConsistencyApplication), creates: 1},
			{name: "coordinates", set: func(b *bed) {
				b.DB.CoordinatesFunc = func(context.Context) (messages.MySQL, error) { return messages.MySQL{}, errBoom }
			}, want: failed(messages.ReasonLockLost), says: "no snapshots were made"},
			{name: "coordinates lost", set: func(b *bed) {
				b.DB.CoordinatesFunc = func(context.Context) (messages.MySQL, error) { return messages.MySQL{}, lockLost() }
			}, want: failed(messages.ReasonLockLost), says: "lost"},
			{name: "freeze", set: func(b *bed) { b.Freezer.FreezeFunc = func(context.Context, time.Time) error { return errBoom } },
				want: failed(messages.ReasonFreezeFailed), says: "cannot freeze"},
			{name: "freeze too slow", set: func(b *bed) {
				b.Freezer.FreezeFunc = func(ctx context.Context, _ time.Time) error { return wait(ctx, time.Hour) }
			}, want: failed(messages.ReasonMaxHoldExceeded), says: "max_hold"},
			{name: "freeze fails, thaw and unlock take until max_hold", set: func(b *bed) {
				b.Freezer.FreezeFunc = func(ctx context.Context, _ time.Time) error {
					return errors.Join(wait(ctx, 44900*time.Millisecond), errBoom)
				}
				b.DB.UnlockFunc = func(ctx context.Context) error { return wait(ctx, 200*time.Millisecond) }
			}, want: failed(messages.ReasonFreezeFailed), says: "cannot freeze"},
			{name: "freeze leaves no time", set: func(b *bed) {
				b.Freezer.FreezeFunc = func(ctx context.Context, _ time.Time) error { return wait(ctx, 42*time.Second) }
			}, want: failed(messages.ReasonMaxHoldExceeded), says: "no time was left"},

			created("quota", quota(), failedAgain(messages.ReasonQuota), "PendingSnapshotLimitExceeded"),
			created("refused", refusedCreate(), failed(messages.ReasonSnapshotFailed), "no snapshots were made"),
			created("ambiguous, nothing found", ambiguous(), failed(messages.ReasonSnapshotAmbiguous), "look in EC2 for the tag stillpoint:request-id=req-1"),
			created("an error that proves nothing", errBoom, failed(messages.ReasonSnapshotAmbiguous), "boom"),
			created("an answer without snapshots", nil, failed(messages.ReasonSnapshotAmbiguous), "names no snapshots"),
			{name: "ambiguous, all shown while held", set: func(b *bed) {
				b.EBS.CreateFunc = func(_ context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error) {
					b.EBS.Start(set, 2)
					return nil, ambiguous()
				}
			}, want: success(messages.ConsistencyApplication), warns: "while everything was still held", creates: 1},
			{name: "ambiguous, part shown", set: func(b *bed) {
				b.EBS.CreateFunc = func(_ context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error) {
					b.EBS.Start(set, 1)
					return nil, ambiguous()
				}
			}, want: inconsistent(messages.ReasonSnapshotAmbiguous, crash), says: "nothing proves that everything was held", creates: 1},
			{name: "ambiguous, all shown later", set: func(b *bed) {
				b.EBS.CreateFunc = func(_ context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error) {
					b.EBS.Start(set, 2)
					return nil, ambiguous()
				}
				b.EBS.FindFunc = func(_ context.Context, id string) ([]snapshot.Existing, error) {
					if b.Held() {
						return nil, outOfReach("EC2")
					}
					return b.EBS.Existing(id), nil
				}
			}, want: inconsistent(messages.ReasonSnapshotAmbiguous, crash), says: "nothing proves that everything was held", creates: 1},
			{name: "ambiguous, EC2 gone", set: func(b *bed) {
				b.EBS.CreateFunc = func(context.Context, snapshot.CreateSet) ([]messages.Snapshot, error) {
					b.EBS.FindFunc = func(context.Context, string) ([]snapshot.Existing, error) { return nil, outOfReach("EC2") }
					return nil, ambiguous()
				}
			}, want: failed(messages.ReasonSnapshotAmbiguous), says: "cannot reach EC2", creates: 1},
			{name: "ambiguous, another attempt's set shown", set: func(b *bed) {
				b.EBS.CreateFunc = func(_ context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error) {
					set.Tags[snapshot.TagAttemptID] = "other"
					b.EBS.Start(set, 2)
					return nil, ambiguous()
				}
			}, want: failed(messages.ReasonSnapshotAmbiguous), creates: 1},
			{name: "ambiguous and a failed snapshot shown", set: func(b *bed) {
				b.EBS.CreateFunc = func(_ context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error) {
					b.EBS.Start(set, 2)
					b.EBS.Made[0].State = "error"
					return nil, ambiguous()
				}
			}, want: inconsistent(messages.ReasonSnapshotAmbiguous, crash), creates: 1},
			{name: "part of the set made", set: func(b *bed) {
				b.EBS.CreateFunc = func(_ context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error) {
					return b.EBS.Start(set, 1), nil
				}
			}, want: inconsistent(messages.ReasonSnapshotFailed, messages.ConsistencyApplication), says: "vol-0bbbbbbbbbbbbbbbb", creates: 1},
			{name: "more than the set made", set: func(b *bed) {
				b.EBS.CreateFunc = func(_ context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error) {
					set.Volumes = append(slices.Clone(set.Volumes), snapshot.Volume{ID: "vol-0eeeeeeeeeeeeeeee"})
					return b.EBS.Start(set, 3), nil
				}
			}, want: success(messages.ConsistencyApplication), warns: "vol-0eeeeeeeeeeeeeeee, which is not part of the set", creates: 1},

			thaw("deadline", snapshot.Thawed{Cause: snapshot.ThawDeadline, Detail: "at the deadline"}, nil, inconsistent(messages.ReasonMaxHoldExceeded, db), "max_hold (45s) passed"),
			thaw("guardian lost", snapshot.Thawed{Cause: snapshot.ThawGuardianLost, Detail: "it was killed"}, nil, inconsistent(messages.ReasonThawedEarly, db), "it was killed"),
			thaw("someone else", snapshot.Thawed{Cause: snapshot.ThawForeign}, nil, inconsistent(messages.ReasonThawedEarly, db), "someone else"),
			thaw("none", snapshot.Thawed{Detail: "there was no freeze"}, nil, inconsistent(messages.ReasonThawedEarly, db), "there was no freeze"),
			thaw("error", snapshot.Thawed{}, errBoom, inconsistent(messages.ReasonThawedEarly, db), "not proved to have stayed frozen"),
			thaw("error although held", snapshot.Thawed{Cause: snapshot.ThawCommand}, errBoom, inconsistent(messages.ReasonThawedEarly, db), "boom"),

			{name: "lock lost at the proof", set: func(b *bed) { b.DB.VerifyFunc = func(context.Context) error { return lockLost() } },
				want: inconsistent(messages.ReasonLockLost, messages.ConsistencyFilesystem), says: "boom", warns: "could not be proved", creates: 1},
			{name: "unlock lost", set: func(b *bed) { b.DB.UnlockFunc = func(context.Context) error { return lockLost() } },
				want: inconsistent(messages.ReasonLockLost, messages.ConsistencyFilesystem), creates: 1},
			{name: "unlock failed", set: func(b *bed) { b.DB.UnlockFunc = func(context.Context) error { return errBoom } },
				want: inconsistent(messages.ReasonLockLost, messages.ConsistencyFilesystem), creates: 1},
			{name: "lock and freeze lost", set: func(b *bed) {
				b.DB.VerifyFunc = func(context.Context) error { return lockLost() }
				b.Freezer.ThawFunc = func(context.Context) (snapshot.Thawed, error) {
					return snapshot.Thawed{Cause: snapshot.ThawForeign, Detail: "xfs_freeze"}, nil
				}
			}, want: inconsistent(messages.ReasonThawedEarly, crash), creates: 1},
			{name: "coordinates moved", set: func(b *bed) {
				b.DB.CoordinatesFunc = func(context.Context) (messages.MySQL, error) {
					m := b.DB.Position
					m.BinlogPosition += uint64(b.Count("Guard.Thaw"))
					return m, nil
				}
			}, want: success(messages.ConsistencyApplication), warns: "from bin.000007:4711 to bin.000007:4712", creates: 1},
			{name: "GTID moved", set: func(b *bed) {
				b.DB.CoordinatesFunc = func(context.Context) (messages.MySQL, error) {
					m := b.DB.Position
					if b.Count("Guard.Thaw") > 0 {
						m.GTID = "0-1-43"
					}
					return m, nil
				}
			}, want: success(messages.ConsistencyApplication), warns: "GTID or replica", creates: 1},
			{name: "tags", set: func(b *bed) {
				b.EBS.TagFunc = func(context.Context, string, map[string]string) error { return errBoom }
			}, want: success(messages.ConsistencyApplication), warns: "tried again later", creates: 1},
			{name: "journal after", set: func(b *bed) { b.Record.SettledFunc = func(context.Context, *messages.Result) error { return errBoom } },
				want: success(messages.ConsistencyApplication), warns: "cannot write the verdict to the journal", creates: 1},
			{name: "closing", set: func(b *bed) { b.Freezer.CloseFunc = func() error { return errBoom } },
				want: success(messages.ConsistencyApplication), warns: "cannot clean up", creates: 1},
		},
	)
	for _, r := range rows {
		inBubble(t, r.name, func(t *testing.T) {
			b := newBed()
			r.set(b)
			out := b.run(t, t.Context())
			if d := cmp.Diff(r.want, of(out)); d != "" {
				t.Errorf("verdict: %s\n%s", d, out.Result.Message)
			}
			if !strings.Contains(out.Result.Message, r.says) {
				t.Errorf("the message lacks %q: %s", r.says, out.Result.Message)
			}
			if r.warns != "" && !warned(out.Result, r.warns) {
				t.Errorf("no warning says %q: %q", r.warns, out.Result.Warnings)
			}
			if got := b.Count("EBS.Create"); got != r.creates {
				t.Errorf("EC2 was asked %d times, want %d", got, r.creates)
			}
			if locks, unlocks := b.Count("Session.Coordinates") > 0, b.Count("Session.Unlock"); locks && unlocks != 1 {
				t.Errorf("unlocked %d times", unlocks)
			}
			if froze, thaws := b.Count("Guard.Freeze"), b.Count("Guard.Thaw"); froze != thaws {
				t.Errorf("frozen %d times and thawed %d times", froze, thaws)
			}
			// The verdict tags say what the result says.
			if r.name != "tags" {
				for _, s := range out.Result.Snapshots {
					for _, m := range b.EBS.Made {
						if m.SnapshotID == s.SnapshotID && (m.Tags[snapshot.TagStatus] != string(r.want.Status) || m.Tags[snapshot.TagConsistency] != string(r.want.Consistency)) {
							t.Errorf("%s is tagged %v", s.SnapshotID, m.Tags)
						}
					}
				}
			} else if len(out.PendingTags) != 2 || out.PendingTags[0].Tags[snapshot.TagStatus] != "succeeded" {
				t.Errorf("owed: %v", out.PendingTags)
			}
		})
	}
}

// After an ambiguous answer the verdict may take minutes, and nothing is held or open meanwhile.
func TestLetGoBeforeReconcile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.EBS.CreateFunc = func(context.Context, snapshot.CreateSet) ([]messages.Snapshot, error) { return nil, ambiguous() }
		b.Freezer.ThawFunc = func(context.Context) (snapshot.Thawed, error) { return snapshot.Thawed{}, errBoom }
		b.run(t, t.Context())
		calls := b.Calls()
		if i, j := slices.Index(calls, "Guard.Close"), slices.Index(calls, "Progress reconcile"); i < 0 || j < i {
			t.Errorf("the guardian was closed at %d, the look-ups began at %d", i, j)
		}
		if n := b.Count("EBS.Find"); n != 2+1+11 { // before, warm-up, held, and after each of ten waits
			t.Errorf("looked %d times", n)
		}
	})
}
