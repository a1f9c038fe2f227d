package snapshot_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// What becomes of a run by where the server's files are. Of file systems,
// minor 1 is frozen, 2 lies on the set's volumes and is not frozen, and 3 is elsewhere.
func TestLocation(t *testing.T) {
	part := func(what string, minor int) snapshot.Part {
		return snapshot.Part{What: what, Path: "/x/" + what, FS: snapshot.FileSystem{Major: 259, Minor: minor}}
	}
	server := func(minor int) snapshot.Neighbour {
		return snapshot.Neighbour{Name: "mysqld", PID: 7, Dir: "/srv/second", Server: true, Parts: []snapshot.Part{part("ibdata1", 3), part("b.000001", minor)}}
	}
	const us, doubt = "mariadbd (process 1)", "the other end is socat"
	application, refused := success(messages.ConsistencyApplication), failed(messages.ReasonPreflightFailed)
	for _, tc := range []struct {
		name     string
		at       snapshot.Location
		noFreeze bool // the plan also has a mount that it does not freeze
		hook     bool
		want     verdict
		message  []string // words of it
		trusted  bool
		warned   string
	}{
		{name: "all on it", at: snapshot.Location{Process: us, Parts: []snapshot.Part{part("datadir", 1), part("log_bin_basename", 1)}}, want: application},
		{name: "the binlog elsewhere", at: snapshot.Location{Process: us, Parts: []snapshot.Part{part("datadir", 1), part("log_bin_basename", 3)}}, want: refused,
			message: []string{"log_bin_basename (/x/log_bin_basename) is on disk 3", "cannot be restored", "name the mount point under freeze or no_freeze"}},
		{name: "the binlog elsewhere, trusted", at: snapshot.Location{Process: us, Trusted: true, Parts: []snapshot.Part{part("log_bin_basename", 3)}}, want: refused, message: []string{"cannot be restored"}},
		{name: "many elsewhere", at: snapshot.Location{Process: us, Parts: []snapshot.Part{part("a", 3), part("b", 3), part("c", 3), part("d", 3), part("e", 3), part("f", 3)}}, want: refused,
			message: []string{"d (/x/d)", "and 2 more"}},
		{name: "not frozen, where all is to be", at: snapshot.Location{Process: us, Parts: []snapshot.Part{part("datadir", 1), part("innodb_undo_directory", 2)}}, want: refused,
			message: []string{"innodb_undo_directory (/x/innodb_undo_directory) is on disk 2", "add its mount point to freeze"}},
		{name: "not frozen, as the plan has it", at: snapshot.Location{Process: us, Parts: []snapshot.Part{part("datadir", 2)}}, noFreeze: true, want: success(messages.ConsistencyDatabase), warned: "not every file system that the server writes to"},
		{name: "not shown", at: snapshot.Location{Doubt: doubt}, want: refused, message: []string{"it cannot be shown", doubt, "trust_location"}},
		{name: "not shown, trusted", at: snapshot.Location{Doubt: doubt, Trusted: true}, want: application, trusted: true, warned: doubt},
		{name: "shown, though trusted", at: snapshot.Location{Process: us, Trusted: true, Parts: []snapshot.Part{part("datadir", 1)}}, want: application},
		{name: "half shown, and wrong", at: snapshot.Location{Doubt: doubt, Trusted: true, Parts: []snapshot.Part{part("datadir", 3)}}, want: refused, message: []string{"cannot be restored"}},
		{name: "a second server on it", at: snapshot.Location{Process: us, Neighbours: []snapshot.Neighbour{server(2)}}, want: refused, message: []string{"mysqld (process 7, in /srv/second, with /x/b.000001)", "would not be locked"}},
		{name: "a second server elsewhere", at: snapshot.Location{Process: us, Neighbours: []snapshot.Neighbour{server(3)}}, want: application},
		{name: "a server on it, that may be ours", at: snapshot.Location{Doubt: doubt, Trusted: true, Neighbours: []snapshot.Neighbour{server(1), server(3)}}, want: application, trusted: true},
		{name: "two on it, of which one may be ours", at: snapshot.Location{Doubt: doubt, Trusted: true, Neighbours: []snapshot.Neighbour{server(1), server(1)}}, want: refused, message: []string{"would not be locked"}},
		{name: "another database on it", at: snapshot.Location{Process: us, Neighbours: []snapshot.Neighbour{{Name: "postgres", PID: 9, Dir: "/pg", Parts: []snapshot.Part{part("base", 1)}}}}, want: application, warned: "postgres (process 9, in /pg"},
		{name: "another database on it, and a hook", hook: true, at: snapshot.Location{Process: us, Neighbours: []snapshot.Neighbour{{Name: "postgres", PID: 9, Dir: "/pg", Parts: []snapshot.Part{part("base", 1)}}}}, want: application},
		{name: "a warning", at: snapshot.Location{Process: us, Warnings: []string{"mind the keys"}}, want: application, warned: "mind the keys"},
	} {
		inBubble(t, tc.name, func(t *testing.T) {
			b := newBed()
			if tc.noFreeze {
				b.plan.NoFreeze = []string{"/var/log/mysql"}
			}
			if tc.hook {
				b.AddHooks()
				b.plan.HookTimeout = time.Second
			}
			b.DB.LocateFunc = func(context.Context) (snapshot.Location, error) { return tc.at, nil }
			b.Volumes.CoverFunc = func(_ context.Context, set snapshot.Set, systems []snapshot.FileSystem) ([]snapshot.Coverage, error) {
				if len(set.Freeze) != 1 || len(set.Volumes) == 0 || len(set.Attached) == 0 || (len(set.NoFreeze) > 0) != tc.noFreeze {
					t.Errorf("the set is %+v", set)
				}
				var out []snapshot.Coverage
				for _, s := range systems {
					out = append(out, snapshot.Coverage{InSet: s.Minor < 3, Frozen: s.Minor == 1, On: "disk " + string(rune('0'+s.Minor))})
				}
				return out, nil
			}
			out := b.run(t, t.Context())
			if got := of(out); got != tc.want {
				t.Errorf("got %+v, want %+v: %s", got, tc.want, out.Result.Message)
			}
			for _, words := range tc.message {
				if !strings.Contains(out.Result.Message, words) {
					t.Errorf("the message lacks %q: %s", words, out.Result.Message)
				}
			}
			if got := out.Result.MySQL != nil && out.Result.MySQL.LocationTrusted; got != tc.trusted {
				t.Errorf("locationTrusted is %v", got)
			}
			if tc.trusted && !warned(out.Result, "trust_location") || !warned(out.Result, tc.warned) || tc.warned == "" && !tc.trusted && len(out.Result.Warnings) > 0 {
				t.Errorf("warnings: %q", out.Result.Warnings)
			}
			if tc.want == refused && b.Count("Session.Lock") > 0 {
				t.Error("it was locked")
			}
		})
	}
}

