package mysql

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestDialects holds, for each row of the table, what its servers are asked.
func TestDialects(t *testing.T) {
	const (
		binlogOld, binlogNew = "SHOW MASTER STATUS", "SHOW BINARY LOG STATUS"
		slaves, slave        = "SHOW ALL SLAVES STATUS", "SHOW SLAVE STATUS"
		replica              = "SHOW REPLICA STATUS"
		stopMaria            = "STOP SLAVE 'c' SQL_THREAD"
		stopSlave            = "STOP SLAVE SQL_THREAD FOR CHANNEL 'c'"
		stopReplica          = "STOP REPLICA SQL_THREAD FOR CHANNEL 'c'"
		slaveTemp            = "Slave_open_temp_tables"
		replicaTemp          = "Replica_open_temp_tables"
		changeMaster         = "CHANGE MASTER TO"
		changeSource         = "CHANGE REPLICATION SOURCE TO"
		stages, instance     = "BACKUP STAGE START", "LOCK INSTANCE FOR BACKUP"
	)
	used := map[int]bool{}
	for _, c := range []struct {
		flavor, version                 string
		evidence                        evidence
		binlog, replica, executed, stop string
		temp, workers, change, backup   string
		percona                         bool
	}{
		{flavorMariaDB, "10.3.39", evidenceRead, binlogOld, slaves, "exec_master_log_pos", stopMaria, slaveTemp, "slave_parallel_threads", "CHANGE MASTER %s TO", "", false},
		{flavorMariaDB, "10.4.34", evidenceRead, binlogOld, slaves, "exec_master_log_pos", stopMaria, slaveTemp, "slave_parallel_threads", "CHANGE MASTER %s TO", stages, false},
		{flavorMariaDB, "10.6.21", evidenceRead, binlogOld, slaves, "exec_master_log_pos", stopMaria, slaveTemp, "slave_parallel_threads", "CHANGE MASTER %s TO", stages, false},
		{flavorMariaDB, "10.11.14", evidenceRun, binlogOld, slaves, "exec_master_log_pos", stopMaria, slaveTemp, "slave_parallel_threads", "CHANGE MASTER %s TO", stages, false},
		{flavorMariaDB, "11.8.9", evidenceByHand, binlogOld, slaves, "exec_master_log_pos", stopMaria, slaveTemp, "slave_parallel_threads", "CHANGE MASTER %s TO", stages, false},
		{flavorMariaDB, "12.1.2", evidenceRead, binlogOld, slaves, "exec_master_log_pos", stopMaria, slaveTemp, "slave_parallel_threads", "CHANGE MASTER %s TO", stages, false},
		{flavorMySQL, "5.7.44", evidenceRead, binlogOld, slave, "exec_master_log_pos", stopSlave, slaveTemp, "slave_parallel_workers", changeMaster, "", false},
		{flavorMySQL, "8.0.21", evidenceRead, binlogOld, slave, "exec_master_log_pos", stopSlave, slaveTemp, "slave_parallel_workers", changeMaster, instance, false},
		{flavorMySQL, "8.0.22", evidenceRead, binlogOld, replica, "exec_source_log_pos", stopReplica, slaveTemp, "slave_parallel_workers", changeMaster, instance, false},
		{flavorMySQL, "8.0.23", evidenceRead, binlogOld, replica, "exec_source_log_pos", stopReplica, slaveTemp, "slave_parallel_workers", changeSource, instance, false},
		{flavorMySQL, "8.0.44", evidenceRead, binlogOld, replica, "exec_source_log_pos", stopReplica, replicaTemp, "replica_parallel_workers", changeSource, instance, false},
		{flavorMySQL, "8.1.0", evidenceRead, binlogOld, replica, "exec_source_log_pos", stopReplica, replicaTemp, "replica_parallel_workers", changeSource, instance, false},
		{flavorMySQL, "8.2.0", evidenceRead, binlogNew, replica, "exec_source_log_pos", stopReplica, replicaTemp, "replica_parallel_workers", changeSource, instance, false},
		{flavorMySQL, "8.4.7", evidenceRead, binlogNew, replica, "exec_source_log_pos", stopReplica, replicaTemp, "replica_parallel_workers", changeSource, instance, false},
		{flavorMySQL, "9.7.4", evidenceRun, binlogNew, replica, "exec_source_log_pos", stopReplica, replicaTemp, "replica_parallel_workers", changeSource, instance, false},
		{flavorPercona, "5.7.44-48", evidenceRead, binlogOld, slave, "exec_master_log_pos", stopSlave, slaveTemp, "slave_parallel_workers", changeMaster, "", true},
		{flavorPercona, "8.0.21-12", evidenceRead, binlogOld, slave, "exec_master_log_pos", stopSlave, slaveTemp, "slave_parallel_workers", changeMaster, instance, true},
		{flavorPercona, "8.0.22-13", evidenceRead, binlogOld, replica, "exec_source_log_pos", stopReplica, slaveTemp, "slave_parallel_workers", changeMaster, instance, true},
		{flavorPercona, "8.0.25-15", evidenceRead, binlogOld, replica, "exec_source_log_pos", stopReplica, slaveTemp, "slave_parallel_workers", changeSource, instance, true},
		{flavorPercona, "8.0.43-34", evidenceRead, binlogOld, replica, "exec_source_log_pos", stopReplica, replicaTemp, "replica_parallel_workers", changeSource, instance, true},
		{flavorPercona, "8.4.6-6", evidenceRead, binlogNew, replica, "exec_source_log_pos", stopReplica, replicaTemp, "replica_parallel_workers", changeSource, instance, true},
	} {
		var s server
		comment := map[string]string{flavorPercona: "Percona Server (GPL)", flavorMySQL: "MySQL Community Server - GPL", flavorMariaDB: "mariadb.org binary distribution"}[c.flavor]
		s.identify(c.version, comment)
		d := s.dialect()
		for i, row := range dialects {
			if fmt.Sprint(row) == fmt.Sprint(d) {
				used[i] = true
			}
		}
		backup := ""
		if d.backup != nil {
			backup = d.backup.steps[0]
		}
		for _, check := range []struct{ what, got, want string }{
			{"flavor", s.flavor, c.flavor},
			{"evidence", string(d.evidence), string(c.evidence)},
			{"binlog status", d.binlogStatus, c.binlog},
			{"replica status", d.replicaStatus, c.replica},
			{"executed position", d.columns.executed, c.executed},
			{"stop", d.stop("c"), c.stop},
			{"start", d.start("c"), strings.Replace(c.stop, "STOP", "START", 1)},
			{"temporary tables", d.openTempTables, c.temp},
			{"workers", d.parallelWorkers, c.workers},
			{"change of the source", d.changeSource, c.change},
			{"backup lock", backup, c.backup},
			{"Percona's lock", fmt.Sprint(d.tables != nil), fmt.Sprint(c.percona)},
		} {
			if check.got != check.want {
				t.Errorf("%s %s: %s is %q, want %q", c.flavor, c.version, check.what, check.got, check.want)
			}
		}
	}
	for i, row := range dialects {
		if !used[i] {
			t.Errorf("no line is for %v from %d on", row.flavors, row.from)
		}
		if row.source == "" {
			t.Errorf("%v from %d on: no source", row.flavors, row.from)
		}
	}
}

