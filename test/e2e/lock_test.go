package e2e

import (
	"strings"
	"testing"
	"time"

	"stillpoint/messages"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// A lock that cannot be had is given up, and no writer waited for it much
// longer than one lock_timeout.
func TestLockThatCannotBeHad(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 4, MySQLYAML: "lock_tries: 3\nlock_timeout: 200ms\nlock_sleep: 50ms"})
	w := work(t, ctx, s)
	loaded(t, ctx, s)
	c, err := s.MariaDB.DB().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	// A table of its own: the load does not want it, so only our lock request can stop the load.
	if _, err := c.ExecContext(ctx, "CREATE TABLE "+rig.Schema+".elsewhere (id INT PRIMARY KEY) ENGINE=InnoDB"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ExecContext(ctx, "LOCK TABLES "+rig.Schema+".elsewhere WRITE"); err != nil {
		t.Fatal(err)
	}
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
	if err := s.MariaDB.DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE user='stillpoint'").Scan(&queued); err != nil {
		t.Fatal(err)
	}
	if queued != 0 {
		t.Errorf("%d sessions of ours are left in the server", queued)
	}
	if _, err := c.ExecContext(ctx, "UNLOCK TABLES"); err != nil {
		t.Fatal(err)
	}
	if t.Failed() {
		t.Log(w.Log())
	}
}

// A lock that comes free between the tries is taken.
func TestLockThatComesFreeBetweenTheTries(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 2, MySQLYAML: "lock_tries: 200\nlock_timeout: 100ms\nlock_sleep: 50ms"})
	w := work(t, ctx, s)
	loaded(t, ctx, s)
	c, err := s.MariaDB.DB().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.ExecContext(ctx, "LOCK TABLES "+rig.Schema+".account WRITE"); err != nil {
		t.Fatal(err)
	}
	send(t, ctx, s, `{}`)
	await(t, ctx, "a second try", func() bool { return strings.Count(w.Log(), `"stage":"lock"`) > 1 })
	if _, err := c.ExecContext(ctx, "UNLOCK TABLES"); err != nil {
		t.Fatal(err)
	}
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
	rows, err := s.MariaDB.DB().QueryContext(ctx, "SELECT id FROM information_schema.processlist WHERE user='stillpoint'")
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
		if _, err := s.MariaDB.DB().ExecContext(ctx, "KILL "+id); err != nil {
			t.Fatal(err)
		}
	}
	wants(t, next(t, ctx, s).Result, messages.Inconsistent, messages.ReasonLockLost, messages.ConsistencyFilesystem)
	flows(t, ctx, s, time.Now())
}
