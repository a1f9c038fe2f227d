package mysql

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/mysqltest"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
)

// applierSession is a session of the minimal user whose plan says replica:
// stop_applier, by a defaults file, as SettleApplier needs it.
func (p *duo) applierSession(t *testing.T, dir string) *Session {
	t.Helper()
	file := filepath.Join(dir, "my.cnf")
	text := fmt.Sprintf("[client]\nuser=%s\npassword='%s'\nsocket=%s\n", mysqltest.User, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(mysqltest.Password), p.replica.Socket)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p.replica.connect(t, func(c *Config) {
		*c = Config{DefaultsFile: file, StopApplier: true, RuntimeDir: dir, LockTimeout: time.Second}
	})
}

// letApply lets the minimal user stop and start the applier.
func (p *duo) letApply(t *testing.T) {
	t.Helper()
	name := map[string]string{dialect.MariaDB: "REPLICATION SLAVE ADMIN", dialect.MySQL: "REPLICATION_SLAVE_ADMIN"}[p.flavor]
	p.run(t, p.replica, "SET SESSION sql_log_bin = 0", "GRANT "+name+" ON *.* TO "+mysqltest.User+"@localhost")
}

func stopApplier(t *testing.T, s *Session) {
	t.Helper()
	if n, err := s.StopApplier(t.Context()); err != nil || n != 1 {
		t.Fatalf("%d appliers were stopped, %v", n, err)
	}
}

func startApplier(t *testing.T, s *Session) {
	t.Helper()
	if err := s.StartApplier(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func noted(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, NoteName))
	return err == nil
}

// long has the applier go through a statement of two seconds, and returns when it does.
func (p *duo) long(t *testing.T) {
	t.Helper()
	seconds := map[string]int{dialect.MariaDB: 1, dialect.MySQL: 2}[p.flavor] // MariaDB goes through it twice
	p.run(t, p.source, "SET GLOBAL binlog_format = STATEMENT")
	c := p.source.Root(t)
	if err := c.Exec(t.Context(), "SET SESSION binlog_format = STATEMENT"); err != nil {
		t.Fatal(err)
	}
	// It is quick on the source. (A plain @@server_id is the source's in MariaDB's applier too.)
	if err := c.Exec(t.Context(), fmt.Sprintf("INSERT INTO t.w (v) SELECT IF(@@global.server_id = 12, SLEEP(%d), 0)", seconds)); err != nil {
		t.Fatal(err)
	}
	watch := p.replica.Root(t)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		rows, err := watch.Query(t.Context(), "SELECT ID AS id FROM information_schema.PROCESSLIST WHERE STATE = 'User sleep' AND USER = 'system user'")
		if err == nil && len(rows) == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the applier does not sleep: %v", p.status(t))
		}
	}
}

func TestApplier(t *testing.T) {
	for _, flavor := range []string{dialect.MariaDB, dialect.MySQL} {
		t.Run(flavor, func(t *testing.T) {
			p := startPair(t, flavor, nil, nil)
			p.letApply(t)
			for _, c := range []struct {
				name string
				test func(t *testing.T, p *duo, s *Session, dir string)
			}{
				{"every statement", dialectRuns},
				{"a stop under the lock", stopUnderTheLock},
				{"run", applierRun},
				{"stopped by others", applierOfOthers},
				{"temporary tables", applierTemporaryTables},
				{"long statement", applierLong},
				{"long statement, several tries", applierLongTries},
				{"sessions killed", applierSessionsKilled},
				{"SIGKILL", applierSIGKILL},
				{"SIGKILL in a stop", applierSIGKILLStopping},
				{"started by others", applierStarted},
				{"server restarted", applierRestarted},
			} {
				ok := t.Run(c.name, func(t *testing.T) {
					dir := t.TempDir()
					if err := os.Chmod(dir, 0o700); err != nil {
						t.Fatal(err)
					}
					c.test(t, p, p.applierSession(t, dir), dir)
					if noted(dir) {
						t.Error("the note is still there")
					}
				})
				if !ok {
					return
				}
			}
		})
	}
}