// dialectRuns has a real server take every statement of its row.
func dialectRuns(t *testing.T, p *pair, s *Session, _ string) {
	d := s.server.dialect()
	t.Logf("%s: %s (%s)", s.server.version, d.source, d.evidence)
	if d.evidence == evidenceRead {
		t.Errorf("%s runs here, and its row says that none does", s.server.version)
	}
	binlog := p.ask(t, p.replica, d.binlogStatus)
	if binlog["file"] == "" || binlog["position"] == "" {
		t.Errorf("%s: %v", d.binlogStatus, binlog)
	}
	status := p.ask(t, p.replica, d.replicaStatus)
	for _, column := range []string{d.columns.host, d.columns.port, d.columns.ioRunning, d.columns.sqlRunning, d.columns.executedFile, d.columns.executed, d.columns.sqlErrno, d.columns.usesGTID} {
		if status[column] == "" {
			t.Errorf("%s has no %s", d.replicaStatus, column)
		}
	}
	if v := p.ask(t, p.replica, "SHOW GLOBAL STATUS LIKE '"+d.openTempTables+"'")["value"]; v != "0" {
		t.Errorf("%s is %q", d.openTempTables, v)
	}
	p.ask(t, p.replica, "SELECT @@global."+d.parallelWorkers+" AS n")
	p.run(t, p.replica, d.stop(""))
	if p.applies(t) {
		t.Errorf("%s did not stop it", d.stop(""))
	}
	p.run(t, p.replica, d.start(""))
	if !p.applies(t) {
		t.Errorf("%s did not start it", d.start(""))
	}
	c := p.replica.root(t)
	backup, _ := s.server.backupMethod()
	for _, statement := range slices.Concat(backup.steps, backup.release) {
		if err := c.exec(t.Context(), statement); err != nil {
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
	if p.flavor == flavorMySQL {
		p.run(t, p.replica, "CHANGE REPLICATION SOURCE TO SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1")
	} else {
		p.run(t, p.replica, "CHANGE MASTER TO MASTER_USE_GTID = slave_pos")
	}
	p.run(t, p.replica, p.start())
	p.caughtUp(t)
}

func TestQuote(t *testing.T) {
	if got := quote("it's"); got != "'it''s'" {
		t.Error(got)
	}
	if goodName(`a\'`) || !goodName("eu-1") {
		t.Error("goodName")
	}
}
