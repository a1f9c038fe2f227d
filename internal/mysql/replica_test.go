package mysql

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/messages"
)

// exactly says whether what the replica has executed ends where the source's
// binlog has this place: the next transaction there is the first one that is missing.
func (p *duo) exactly(t *testing.T, r messages.Replica) bool {
	t.Helper()
	at := "'" + r.ExecutedFile + "', " + strconv.FormatUint(r.ExecutedPosition, 10)
	if p.flavor == dialect.MariaDB {
		return p.ask(t, p.source, "SELECT BINLOG_GTID_POS("+at+") AS g")["g"] == r.GTID
	}
	_, set, _ := strings.Cut(r.GTID, ":")
	if strings.ContainsAny(set, ":,") {
		return false
	}
	last, err := strconv.Atoi(set[strings.LastIndex(set, "-")+1:])
	if err != nil {
		t.Fatal(err)
	}
	c := p.source.Root(t)
	defer c.Drop()
	rows, err := c.Query(t.Context(), "SHOW BINLOG EVENTS IN '"+r.ExecutedFile+"' FROM "+strconv.FormatUint(r.ExecutedPosition, 10)+" LIMIT 1")
	if err != nil || len(rows) != 1 {
		t.Fatalf("%d events, %v", len(rows), err)
	}
	return strings.HasSuffix(rows[0]["info"], ":"+strconv.Itoa(last+1)+"'")
}