func applierRun(t *testing.T, p *duo, s *Session, dir string) {
	p.load(t, 2)
	for range 3 {
		stopApplier(t, s)
		if p.applies(t) {
			t.Error("the applier runs")
		}
		note := filepath.Join(dir, NoteName)
		info, err := os.Stat(note)
		text, _ := os.ReadFile(note)
		if err != nil || info.Mode().Perm() != 0o600 || strings.Contains(string(text), "s3cret") || !strings.Contains(string(text), `"phase":"stopped "`) {
			t.Errorf("the note: %v, %v, %s", info, err, text)
		}
		if _, err := s.StopApplier(t.Context()); err == nil {
			t.Error("stopped twice")
		}
		mustLock(t, s, 10*time.Second)
		m, err := s.Coordinates(t.Context())
		if err != nil || m.Replica.ExecutedFile == "" || !p.exactly(t, *m.Replica) {
			t.Errorf("coordinates: %+v, %v", m.Replica, err)
		}
		if _, err := s.StopApplier(t.Context()); err == nil {
			t.Error("stopped under the lock")
		}
		if err := s.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
		startApplier(t, s)
		if !p.applies(t) || noted(dir) {
			t.Error("the applier does not run, or the note is left")
		}
		startApplier(t, s) // nothing to do
	}
}

func applierOfOthers(t *testing.T, p *duo, s *Session, dir string) {
	d := s.pair.Server.Dialect()
	p.run(t, p.replica, d.Stop(""))
	if n, err := s.StopApplier(t.Context()); n != 0 || err != nil || noted(dir) {
		t.Errorf("%d stopped, %v", n, err)
	}
	startApplier(t, s)
	if did, err := SettleApplier(t.Context(), dir); len(did) > 0 || err != nil {
		t.Error(did, err)
	}
	if p.applies(t) {
		t.Error("an applier that someone else had stopped was started")
	}
	p.run(t, p.replica, d.Start(""))
}

