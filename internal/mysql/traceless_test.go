package mysql

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/snapshot"
)

// traces is all that a run could leave behind in a server that outlives it.
func (s *testServer) traces(t *testing.T) map[string]string {
	t.Helper()
	c := s.Root(t)
	defer c.Drop()
	var other dialect.Server
	rows, err := c.Query(t.Context(), "SELECT VERSION() AS v, @@version_comment AS c")
	if err != nil {
		t.Fatal(err)
	}
	other.Identify(rows[0]["v"], rows[0]["c"])
	all := map[string]string{}
	for _, statement := range []string{"SHOW GLOBAL VARIABLES", other.Dialect().BinlogStatus, "SHOW BINARY LOGS"} {
		rows, err := c.Query(t.Context(), statement)
		if err != nil || len(rows) == 0 {
			t.Fatalf("%s: %d rows, %v", statement, len(rows), err)
		}
		for i, r := range rows {
			if name, ok := r["variable_name"]; ok {
				all[name] = r["value"]
				continue
			}
			all[fmt.Sprintf("%s %d", statement, i)] = fmt.Sprint(r)
		}
	}
	return all
}

// TestNoTraces goes through runs that come off and runs that do not, on a replica
// that must not be written to, and finds its binlog, its GTIDs and all of its
// global variables as they were.
func TestNoTraces(t *testing.T) {
	for flavor, own := range map[string][]string{
		dialect.MariaDB: {"--log-slave-updates"},
		dialect.MySQL:   nil,
	} {
		t.Run(flavor, func(t *testing.T) {
			p := startPair(t, flavor, nil, own)
			if flavor == dialect.MySQL {
				p.run(t, p.replica, "SET GLOBAL super_read_only = ON")
			} else {
				p.run(t, p.replica, "SET GLOBAL read_only = ON")
			}
			p.caughtUp(t)
			before := p.replica.traces(t)
			s := p.replica.connect(t, func(c *Config) { c.PreliminaryFlush = FlushAlways })
			whole := func() {
				t.Helper()
				if _, err := s.Settle(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := s.Ready(t.Context(), 10*time.Second); err != nil {
					t.Fatal(err)
				}
				mustLock(t, s, 10*time.Second)
				if _, err := s.Coordinates(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := s.Verify(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			whole()
			if err := s.Unlock(t.Context()); err != nil {
				t.Fatal(err)
			}
			// Withdrawn.
			withdrawn := 0
			s.lock.Timeout = 20 * time.Microsecond
			for i := 0; i < 200 && withdrawn < 5; i++ {
				err := s.Lock(t.Context(), 10*time.Second)
				if _, no := errorAs[*snapshot.LockNotGrantedError](err); no {
					withdrawn++
				} else if err != nil {
					t.Fatal(err)
				}
				if err := s.Unlock(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if withdrawn == 0 {
				t.Error("no try was withdrawn")
			}
			s.lock.Timeout = time.Second
			// An administrator ends the holder.
			whole()
			if err := p.replica.Root(t).Exec(t.Context(), fmt.Sprintf("KILL %d", s.pair.A.ID)); err != nil {
				t.Fatal(err)
			}
			if _, lost := errorAs[*snapshot.LockLostError](s.Unlock(t.Context())); !lost {
				t.Error("the lock is not lost")
			}
			// Locked to the end.
			whole()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			p.replica.IsIdle(t, 0)
			if diff := cmp.Diff(before, p.replica.traces(t)); diff != "" {
				t.Errorf("not as it was:\n%s", diff)
			}
			p.caughtUp(t)
		})
	}
}
