package mysql

import (
	"slices"
	"strings"
	"testing"

	"stillpoint/internal/mysql/dialect"
)

// dialectRuns has a real server take every statement of its row.
func dialectRuns(t *testing.T, p *duo, s *Session, _ string) {
	d := s.pair.Server.Dialect()
	t.Logf("%s: %s (%s)", s.pair.Server.Version, d.Source, d.Evidence)
	if d.Evidence == dialect.EvidenceRead {
		t.Errorf("%s runs here, and its row says that none does", s.pair.Server.Version)
	}
	binlog := p.ask(t, p.replica, d.BinlogStatus)
	if binlog["file"] == "" || binlog["position"] == "" {
		t.Errorf("%s: %v", d.BinlogStatus, binlog)
	}
	status := p.ask(t, p.replica, d.ReplicaStatus)
	for _, column := range []string{d.Columns.Host, d.Columns.Port, d.Columns.IoRunning, d.Columns.SqlRunning, d.Columns.ExecutedFile, d.Columns.Executed, d.Columns.SqlErrno, d.Columns.UsesGTID} {
		if status[column] == "" {
			t.Errorf("%s has no %s", d.ReplicaStatus, column)
		}
	}
	if v := p.ask(t, p.replica, "SHOW GLOBAL STATUS LIKE '"+d.OpenTempTables+"'")["value"]; v != "0" {
		t.Errorf("%s is %q", d.OpenTempTables, v)
	}
	p.ask(t, p.replica, "SELECT @@global."+d.ParallelWorkers+" AS n")
	p.run(t, p.replica, d.Stop(""))
	if p.applies(t) {
		t.Errorf("%s did not stop it", d.Stop(""))
	}
	p.run(t, p.replica, d.Start(""))
	if !p.applies(t) {
		t.Errorf("%s did not start it", d.Start(""))
	}
	c := p.replica.Root(t)
	backup, _ := s.pair.Server.BackupMethod()
	for _, statement := range slices.Concat(backup.Steps, backup.Release) {
		if err := c.Exec(t.Context(), statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	// What the coordinates file says is to be typed; the source is that of now.
	m, err := s.Coordinates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.run(t, p.replica, p.stop())
	typed := 0
	for line := range strings.Lines(s.Tell(m)) {
		statement, ok := strings.CutPrefix(line, "#   ")
		if !ok || strings.Contains(statement, "'this server'") {
			continue
		}
		statement = strings.NewReplacer("USER = '...'", "USER = 'follower'", "PASSWORD = '...'", "PASSWORD = 'f'", "SOURCE_LOG_FILE", "SOURCE_AUTO_POSITION = 0, SOURCE_LOG_FILE").Replace(strings.TrimSpace(statement))
		p.run(t, p.replica, strings.TrimSuffix(statement, ";"))
		typed++
	}
	if typed == 0 {
		t.Error("nothing is to be typed")
	}
	if p.flavor == dialect.MySQL {
		p.run(t, p.replica, "CHANGE REPLICATION SOURCE TO SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1")
	} else {
		p.run(t, p.replica, "CHANGE MASTER TO MASTER_USE_GTID = slave_pos")
	}
	p.run(t, p.replica, p.start())
	p.caughtUp(t)
}