// A plan that locks no database says so where the set holds the files of one.
func TestUnlocked(t *testing.T) {
	server := func(minor int) snapshot.Neighbour {
		return snapshot.Neighbour{Name: "mariadbd", PID: 7, Dir: "/srv", Server: true, Parts: []snapshot.Part{{Path: "/srv/ibdata1", FS: snapshot.FileSystem{Major: 259, Minor: minor}}}}
	}
	for name, tc := range map[string]struct {
		hook   bool
		on     int
		err    error
		warned string
	}{
		"on it":           {on: 1, warned: "mariadbd (process 7, in /srv, with /srv/ibdata1)"},
		"elsewhere":       {on: 3},
		"a hook":          {on: 1, hook: true},
		"not all is seen": {on: 1, err: context.DeadlineExceeded, warned: "add mysql to the plan"},
	} {
		inBubble(t, name, func(t *testing.T) {
			b := newBed()
			if tc.hook {
				b.AddHooks()
				b.plan.HookTimeout = time.Second
			}
			b.tweak = func(p *snapshot.Pipeline) {
				p.Database = nil
				p.Servers = func() ([]snapshot.Neighbour, error) { return []snapshot.Neighbour{server(tc.on)}, tc.err }
			}
			b.Volumes.CoverFunc = func(_ context.Context, _ snapshot.Set, systems []snapshot.FileSystem) ([]snapshot.Coverage, error) {
				return []snapshot.Coverage{{InSet: systems[0].Minor == 1, On: "a disk"}}, nil
			}
			out := b.run(t, t.Context())
			if got := of(out); got != success(messages.ConsistencyFilesystem) {
				t.Errorf("got %+v: %s", got, out.Result.Message)
			}
			if !warned(out.Result, tc.warned) || tc.warned == "" && len(out.Result.Warnings) > 0 {
				t.Errorf("warnings: %q", out.Result.Warnings)
			}
		})
	}
}

// A look that fails is the run's error, of its kind; and the server is looked
// at before each window.
func TestLocationUnknown(t *testing.T) {
	inBubble(t, "out of reach", func(t *testing.T) {
		b := newBed()
		b.DB.LocateFunc = func(context.Context) (snapshot.Location, error) {
			return snapshot.Location{}, &snapshot.OutOfReachError{What: "the database", Err: context.DeadlineExceeded}
		}
		if got := of(b.run(t, t.Context())); got != failedAgain(messages.ReasonPreflightFailed) {
			t.Errorf("got %+v", got)
		}
	})
	inBubble(t, "dry run", func(t *testing.T) {
		b := newBed()
		b.job.Delivery.Request.DryRun = true
		b.DB.LocateFunc = func(context.Context) (snapshot.Location, error) {
			return snapshot.Location{Doubt: "it is far away"}, nil
		}
		if got := of(b.run(t, t.Context())); got != failed(messages.ReasonPreflightFailed) {
			t.Errorf("got %+v", got)
		}
	})
}
