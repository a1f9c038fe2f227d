package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"stillpoint/messages"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// lockTable holds a table of the load on a session of its own, until the
// returned function is called or the test ends.
func lockTable(t *testing.T, ctx context.Context, s *scene.Scene, table string) (unlock func()) {
	t.Helper()
	c, err := s.Server.DB().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	exec := func(statement string) {
		t.Helper()
		if _, err := c.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("LOCK TABLES " + rig.Schema + "." + table + " WRITE")
	return func() { exec("UNLOCK TABLES") }
}

// A lock that cannot be had is given up, and no writer waited for it much
// longer than one lock_timeout.
func TestLockThatCannotBeHad(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 4, MySQLYAML: "lock_tries: 3\nlock_timeout: 200ms\nlock_sleep: 50ms"})
	w := work(t, ctx, s)
	loaded(t, ctx, s)
	// A table of its own: the load does not want it, so only our lock request can stop the load.
	if _, err := s.Server.DB().ExecContext(ctx, "CREATE TABLE "+rig.Schema+".elsewhere (id INT PRIMARY KEY) ENGINE=InnoDB"); err != nil {
		t.Fatal(err)
	}
	unlock := lockTable(t, ctx, s, "elsewhere")
	s.Load.ResetStalls()
	send(t, ctx, s, `{"requestId":"no-lock"}`)
	d := next(t, ctx, s)
	wants(t, d.Result, messages.Failed, messages.ReasonLockTimeout, messages.ConsistencyNone)
	stall := s.Load.Stats().Longest.Duration
	t.Logf("longest stall of a writer: %s at a lock_timeout of 200ms; %s", stall, d.Result.Message)
	if stall > 2*time.Second {
		t.Errorf("a writer waited %s", stall)
	}
	if n := len(sets(t, ctx, s)["no-lock"]); n != 0 {
		t.Errorf("%d snapshots", n)
	}
	var queued int
	if err := s.Server.DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE user='stillpoint'").Scan(&queued); err != nil {
		t.Fatal(err)
	}
	if queued != 0 {
		t.Errorf("%d sessions of ours are left in the server", queued)
	}
	unlock()
	if t.Failed() {
		t.Log(w.Log())
	}
}

// A lock that comes free between the tries is taken.
func TestLockThatComesFreeBetweenTheTries(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 2, MySQLYAML: "lock_tries: 200\nlock_timeout: 100ms\nlock_sleep: 50ms"})
	w := work(t, ctx, s)
	loaded(t, ctx, s)
	unlock := lockTable(t, ctx, s, "account")
	send(t, ctx, s, `{}`)
	await(t, ctx, "a second try", func() bool { return strings.Count(w.Log(), `"stage":"lock"`) > 1 })
	unlock()
	d := next(t, ctx, s)
	wants(t, d.Result, messages.Succeeded, "", messages.ConsistencyApplication)
	if d.Result.Timings.LockTries < 2 {
		t.Errorf("%d tries", d.Result.Timings.LockTries)
	}
}

// An administrator who kills our session inside the window is noticed.
func TestSessionKilledInsideTheWindow(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 4})
	work(t, ctx, s)
	loaded(t, ctx, s)
	inWindow(t, ctx, s, "admin", time.Second)
	rows, err := s.Server.DB().QueryContext(ctx, "SELECT id FROM information_schema.processlist WHERE user='stillpoint'")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if _, err := s.Server.DB().ExecContext(ctx, "KILL "+id); err != nil {
			t.Fatal(err)
		}
	}
	wants(t, next(t, ctx, s).Result, messages.Inconsistent, messages.ReasonLockLost, messages.ConsistencyFilesystem)
	flows(t, ctx, s, time.Now())
}
