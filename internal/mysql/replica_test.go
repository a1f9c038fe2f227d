package mysql

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stillpoint/messages"
)

// exactly says whether what the replica has executed ends where the source's
// binlog has this place: the next transaction there is the first one that is missing.
func (p *pair) exactly(t *testing.T, r messages.Replica) bool {
	t.Helper()
	at := "'" + r.ExecutedFile + "', " + strconv.FormatUint(r.ExecutedPosition, 10)
	if p.flavor == flavorMariaDB {
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
	c := p.source.root(t)
	defer c.drop()
	rows, err := c.query(t.Context(), "SHOW BINLOG EVENTS IN '"+r.ExecutedFile+"' FROM "+strconv.FormatUint(r.ExecutedPosition, 10)+" LIMIT 1")
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
		flavorMariaDB: {
			{"one thread", []string{"SET GLOBAL slave_parallel_threads = 0"}, true},
			{"optimistic", []string{"SET GLOBAL slave_parallel_threads = 4", "SET GLOBAL slave_parallel_mode = optimistic"}, true},
			{"conservative", []string{"SET GLOBAL slave_parallel_mode = conservative"}, true},
			{"aggressive", []string{"SET GLOBAL slave_parallel_mode = aggressive"}, true},
		},
		flavorMySQL: {
			// 9.x makes 1 of a 0, see TestMySQLAlwaysHasWorkers.
			{"one worker", []string{"SET GLOBAL replica_parallel_workers = 1"}, false},
			{"in order", []string{"SET GLOBAL replica_parallel_workers = 4", "SET GLOBAL replica_preserve_commit_order = ON"}, false},
			{"out of order", []string{"SET GLOBAL replica_preserve_commit_order = OFF"}, false},
		},
	} {
		t.Run(flavor, func(t *testing.T) {
			p := startPair(t, flavor, []string{"--sync-binlog=0"}, nil)
			s := p.replica.connect(t, func(c *Config) { c.LockTimeout, c.LongQueryAfter = 5*time.Second, time.Hour })
			d := s.server.dialect()
			p.load(t, 4)
			for _, c := range settings {
				p.run(t, p.replica, append([]string{d.stop("")}, append(c.set, d.start(""))...)...)
				for _, stopped := range []bool{false, true} {
					exact, claimed := 0, 0
					for range 3 {
						time.Sleep(50 * time.Millisecond) // of load
						if stopped {
							p.run(t, p.replica, d.stop(""))
						}
						lock(t, s, 20*time.Second)
						before, err := s.Coordinates(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						status := p.status(t)
						raw := *before.Replica
						raw.ExecutedFile = status[d.columns.executedFile]
						raw.ExecutedPosition, _ = strconv.ParseUint(status[d.columns.executed], 10, 64)
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
							p.run(t, p.replica, d.start(""))
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
	rows, err := srv.root(t).query(t.Context(), "SELECT @@global.replica_parallel_workers AS n")
	if err != nil || rows[0]["n"] != "1" {
		t.Errorf("replica_parallel_workers is %v, %v: doubt counts on 1", rows, err)
	}
}

func TestToChannels(t *testing.T) {
	for name, c := range map[string]struct {
		rows  []row
		names replicaColumns
		want  []channel
	}{
		"MariaDB": {
			[]row{{
				"connection_name": "x", "master_host": "h", "master_port": "3307", "master_log_file": "src.9", "read_master_log_pos": "900", "slave_sql_running": "Yes",
				"relay_master_log_file": "src.7", "exec_master_log_pos": "700", "gtid_io_pos": "0-1-900", "last_sql_errno": "0", "using_gtid": "No",
			}},
			columnsMariaDB,
			[]channel{{name: "x", host: "h", port: 3307, applying: true, file: "src.7", position: 700}},
		},
		"MySQL": {
			[]row{{
				"channel_name": "", "source_host": "h", "source_port": "3306", "source_log_file": "src.9", "read_source_log_pos": "900", "relay_source_log_file": "src.7",
				"exec_source_log_pos": "700", "replica_sql_running": "No", "last_sql_errno": "1062", "auto_position": "1",
			}},
			columnsSource,
			[]channel{{host: "h", port: 3306, failed: true, usesGTID: true, file: "src.7", position: 700}},
		},
		"MySQL before 8.0.22": {
			[]row{{
				"channel_name": "", "master_host": "h", "master_port": "3306", "master_log_file": "src.9", "read_master_log_pos": "900", "relay_master_log_file": "src.7",
				"exec_master_log_pos": "700", "slave_sql_running": "No", "last_sql_errno": "0", "auto_position": "0",
			}},
			columnsMaster,
			[]channel{{host: "h", port: 3306, file: "src.7", position: 700}},
		},
	} {
		got, err := toChannels(c.rows, c.names)
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(channel{})); err != nil || diff != "" {
			t.Errorf("%s: %v, %s", name, err, diff)
		}
	}
	if _, err := toChannels([]row{{"master_host": "h"}}, columnsSource); err == nil {
		t.Error("columns of another version are taken")
	}
}

// TestDoubt has what no server here can show.
func TestDoubt(t *testing.T) {
	running, stopped := channel{applying: true}, channel{}
	for name, c := range map[string]struct {
		appliers appliers
		channel  channel
		doubt    bool
	}{
		"MySQL 8, no workers":                         {appliers{parallel: map[string]int{}}, running, false},
		"MySQL, coordinator":                          {appliers{parallel: map[string]int{"": 3}}, running, true},
		"MySQL, another channel has one":              {appliers{parallel: map[string]int{"x": 3}}, running, false},
		"MySQL, stopped":                              {appliers{parallel: map[string]int{"": 3}}, stopped, false},
		"MySQL, stopped by an error":                  {appliers{parallel: map[string]int{"": 3}}, channel{failed: true}, true},
		"MySQL, not at work since the start":          {appliers{parallel: map[string]int{"": 0}}, stopped, true},
		"MySQL, no performance_schema":                {appliers{unknown: true}, running, true},
		"MySQL, no performance_schema, stopped":       {appliers{unknown: true}, stopped, true},
		"MariaDB, one domain":                         {appliers{mariadb: true, threads: 4, domains: 1}, channel{usesGTID: true}, false},
		"MariaDB, two domains":                        {appliers{mariadb: true, threads: 4, domains: 2}, channel{usesGTID: true}, true},
		"MariaDB, two domains, one thread":            {appliers{mariadb: true, domains: 2}, channel{usesGTID: true}, false},
		"MariaDB, two domains, its place by position": {appliers{mariadb: true, threads: 4, domains: 2}, running, false},
	} {
		if got := c.appliers.doubt(c.channel); (got != "") != c.doubt {
			t.Errorf("%s: %q", name, got)
		}
	}
	if n := domains("0-1-5,7-2-9,0-3-6"); n != 2 {
		t.Errorf("%d domains", n)
	}
	if n := domains(""); n != 0 {
		t.Errorf("%d domains in none", n)
	}
}

// TestReplicaKinds: without GTIDs, without the replica's own log of what it
// replicates, stopped, and with several sources.
func TestReplicaKinds(t *testing.T) {
	t.Run(flavorMariaDB, func(t *testing.T) {
		p := startPair(t, flavorMariaDB, nil, []string{"--slave-parallel-threads=4"})
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
	t.Run(flavorMySQL, func(t *testing.T) {
		p := startPair(t, flavorMySQL, []string{"--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"}, []string{"--log-replica-updates=OFF"})
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
	lock(t, s, 10*time.Second)
	m, err := s.Coordinates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}
