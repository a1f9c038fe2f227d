package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stillpoint/messages"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// replicaOf sets a scene whose server is a replica of another one, which writes all
// the time, with a plan that stops the applier and writes the coordinates file.
func replicaOf(t *testing.T, flavor rig.Flavor) (ctx context.Context, s *scene.Scene, sheet string) {
	t.Helper()
	privileges := []string{"RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR, REPLICATION SLAVE ADMIN ON *.*"}
	options, rest := []string(nil), "--skip-slave-start"
	if flavor == rig.MySQL {
		privileges = []string{"FLUSH_TABLES, PROCESS, REPLICATION CLIENT, REPLICATION_SLAVE_ADMIN ON *.*", "SELECT ON performance_schema.*"}
		options, rest = []string{"--gtid-mode=ON", "--enforce-gtid-consistency=ON"}, "--skip-replica-start"
	}
	ctx, s = set(t, scene.Config{Flavor: flavor, Privileges: privileges, ServerOptions: options, RestoreOptions: []string{rest}, PlanYAML: "max_hold: 20s"})
	own := filepath.Join(s.Volumes[0].Mount, "stillpoint")
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	sheet = filepath.Join(own, "coordinates")
	text, err := os.ReadFile(s.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	more := "    mysql:\n      replica: stop_applier\n      coordinates_file: " + sheet + "\n"
	if err := os.WriteFile(s.ConfigPath, []byte(strings.Replace(string(text), "    mysql:\n", more, 1)), 0o600); err != nil {
		t.Fatal(err)
	}

	source, err := rig.StartServer(ctx, flavor, rig.ServerConfig{Datadir: filepath.Join(s.Dir, "source"), RunDir: filepath.Join(s.Dir, "run-src"), ServerID: 9, TCP: true, Options: options})
	if err != nil {
		t.Fatal(err)
	}
	s.Defer("the source", source.Discard)
	_, port, err := net.SplitHostPort(source.Address())
	if err != nil {
		t.Fatal(err)
	}
	do(t, ctx, source, "SET SESSION sql_log_bin = 0", "CREATE USER follower@'127.0.0.1' IDENTIFIED BY 'f'", "GRANT REPLICATION SLAVE ON *.* TO follower@'127.0.0.1'", "SET SESSION sql_log_bin = 1")
	if flavor == rig.MySQL {
		do(t, ctx, source, "RESET BINARY LOGS AND GTIDS") // before anybody has read it
		do(t, ctx, s.Server, "RESET BINARY LOGS AND GTIDS", "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = "+port+
			", SOURCE_USER = 'follower', SOURCE_PASSWORD = 'f', GET_SOURCE_PUBLIC_KEY = 1, SOURCE_AUTO_POSITION = 1", "START REPLICA")
	} else {
		do(t, ctx, source, "RESET MASTER")
		do(t, ctx, s.Server, "RESET MASTER", "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = "+port+
			", MASTER_USER = 'follower', MASTER_PASSWORD = 'f', MASTER_USE_GTID = slave_pos", "START SLAVE")
	}
	do(t, ctx, source, "CREATE DATABASE r", "CREATE TABLE r.t (i INT AUTO_INCREMENT PRIMARY KEY) ENGINE=InnoDB", "INSERT INTO r.t VALUES (1)")
	await(t, ctx, "the replica to follow", func() bool { return rows(s.Server) > 0 })
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				_, _ = source.DB().ExecContext(ctx, "INSERT INTO r.t VALUES ()")
			}
		}
	}()
	s.Defer("the writer", func(context.Context) error { close(done); <-ended; return nil })
	return ctx, s, sheet
}

