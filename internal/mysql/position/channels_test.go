package position

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/wire"
)

func TestToChannels(t *testing.T) {
	for name, c := range map[string]struct {
		rows  []wire.Row
		names dialect.ReplicaColumns
		want  []channel
	}{
		"MariaDB": {
			[]wire.Row{{
				"connection_name": "x", "master_host": "h", "master_port": "3307", "master_log_file": "src.9", "read_master_log_pos": "900", "slave_sql_running": "Yes",
				"relay_master_log_file": "src.7", "exec_master_log_pos": "700", "gtid_io_pos": "0-1-900", "last_sql_errno": "0", "using_gtid": "No",
			}},
			dialect.Server{Flavor: dialect.MariaDB}.Dialect().Columns,
			[]channel{{Name: "x", host: "h", port: 3307, Applying: true, file: "src.7", position: 700}},
		},
		"MySQL": {
			[]wire.Row{{
				"channel_name": "", "source_host": "h", "source_port": "3306", "source_log_file": "src.9", "read_source_log_pos": "900", "relay_source_log_file": "src.7",
				"exec_source_log_pos": "700", "replica_sql_running": "No", "last_sql_errno": "1062", "auto_position": "1",
			}},
			dialect.Server{Flavor: dialect.MySQL, Number: 90704}.Dialect().Columns,
			[]channel{{host: "h", port: 3306, failed: true, usesGTID: true, file: "src.7", position: 700}},
		},
		"MySQL before 8.0.22": {
			[]wire.Row{{
				"channel_name": "", "master_host": "h", "master_port": "3306", "master_log_file": "src.9", "read_master_log_pos": "900", "relay_master_log_file": "src.7",
				"exec_master_log_pos": "700", "slave_sql_running": "No", "last_sql_errno": "0", "auto_position": "0",
			}},
			dialect.Server{Flavor: dialect.MySQL, Number: 80021}.Dialect().Columns,
			[]channel{{host: "h", port: 3306, file: "src.7", position: 700}},
		},
	} {
		got, err := toChannels(c.rows, c.names)
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(channel{})); err != nil || diff != "" {
			t.Errorf("%s: %v, %s", name, err, diff)
		}
	}
	if _, err := toChannels([]wire.Row{{"master_host": "h"}}, dialect.Server{Flavor: dialect.MySQL, Number: 90704}.Dialect().Columns); err == nil {
		t.Error("columns of another version are taken")
	}
}

// TestDoubt has what no server here can show.
func TestDoubt(t *testing.T) {
	running, stopped := channel{Applying: true}, channel{}
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
