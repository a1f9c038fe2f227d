package mysql

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"stillpoint/internal/snapshot"
)

// oracle is a running MySQL server, with binlog and GTIDs and a root without a
// password, whose socket STILLPOINT_TEST_MYSQL_SOCKET names. It is left with a
// database t and a user stillpoint.
func oracle(t *testing.T) *testServer {
	t.Helper()
	socket := os.Getenv("STILLPOINT_TEST_MYSQL_SOCKET")
	if socket == "" {
		t.Skip("no Oracle MySQL here: set STILLPOINT_TEST_MYSQL_SOCKET to the socket of one")
	}
	srv := &testServer{socket: socket}
	root := srv.root(t)
	for _, statement := range []string{
		"DROP DATABASE IF EXISTS t", "CREATE DATABASE t", "CREATE TABLE t.a (i INT PRIMARY KEY, v INT)", "CREATE TABLE t.w (i INT AUTO_INCREMENT PRIMARY KEY, v INT)",
		"INSERT INTO t.a VALUES (1,1),(2,2),(3,3),(4,4),(5,5)",
		"DROP USER IF EXISTS " + testUser + "@localhost, nobody@localhost",
		"CREATE USER " + testUser + "@localhost IDENTIFIED BY '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(testPassword) + "'",
		"GRANT FLUSH_TABLES, REPLICATION CLIENT, PROCESS ON *.* TO " + testUser + "@localhost",
		"GRANT SELECT ON performance_schema.* TO " + testUser + "@localhost",
		"CREATE USER nobody@localhost",
	} {
		if err := root.exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return srv
}

// mysqlWrites inserts one row, in at most a second of waiting.
func mysqlWrites(t *testing.T, c *conn) error {
	t.Helper()
	if err := c.exec(t.Context(), "SET SESSION lock_wait_timeout = 1"); err != nil {
		return err
	}
	return c.exec(t.Context(), "INSERT INTO t.w (v) VALUES (1)")
}

func TestMySQLHold(t *testing.T) {
	srv := oracle(t)
	s := srv.connect(t, nil)
	root := srv.root(t)
	t.Logf("%+v", s.server)
	did, err := s.Settle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Log(did)
	lock(t, s, 10*time.Second)
	before, err := s.Coordinates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", before)
	if before.BinlogFile == "" || before.GTID == "" || before.Replica != nil {
		t.Errorf("coordinates: %+v", before)
	}
	if err := mysqlWrites(t, root); !isNotGranted(err) {
		t.Errorf("a write was not blocked: %v", err)
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	after, err := s.Coordinates(t.Context())
	if err != nil || !reflect.DeepEqual(after, before) {
		t.Errorf("coordinates: %+v, %v", after, err)
	}
	// A lock that is not there is seen, on a session that answers.
	if err := s.a.exec(t.Context(), "UNLOCK TABLES"); err != nil {
		t.Fatal(err)
	}
	if _, lost := errorAs[*snapshot.LockLostError](s.Verify(t.Context())); !lost {
		t.Error("Verify does not see that the lock is lost")
	}
	if err := s.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	if err := mysqlWrites(t, root); err != nil {
		t.Error(err)
	}
	lock(t, s, 10*time.Second)
	if err := root.exec(t.Context(), fmt.Sprintf("KILL %d", s.a.id)); err != nil {
		t.Fatal(err)
	}
	if _, lost := errorAs[*snapshot.LockLostError](s.Unlock(t.Context())); !lost {
		t.Error("Unlock does not say that the lock was lost")
	}
	lock(t, s, 1500*time.Millisecond)
	start := time.Now()
	for mysqlWrites(t, root) != nil {
	}
	t.Logf("hold 1.5s: writes flow after %v", time.Since(start))
	if _, lost := errorAs[*snapshot.LockLostError](s.Verify(t.Context())); !lost {
		t.Error("Verify does not see that the lock is lost")
	}
}

func TestMySQLBlockers(t *testing.T) {
	srv := oracle(t)
	s := srv.connect(t, func(c *Config) { c.LongQueryAfter = 100 * time.Millisecond })
	for _, c := range []struct {
		name   string
		run    []string
		blocks bool
	}{
		{"select", []string{"SELECT SLEEP(30) FROM t.a"}, true},
		{"update", []string{longUpdate}, true},
		{"read lock", []string{"LOCK TABLES t.a READ", "SELECT SLEEP(30)"}, true},
		{"sleep", []string{"DO SLEEP(30)"}, false},
		{"open transaction", []string{"BEGIN", "UPDATE t.a SET v = 0", "SELECT SLEEP(30)"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			stop := srv.busy(t, c.run...)
			time.Sleep(150 * time.Millisecond)
			did, err := s.Settle(t.Context())
			t.Log(did, err)
			err = s.Lock(t.Context(), 10*time.Second)
			refused, ok := errorAs[*snapshot.LockNotGrantedError](err)
			t.Log(err)
			if c.blocks != (ok && refused.Waited) || !c.blocks && err != nil {
				t.Errorf("Lock: %v", err)
			}
			if err := s.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
			// Nothing was left flush-pending.
			start := time.Now()
			if _, err := srv.root(t).query(t.Context(), "SELECT COUNT(*) AS n FROM t.a"); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("a SELECT took %v", took)
			}
			stop()
			waitGone(t, s)
		})
	}
}

func TestMySQLWithdrawn(t *testing.T) {
	srv := oracle(t)
	s := srv.connect(t, func(c *Config) { c.LongQueryAfter = time.Hour })
	stop := srv.busy(t, longUpdate)
	for range 3 {
		start := time.Now()
		err := s.Lock(t.Context(), 10*time.Second)
		t.Log(time.Since(start), err)
		if _, ok := errorAs[*snapshot.LockNotGrantedError](err); !ok {
			t.Fatal(err)
		}
		start = time.Now()
		if err := mysqlWrites(t, srv.root(t)); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("a write took %v", took)
		}
	}
	stop()
	waitGone(t, s)
	root := srv.root(t)
	granted := 0
	for i := range 150 {
		s.cfg.LockTimeout = time.Duration(20+i*20) * time.Microsecond
		err := s.Lock(t.Context(), 10*time.Second)
		if err == nil {
			granted++
			if err := s.Verify(t.Context()); err != nil {
				t.Fatalf("%v: %v", s.cfg.LockTimeout, err)
			}
			if err := s.Unlock(t.Context()); err != nil {
				t.Fatalf("%v: %v", s.cfg.LockTimeout, err)
			}
		} else if _, ok := errorAs[*snapshot.LockNotGrantedError](err); !ok {
			t.Fatalf("%v: %v", s.cfg.LockTimeout, err)
		}
		if err := mysqlWrites(t, root); err != nil {
			t.Fatalf("%v: a write is blocked although nothing is held: %v", s.cfg.LockTimeout, err)
		}
	}
	t.Logf("%d of 150 granted", granted)
	n := map[string]int{}
	for i := range 150 {
		done := make(chan error, 1)
		go func() { done <- s.a.execUnbounded(statementLock) }()
		time.Sleep(time.Duration(i*5) * time.Microsecond)
		_ = s.b.exec(context.Background(), fmt.Sprintf("KILL QUERY %d", s.a.id))
		err := <-done
		rows, qerr := root.query(t.Context(), "SELECT COUNT(*) AS n FROM performance_schema.metadata_locks WHERE OBJECT_TYPE = 'GLOBAL' AND LOCK_TYPE = 'SHARED' AND LOCK_STATUS = 'GRANTED'")
		if qerr != nil {
			t.Fatal(qerr)
		}
		n[fmt.Sprintf("answer %v, holds %s", err, rows[0]["n"])]++
		if err := s.a.exec(t.Context(), "UNLOCK TABLES"); err != nil {
			t.Log("UNLOCK", err)
		}
	}
	t.Log(n)
}

func TestMySQLRefused(t *testing.T) {
	srv := oracle(t)
	cfg := srv.config()
	cfg.User, cfg.Password = "nobody", ""
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Connect(t.Context())
	if _, ok := errorAs[*snapshot.RefusedError](err); !ok || !strings.Contains(err.Error(), "GRANT FLUSH_TABLES") {
		t.Error(err)
	}
	t.Log(err)
}