// TestExecutedPositions takes coordinates on replicas under load, with the applier
// stalled by the lock wherever it just was, and holds them against the source's binlog.
func TestExecutedPositions(t *testing.T) {
	type setting struct {
		name    string
		set     []string
		claimed bool // with the applier running
	}
	for flavor, settings := range map[string][]setting{
		dialect.MariaDB: {
			{"one thread", []string{"SET GLOBAL slave_parallel_threads = 0"}, true},
			{"optimistic", []string{"SET GLOBAL slave_parallel_threads = 4", "SET GLOBAL slave_parallel_mode = optimistic"}, true},
			{"conservative", []string{"SET GLOBAL slave_parallel_mode = conservative"}, true},
			{"aggressive", []string{"SET GLOBAL slave_parallel_mode = aggressive"}, true},
		},
		dialect.MySQL: {
			// 9.x makes 1 of a 0, see TestMySQLAlwaysHasWorkers.
			{"one worker", []string{"SET GLOBAL replica_parallel_workers = 1"}, false},
			{"in order", []string{"SET GLOBAL replica_parallel_workers = 4", "SET GLOBAL replica_preserve_commit_order = ON"}, false},
			{"out of order", []string{"SET GLOBAL replica_preserve_commit_order = OFF"}, false},
		},
	} {
		t.Run(flavor, func(t *testing.T) {
			p := startPair(t, flavor, []string{"--sync-binlog=0"}, nil)
			s := p.replica.connect(t, func(c *Config) { c.LockTimeout, c.LongQueryAfter = 5*time.Second, time.Hour })
			d := s.pair.Server.Dialect()
			p.load(t, 4)
			for _, c := range settings {
				p.run(t, p.replica, append([]string{d.Stop("")}, append(c.set, d.Start(""))...)...)
				for _, stopped := range []bool{false, true} {
					exact, claimed := 0, 0
					for range 3 {
						time.Sleep(50 * time.Millisecond) // of load
						if stopped {
							p.run(t, p.replica, d.Stop(""))
						}
						mustLock(t, s, 20*time.Second)
						before, err := s.Coordinates(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						status := p.status(t)
						raw := *before.Replica
						raw.ExecutedFile = status[d.Columns.ExecutedFile]
						raw.ExecutedPosition, _ = strconv.ParseUint(status[d.Columns.Executed], 10, 64)
						if p.exactly(t, raw) {
							exact++
						}
						if before.Replica.ExecutedFile != "" {
							claimed++
							if !p.exactly(t, *before.Replica) {
								t.Errorf("%s, stopped %v: %+v is not where the applier is", c.name, stopped, *before.Replica)
							}
						} else if before.Replica.PositionOmitted == "" {
							t.Errorf("%s, stopped %v: no position, and no reason: %+v", c.name, stopped, *before.Replica)
						}
						after, err := s.Coordinates(t.Context())
						if diff := cmp.Diff(before, after); err != nil || diff != "" {
							t.Errorf("they moved under the lock: %v\n%s", err, diff)
						}
						if err := s.Unlock(t.Context()); err != nil {
							t.Fatal(err)
						}
						if stopped {
							p.run(t, p.replica, d.Start(""))
						}
					}
					t.Logf("%-12s stopped %-5v: %d of 3 positions were exact, %d were claimed", c.name, stopped, exact, claimed)
					if want := map[bool]int{true: 3}[c.claimed || stopped]; claimed != want {
						t.Errorf("%s, stopped %v: %d positions were claimed, want %d", c.name, stopped, claimed, want)
					}
				}
			}
		})
	}
}

// TestMySQLAlwaysHasWorkers: an applier without a coordinator is no more.
func TestMySQLAlwaysHasWorkers(t *testing.T) {
	srv := startMySQL(t, "--replica-parallel-workers=0")
	rows, err := srv.Root(t).Query(t.Context(), "SELECT @@global.replica_parallel_workers AS n")
	if err != nil || rows[0]["n"] != "1" {
		t.Errorf("replica_parallel_workers is %v, %v: doubt counts on 1", rows, err)
	}
}

// TestReplicaKinds: without GTIDs, without the replica's own log of what it
// replicates, stopped, and with several sources.
func TestReplicaKinds(t *testing.T) {
	t.Run(dialect.MariaDB, func(t *testing.T) {
		p := startPair(t, dialect.MariaDB, nil, []string{"--slave-parallel-threads=4"})
		p.run(t, p.replica, p.stop(), "CHANGE MASTER TO MASTER_USE_GTID = no",
			"CHANGE MASTER 'second' TO MASTER_HOST = '127.0.0.2', MASTER_PORT = 1, MASTER_LOG_FILE = 'x.000003', MASTER_LOG_POS = 333", "START SLAVE")
		p.caughtUp(t)
		m := coordinates(t, p.replica)
		at := p.position(t)
		source := p.ask(t, p.source, "SELECT @@global.gtid_binlog_pos AS g")["g"]
		// What was replicated is not in the replica's own binlog.
		if strings.Contains(m.GTID, source) || source == "" {
			t.Errorf("GTID %q has the source's %q", m.GTID, source)
		}
		want := &messages.Replica{SourceHost: "127.0.0.1", SourcePort: p.port, ExecutedFile: at.file, ExecutedPosition: at.position, GTID: source}
		if diff := cmp.Diff(want, m.Replica); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]messages.Replica{{Channel: "second", SourceHost: "127.0.0.2", SourcePort: 1, ExecutedFile: "x.000003", ExecutedPosition: 333}}, m.OtherSources); diff != "" {
			t.Error(diff)
		}
		p.run(t, p.replica, p.stop())
		p.run(t, p.source, "INSERT INTO t.w (v) VALUES (1)")
		if diff := cmp.Diff(want, coordinates(t, p.replica).Replica); diff != "" {
			t.Error("stopped:", diff)
		}
		// Now with a second domain: out of order it may be.
		p.run(t, p.replica, "CHANGE MASTER TO MASTER_USE_GTID = slave_pos", "SET GLOBAL gtid_slave_pos = '"+source+",9-9-9'")
		if r := coordinates(t, p.replica).Replica; r.ExecutedFile != "" || !strings.Contains(r.PositionOmitted, "domains") || !strings.Contains(r.GTID, "9-9-9") {
			t.Errorf("two domains: %+v", r)
		}
	})
	t.Run(dialect.MySQL, func(t *testing.T) {
		p := startPair(t, dialect.MySQL, []string{"--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"}, []string{"--log-replica-updates=OFF"})
		p.run(t, p.replica, "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.2', SOURCE_PORT = 1, SOURCE_LOG_FILE = 'x.000003', SOURCE_LOG_POS = 333 FOR CHANNEL 'second'")
		m := coordinates(t, p.replica)
		if m.GTID != "" || m.Replica.GTID != "" || m.Replica.ExecutedFile != "" || m.Replica.PositionOmitted == "" {
			t.Errorf("running: %+v, %+v", m, m.Replica)
		}
		p.run(t, p.replica, "STOP REPLICA SQL_THREAD FOR CHANNEL ''")
		at := p.position(t)
		m = coordinates(t, p.replica)
		if diff := cmp.Diff(&messages.Replica{SourceHost: "127.0.0.1", SourcePort: p.port, ExecutedFile: at.file, ExecutedPosition: at.position}, m.Replica); diff != "" {
			t.Error("stopped:", diff)
		}
		if len(m.OtherSources) != 1 || m.OtherSources[0].Channel != "second" {
			t.Errorf("%+v", m.OtherSources)
		}
	})
}

// coordinates are those that a lock of the minimal user finds.
func coordinates(t *testing.T, srv *testServer) messages.MySQL {
	t.Helper()
	s := srv.connect(t, nil)
	mustLock(t, s, 10*time.Second)
	m, err := s.Coordinates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}
