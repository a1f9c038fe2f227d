package mysql

import (
	"strings"
	"testing"
	"time"

	"stillpoint/internal/snapshot"
)

// A server without a redo log makes no copy that starts again.
func TestRedoDisabled(t *testing.T) {
	srv := startMySQL(t)
	s := srv.connect(t, nil)
	srv.MustExec(t, "ALTER INSTANCE DISABLE INNODB REDO_LOG")
	err := s.Ready(t.Context(), time.Minute)
	if refused, ok := errorAs[*snapshot.RefusedError](err); !ok || !strings.Contains(refused.Error(), "ENABLE INNODB REDO_LOG") {
		t.Errorf("Ready says %v", err)
	}
	srv.MustExec(t, "ALTER INSTANCE ENABLE INNODB REDO_LOG")
	if err := s.Ready(t.Context(), time.Minute); err != nil {
		t.Error(err)
	}
}