func applierTemporaryTables(t *testing.T, p *duo, s *Session, _ string) {
	c := p.source.Root(t)
	for _, statement := range []string{"SET SESSION binlog_format = STATEMENT", "CREATE TEMPORARY TABLE t.tmp (i INT)", "INSERT INTO t.tmp VALUES (1)"} {
		if err := c.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	p.caughtUp(t)
	n, err := s.StopApplier(t.Context())
	no, ok := errorAs[*snapshot.LockNotGrantedError](err)
	if !ok || !no.Waited || !strings.Contains(no.Blockers, "1 temporary table") {
		t.Errorf("%d, %v", n, err)
	}
	startApplier(t, s)
	if !p.applies(t) {
		t.Error("the applier does not run")
	}
	if err := c.Exec(t.Context(), "DROP TEMPORARY TABLE t.tmp"); err != nil {
		t.Fatal(err)
	}
	p.caughtUp(t)
	stopApplier(t, s)
	startApplier(t, s)
}

func applierLong(t *testing.T, p *duo, s *Session, dir string) {
	s.applier.Within = 300 * time.Millisecond
	p.long(t)
	_, err := s.StopApplier(t.Context())
	if no, ok := errorAs[*snapshot.LockNotGrantedError](err); !ok || !strings.Contains(no.Blockers, "in the middle of something long") {
		t.Errorf("%v", err)
	}
	if !noted(dir) {
		t.Error("no note, and a stop is under way")
	}
	startApplier(t, s) // waits for the stop
	if !p.applies(t) {
		t.Error("the applier does not run")
	}
	p.caughtUp(t)
	if !p.applies(t) {
		t.Error("the applier has stopped after all")
	}
}

// An applier that outlasts the stop and the start of one try is what the next one
// finds: that waits in its turn, and the last start comes off.
func applierLongTries(t *testing.T, p *duo, s *Session, dir string) {
	s.applier.Within = 100 * time.Millisecond
	p.long(t)
	for try := range 2 {
		n, err := s.StopApplier(t.Context())
		if no, ok := errorAs[*snapshot.LockNotGrantedError](err); !ok || !no.Waited {
			t.Fatalf("try %d: %d, %v", try, n, err)
		}
		ctx, cancel := contextWithin(t, 100*time.Millisecond)
		if err := s.StartApplier(ctx); err == nil || !noted(dir) {
			t.Fatalf("try %d: the start came off, or the note is gone: %v", try, err)
		}
		cancel()
	}
	s.applier.Within = 20 * time.Second
	stopApplier(t, s)
	startApplier(t, s)
	p.caughtUp(t)
	if !p.applies(t) {
		t.Error("the applier does not run")
	}
}

func applierSessionsKilled(t *testing.T, p *duo, s *Session, _ string) {
	stopApplier(t, s)
	mustLock(t, s, 10*time.Second)
	root := p.replica.Root(t)
	for _, c := range []*wire.Conn{s.pair.A, s.pair.B} {
		if err := root.Exec(t.Context(), fmt.Sprintf("KILL %d", c.ID)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Unlock(t.Context()); err == nil {
		t.Error("the lock was not lost")
	}
	startApplier(t, s)
	if !p.applies(t) {
		t.Error("the applier does not run")
	}
}

// abandon does to a session what SIGKILL does.
func abandon(s *Session) {
	s.pair.A.Cut()
	s.pair.B.Cut()
	s.applier.LetGo()
}

func applierSIGKILL(t *testing.T, p *duo, s *Session, dir string) {
	stopApplier(t, s)
	mustLock(t, s, 10*time.Second)
	busy, cancel := contextWithin(t, 300*time.Millisecond)
	defer cancel()
	if _, err := SettleApplier(busy, dir); !errors.Is(err, ErrApplierBusy) {
		t.Errorf("beside a living run: %v", err)
	}
	abandon(s)
	did, err := SettleApplier(t.Context(), dir)
	if err != nil || len(did) != 1 || !strings.Contains(did[0], "was started again") {
		t.Error(did, err)
	}
	if !p.applies(t) {
		t.Error("the applier does not run")
	}
	p.caughtUp(t)
}

func applierSIGKILLStopping(t *testing.T, p *duo, s *Session, dir string) {
	s.applier.Within = 300 * time.Millisecond
	p.long(t)
	if _, err := s.StopApplier(t.Context()); err == nil {
		t.Fatal("it has stopped")
	}
	abandon(s)
	if !p.applies(t) {
		t.Error("the stop is not under way any more")
	}
	// The next run waits for it in its tries.
	next := p.applierSession(t, dir)
	next.applier.Within = 100 * time.Millisecond
	_, err := next.StopApplier(t.Context())
	if no, ok := errorAs[*snapshot.LockNotGrantedError](err); !ok || !no.Waited {
		t.Errorf("the next run: %v", err)
	}
	did, err := SettleApplier(t.Context(), dir)
	if err != nil || len(did) != 1 {
		t.Error(did, err)
	}
	p.caughtUp(t)
	if !p.applies(t) {
		t.Error("the applier does not run")
	}
}

func applierStarted(t *testing.T, p *duo, s *Session, dir string) {
	stopApplier(t, s)
	abandon(s)
	p.run(t, p.replica, s.pair.Server.Dialect().Start(""))
	did, err := SettleApplier(t.Context(), dir)
	if err != nil || len(did) != 1 || !strings.Contains(did[0], "runs again already") {
		t.Error(did, err)
	}
}

func applierRestarted(t *testing.T, p *duo, s *Session, dir string) {
	// Many sessions later, so that the ids tell.
	for range 20 {
		p.replica.Root(t).Drop()
	}
	if err := s.pair.Revive(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.pair.B.Drop()
	stopApplier(t, s)
	abandon(s)
	p.replica.Restart(t, map[string]string{dialect.MariaDB: "--skip-slave-start", dialect.MySQL: "--skip-replica-start"}[p.flavor])
	did, err := SettleApplier(t.Context(), dir)
	if err != nil || len(did) != 1 || !strings.Contains(did[0], "was restarted since") {
		t.Error(did, err)
	}
	if p.applies(t) {
		t.Error("the applier of a server that was started without was started")
	}
}

// stopUnderTheLock shows why StopApplier comes first.
func stopUnderTheLock(t *testing.T, p *duo, s *Session, _ string) {
	d := s.pair.Server.Dialect()
	mustLock(t, s, 20*time.Second)
	p.run(t, p.source, "INSERT INTO t.w (v) VALUES (1)")
	for !strings.Contains(p.waiting(t), "lock") {
		time.Sleep(5 * time.Millisecond)
	}
	c, done := p.replica.Root(t), make(chan error, 1)
	go func() { done <- c.ExecUnbounded(d.Stop("")) }()
	select {
	case err := <-done:
		t.Errorf("a stop came off under the lock: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	if err := s.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	// A start does not wait for the lock.
	mustLock(t, s, 20*time.Second)
	p.run(t, p.replica, d.Start(""))
	if err := s.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// waiting are the states of the replica's own threads.
func (p *duo) waiting(t *testing.T) string {
	t.Helper()
	c := p.replica.Root(t)
	defer c.Drop()
	rows, err := c.Query(t.Context(), "SELECT STATE AS state FROM information_schema.PROCESSLIST WHERE USER = 'system user'")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(rows)
}