func do(t *testing.T, ctx context.Context, s *rig.Server, statements ...string) {
	t.Helper()
	c, err := s.DB().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for _, statement := range statements {
		if _, err := c.ExecContext(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// rows is how many the replica has; 0 where the table is not there yet.
func rows(s *rig.Server) (n int) {
	_ = s.DB().QueryRow("SELECT COUNT(*) FROM r.t").Scan(&n)
	return n
}

// applied says whether the replica goes on.
func applied(t *testing.T, ctx context.Context, s *scene.Scene) {
	t.Helper()
	before := rows(s.Server)
	await(t, ctx, "the applier to go on", func() bool { return rows(s.Server) > before })
}

func gone(path string) bool {
	_, err := os.Lstat(path)
	return os.IsNotExist(err)
}

// A replica as the source: its applier rests while the set is made, the restored
// volume says by itself where it stands, and after SIGKILL the applier is started
// again by stillpoint thaw and by the next worker, and the file taken over by the next run.
func TestReplicaAsTheSource(t *testing.T) {
	each(t, func(t *testing.T, flavor rig.Flavor) {
		ctx, s, sheet := replicaOf(t, flavor)
		note := filepath.Join(s.RuntimeDir, "applier.json")
		run := func() *messages.Result {
			t.Helper()
			out, errs, code := cli(t, ctx, s, "snapshot", "--config", s.ConfigPath, "--json")
			r, err := messages.UnmarshalResult([]byte(out))
			if err != nil || code != 0 {
				t.Fatalf("exit %d, %v\n%s\n%s", code, err, out, errs)
			}
			if !gone(sheet) || !gone(note) {
				t.Error("the coordinates file or the note is still there")
			}
			applied(t, ctx, s)
			return r
		}
		r := run()
		m := r.MySQL
		if r.Consistency != messages.ConsistencyApplication || !m.CoordinatesExact || m.Replica == nil || m.Replica.ExecutedFile == "" || m.Replica.GTID == "" {
			t.Fatalf("%+v, %+v, %q", m, m.Replica, r.Warnings)
		}
		restored, err := s.Restore(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(restored.Volumes[0].Mount, "stillpoint", "coordinates"))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s", strings.TrimSpace(string(text)))
		for name, want := range map[string]string{
			"request_id": r.RequestID, "gtid": m.GTID, "binlog_file": m.BinlogFile, "source_executed_file": m.Replica.ExecutedFile,
			"source_executed_position": strconv.FormatUint(m.Replica.ExecutedPosition, 10), "source_gtid": m.Replica.GTID,
		} {
			if line := name + ": " + want; want != "" && !slices.Contains(strings.Split(string(text), "\n"), line) {
				t.Errorf("the file on the restored volume lacks %q", line)
			}
		}
		// What the coordinates say is what the copy has: its rows end with the source's last transaction in the GTID set.
		// (Two transactions made database and table.)
		if n := rows(restored.Server); n == 0 || !strings.HasSuffix(m.Replica.GTID, "-"+strconv.Itoa(n+2)) {
			t.Errorf("the copy has %d rows, and its GTID set is %s", n, m.Replica.GTID)
		}
		if err := restored.Close(); err != nil {
			t.Fatal(err)
		}

		w := work(t, ctx, s)
		inWindow(t, ctx, s, "killed", 3*time.Second)
		kill(t, w.PID(), syscall.SIGKILL)
		<-w.Exited()
		if gone(note) || gone(sheet) {
			t.Error("SIGKILL left no note, or no file")
		}
		stopped := rows(s.Server)
		var said string
		if flavor == rig.MariaDB { // the service's stop hook
			out, errs, code := cli(t, ctx, s, "thaw", "--runtime-dir", s.RuntimeDir)
			if said = out + errs; code != 0 {
				t.Errorf("thaw: exit %d", code)
			}
		} else { // the next worker
			w := work(t, ctx, s)
			await(t, ctx, "the note to be settled", func() bool { return gone(note) })
			await(t, ctx, "the log", func() bool { said = w.Log(); return strings.Contains(said, "a replica's applier was settled") })
			kill(t, w.PID(), syscall.SIGKILL) // a stop would wait for its poll
			<-w.Exited()
		}
		if !strings.Contains(said, "was started again") {
			t.Errorf("nobody says that the applier (at %d rows) was started again: %s", stopped, said)
		}
		applied(t, ctx, s)
		s.AWS.SetFaults()
		if r := run(); !strings.Contains(fmt.Sprint(r.Warnings), "it was taken over") {
			t.Errorf("the next run does not say that it took the file over: %q", r.Warnings)
		}
	})
}
