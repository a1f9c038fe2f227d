package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"stillpoint/messages"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// literal stands in the statements that are in the way, and must not leave the server.
const literal = "literal-4711-of-a-customer"

// longUpdate runs a statement that blocks the lock for a minute, unless it is
// ended. It returns once the server has shown it running for as long as age, with what it came to.
func longUpdate(t *testing.T, ctx context.Context, s *scene.Scene, age time.Duration) (id uint64, ended <-chan error) {
	t.Helper()
	db := s.Server.DB()
	exec := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE " + rig.Schema + ".elsewhere (id INT PRIMARY KEY, v VARCHAR(100)) ENGINE=InnoDB")
	exec("INSERT INTO " + rig.Schema + ".elsewhere VALUES (1, '')")
	c, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := c.ExecContext(ctx, "UPDATE "+rig.Schema+".elsewhere SET v = CONCAT('"+literal+"', SLEEP(60))")
		answer <- err
	}()
	t.Cleanup(func() {
		_, _ = db.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("KILL %d", id))
		_ = c.Close()
	})
	await(t, ctx, "the statement's age", func() bool {
		var ms sql.NullFloat64
		err := db.QueryRowContext(ctx, "SELECT TIME_MS FROM information_schema.PROCESSLIST WHERE STATE = 'User sleep' AND ID = ?", id).Scan(&ms)
		return err == nil && ms.Float64 >= float64(age.Milliseconds())
	})
	return id, answer
}

// keepsLiteral fails the test where the literal stands in a text that leaves the host.
func keepsLiteral(t *testing.T, where, text string) {
	t.Helper()
	if strings.Contains(text, literal) {
		t.Errorf("%s holds a literal of a statement: %s", where, text)
	}
}

// fail: refused at once, with what is in the way.
func TestLongQueriesFail(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 2, MySQLYAML: "long_queries: fail\nlong_query_after: 500ms\nlock_tries: 100"})
	loaded(t, ctx, s)
	id, _ := longUpdate(t, ctx, s, time.Second)
	start := time.Now()
	out, errs, code := cli(t, ctx, s, "snapshot", "--config", s.ConfigPath, "--json", "--request-id", "refused")
	var r messages.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s %s", err, out, errs)
	}
	if code != 3 {
		t.Errorf("exit %d", code)
	}
	wants(t, &r, messages.Failed, messages.ReasonPreflightFailed, messages.ConsistencyNone)
	if !strings.Contains(r.Message, fmt.Sprintf("id %d (user root, for ", id)) || !strings.Contains(r.Message, "User sleep") {
		t.Errorf("it does not name what is in the way: %s", r.Message)
	}
	t.Logf("refused after %s: %s", time.Since(start), r.Message)
	keepsLiteral(t, "the result", out)
	keepsLiteral(t, "the log", errs)
	if r.Timings.LockTries != 0 || r.Timings.WritesBlockedTotal != 0 {
		t.Errorf("something was requested: %+v", r.Timings)
	}
}

// wait: nothing is requested in any try.
func TestLongQueriesWait(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 2, MySQLYAML: "long_query_after: 500ms\nlock_tries: 3\nlock_sleep: 50ms"})
	w := work(t, ctx, s)
	loaded(t, ctx, s)
	id, _ := longUpdate(t, ctx, s, time.Second)
	send(t, ctx, s, `{}`)
	d := next(t, ctx, s)
	wants(t, d.Result, messages.Failed, messages.ReasonLockTimeout, messages.ConsistencyNone)
	if r := d.Result; !strings.Contains(r.Message, fmt.Sprintf("id %d (user root, for ", id)) || r.Timings.LockTries != 3 || r.Timings.WritesBlockedTotal != 0 {
		t.Errorf("%s %+v", r.Message, r.Timings)
	}
	keepsLiteral(t, "the result", d.Body)
	keepsLiteral(t, "the log", w.Log())
}

// kill: what is in the way is ended, and listed; and log_statements lets its text into the local log, and nowhere else.
func TestLongQueriesKill(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 2, MySQLYAML: "long_queries: kill\nlong_query_after: 500ms\nkill_after: 800ms\nlog_statements: true"})
	loaded(t, ctx, s)
	id, ended := longUpdate(t, ctx, s, time.Second)

	// Not without the privilege.
	out, errs, code := cli(t, ctx, s, "snapshot", "--config", s.ConfigPath, "--json", "--request-id", "not-yet")
	if code != 3 || !strings.Contains(out, "GRANT CONNECTION ADMIN ON *.*") {
		t.Errorf("exit %d: %s %s", code, out, errs)
	}
	wants(t, next(t, ctx, s).Result, messages.Failed, messages.ReasonPreflightFailed, messages.ConsistencyNone)
	rows, err := s.Server.DB().QueryContext(ctx, "SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.user WHERE User = 'stillpoint'")
	if err != nil {
		t.Fatal(err)
	}
	var users []string
	for rows.Next() {
		var user string
		if err := rows.Scan(&user); err != nil {
			t.Fatal(err)
		}
		users = append(users, user)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, user := range users {
		if _, err := s.Server.DB().ExecContext(ctx, "GRANT CONNECTION ADMIN ON *.* TO "+user); err != nil {
			t.Fatal(err)
		}
	}

	w := work(t, ctx, s)
	send(t, ctx, s, `{"requestId":"killed"}`)
	d := next(t, ctx, s)
	wants(t, d.Result, messages.Succeeded, "", messages.ConsistencyApplication)
	if err := <-ended; err == nil {
		t.Error("the statement went through")
	}
	m := d.Result.MySQL
	if m == nil || len(m.Killed) != 1 || m.Killed[0].ID != id || m.Killed[0].User != "root" || m.Killed[0].AgeSeconds < 0.8 || m.Killed[0].State != "User sleep" {
		t.Fatalf("killed: %+v", m)
	}
	keepsLiteral(t, "the result", d.Body)
	for _, snap := range sets(t, ctx, s)["killed"] {
		keepsLiteral(t, "a snapshot", fmt.Sprintf("%+v", snap))
	}
	for _, want := range []string{literal, "in the way of the database lock", "ended a statement that blocked the database lock"} {
		if !strings.Contains(w.Log(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}
