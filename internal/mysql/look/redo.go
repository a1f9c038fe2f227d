package look

import (
	"context"
)

// CheckRedo refuses a server whose InnoDB writes no redo log (MySQL's ALTER INSTANCE
// DISABLE INNODB REDO_LOG, since 8.0.21, for loading data): no lock and no freeze
// makes a copy of it that starts again (error MY-013598). It is asked for
// before each try; the other flavors have no such status.
func (w *Watcher) CheckRedo(ctx context.Context) error {
	if w.Server.IsMariaDB() {
		return nil
	}
	rows, err := w.B.Query(ctx, "SHOW GLOBAL STATUS LIKE 'Innodb_redo_log_enabled'")
	if err != nil {
		return w.StatementError(w.B, "read the status of", err)
	}
	if len(rows) == 1 && rows[0]["value"] == "OFF" {
		return w.Target.Refused("has InnoDB's redo log disabled, so that a snapshot of it could not be started: ALTER INSTANCE ENABLE INNODB REDO_LOG", nil)
	}
	return nil
}
