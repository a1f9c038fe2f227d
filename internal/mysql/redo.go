package mysql

import (
	"context"
)

// checkRedo refuses a server whose InnoDB writes no redo log (MySQL's ALTER INSTANCE
// DISABLE INNODB REDO_LOG, since 8.0.21, for loading data): no lock and no freeze
// makes a copy of it that starts again (error MY-013598). It is asked for
// before each try; the other flavors have no such status.
func (s *Session) checkRedo(ctx context.Context) error {
	if s.server.mariadb() {
		return nil
	}
	rows, err := s.b.query(ctx, "SHOW GLOBAL STATUS LIKE 'Innodb_redo_log_enabled'")
	if err != nil {
		return s.statementError(s.b, "read the status of", err)
	}
	if len(rows) == 1 && rows[0]["value"] == "OFF" {
		return s.target.refused("has InnoDB's redo log disabled, so that a snapshot of it could not be started: ALTER INSTANCE ENABLE INNODB REDO_LOG", nil)
	}
	return nil
}
