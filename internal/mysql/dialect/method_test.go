package dialect

import (
	"testing"
)

// Which lock a server has for backups. Of these, MariaDB 10.11 and MySQL 9.7 are
// run by the other tests; the rest is read.
func TestBackupMethodByVersion(t *testing.T) {
	for _, c := range []struct {
		version, comment string
		locks            bool // have_backup_locks
		want             string
	}{
		{"10.3.39-MariaDB", "", false, ""},
		{"10.4.0-MariaDB", "", false, ""},
		{"10.4.34-MariaDB", "", false, "BACKUP STAGE START"},
		{"10.6.19-MariaDB-log", "", false, "BACKUP STAGE START"},
		{"10.11.19-MariaDB-0+deb12u1-log", "Debian 12", false, "BACKUP STAGE START"},
		{"11.8.2-MariaDB", "", false, "BACKUP STAGE START"},
		{"12.0.2-MariaDB", "", false, "BACKUP STAGE START"},
		{"5.7.44-log", "MySQL Community Server (GPL)", false, ""},
		{"8.0.4-rc", "MySQL Community Server (GPL)", false, ""},
		{"8.0.36", "MySQL Community Server - GPL", false, "LOCK INSTANCE FOR BACKUP"},
		{"8.4.6", "MySQL Community Server - GPL", false, "LOCK INSTANCE FOR BACKUP"},
		{"9.7.4-2", "(Debian)", false, "LOCK INSTANCE FOR BACKUP"},
		{"5.7.44-48", "Percona Server (GPL), Release 48", true, "LOCK TABLES FOR BACKUP, LOCK BINLOG FOR BACKUP"},
		{"5.6.10", "Percona Server (GPL)", false, ""},
		{"8.0.36-28", "Percona Server (GPL), Release 28", true, "LOCK TABLES FOR BACKUP"},
		{"8.4.5-5", "Percona Server (GPL), Release 5", false, "LOCK INSTANCE FOR BACKUP"},
	} {
		s := Server{BackupLocks: c.locks}
		s.Identify(c.version, c.comment)
		m, ok := s.BackupMethod()
		got := ""
		if ok {
			got = m.Steps[0]
			if len(m.Steps) == 2 {
				got += ", " + m.Steps[1]
			}
		}
		if got != c.want {
			t.Errorf("%s (%s): %q, want %q", c.version, c.comment, got, c.want)
		}
	}
}
