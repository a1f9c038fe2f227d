package dialect

import (
	"fmt"
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
		{MariaDB, "10.3.39", EvidenceRead, binlogOld, slaves, "exec_master_log_pos", stopMaria, slaveTemp, "slave_parallel_threads", "CHANGE MASTER %s TO", "", false},
		{MariaDB, "10.4.34", EvidenceRead, binlogOld, slaves, "exec_master_log_pos", stopMaria, slaveTemp, "slave_parallel_threads", "CHANGE MASTER %s TO", stages, false},
		{MariaDB, "10.6.21", EvidenceRead, binlogOld, slaves, "exec_master_log_pos", stopMaria, slaveTemp, "slave_parallel_threads", "CHANGE MASTER %s TO", stages, false},
		{MariaDB, "10.11.14", evidenceRun, binlogOld, slaves, "exec_master_log_pos", stopMaria, slaveTemp, "slave_parallel_threads", "CHANGE MASTER %s TO", stages, false},
		{MariaDB, "11.8.9", evidenceByHand, binlogOld, slaves, "exec_master_log_pos", stopMaria, slaveTemp, "slave_parallel_threads", "CHANGE MASTER %s TO", stages, false},
		{MariaDB, "12.1.2", EvidenceRead, binlogOld, slaves, "exec_master_log_pos", stopMaria, slaveTemp, "slave_parallel_threads", "CHANGE MASTER %s TO", stages, false},
		{MySQL, "5.7.44", EvidenceRead, binlogOld, slave, "exec_master_log_pos", stopSlave, slaveTemp, "slave_parallel_workers", changeMaster, "", false},
		{MySQL, "8.0.21", EvidenceRead, binlogOld, slave, "exec_master_log_pos", stopSlave, slaveTemp, "slave_parallel_workers", changeMaster, instance, false},
		{MySQL, "8.0.22", EvidenceRead, binlogOld, replica, "exec_source_log_pos", stopReplica, slaveTemp, "slave_parallel_workers", changeMaster, instance, false},
		{MySQL, "8.0.23", EvidenceRead, binlogOld, replica, "exec_source_log_pos", stopReplica, slaveTemp, "slave_parallel_workers", changeSource, instance, false},
		{MySQL, "8.0.44", EvidenceRead, binlogOld, replica, "exec_source_log_pos", stopReplica, replicaTemp, "replica_parallel_workers", changeSource, instance, false},
		{MySQL, "8.1.0", EvidenceRead, binlogOld, replica, "exec_source_log_pos", stopReplica, replicaTemp, "replica_parallel_workers", changeSource, instance, false},
		{MySQL, "8.2.0", EvidenceRead, binlogNew, replica, "exec_source_log_pos", stopReplica, replicaTemp, "replica_parallel_workers", changeSource, instance, false},
		{MySQL, "8.4.7", EvidenceRead, binlogNew, replica, "exec_source_log_pos", stopReplica, replicaTemp, "replica_parallel_workers", changeSource, instance, false},
		{MySQL, "9.7.4", evidenceRun, binlogNew, replica, "exec_source_log_pos", stopReplica, replicaTemp, "replica_parallel_workers", changeSource, instance, false},
		{Percona, "5.7.44-48", EvidenceRead, binlogOld, slave, "exec_master_log_pos", stopSlave, slaveTemp, "slave_parallel_workers", changeMaster, "", true},
		{Percona, "8.0.21-12", EvidenceRead, binlogOld, slave, "exec_master_log_pos", stopSlave, slaveTemp, "slave_parallel_workers", changeMaster, instance, true},
		{Percona, "8.0.22-13", EvidenceRead, binlogOld, replica, "exec_source_log_pos", stopReplica, slaveTemp, "slave_parallel_workers", changeMaster, instance, true},
		{Percona, "8.0.25-15", EvidenceRead, binlogOld, replica, "exec_source_log_pos", stopReplica, slaveTemp, "slave_parallel_workers", changeSource, instance, true},
		{Percona, "8.0.43-34", EvidenceRead, binlogOld, replica, "exec_source_log_pos", stopReplica, replicaTemp, "replica_parallel_workers", changeSource, instance, true},
		{Percona, "8.4.6-6", EvidenceRead, binlogNew, replica, "exec_source_log_pos", stopReplica, replicaTemp, "replica_parallel_workers", changeSource, instance, true},
	} {
		var s Server
		comment := map[string]string{Percona: "Percona Server (GPL)", MySQL: "MySQL Community Server - GPL", MariaDB: "mariadb.org binary distribution"}[c.flavor]
		s.Identify(c.version, comment)
		d := s.Dialect()
		for i, row := range dialects {
			if fmt.Sprint(row) == fmt.Sprint(d) {
				used[i] = true
			}
		}
		backup := ""
		if d.backup != nil {
			backup = d.backup.Steps[0]
		}
		for _, check := range []struct{ what, got, want string }{
			{"flavor", s.Flavor, c.flavor},
			{"evidence", string(d.Evidence), string(c.evidence)},
			{"binlog status", d.BinlogStatus, c.binlog},
			{"replica status", d.ReplicaStatus, c.replica},
			{"executed position", d.Columns.Executed, c.executed},
			{"stop", d.Stop("c"), c.stop},
			{"start", d.Start("c"), strings.Replace(c.stop, "STOP", "START", 1)},
			{"temporary tables", d.OpenTempTables, c.temp},
			{"workers", d.ParallelWorkers, c.workers},
			{"change of the source", d.ChangeSource, c.change},
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
		if row.Source == "" {
			t.Errorf("%v from %d on: no source", row.flavors, row.from)
		}
	}
}

func TestQuote(t *testing.T) {
	if got := Quote("it's"); got != "'it''s'" {
		t.Error(got)
	}
	if GoodName(`a\'`) || !GoodName("eu-1") {
		t.Error("goodName")
	}
}
