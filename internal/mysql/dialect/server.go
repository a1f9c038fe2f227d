package dialect

import (
	"fmt"
	"strconv"
	"strings"
)

// The flavors of messages.MySQL.
const (
	MySQL   = "mysql"
	MariaDB = "mariadb"
	Percona = "percona"
)

// Server is what was learned of the server.
type Server struct {
	Flavor  string
	Version string
	// Number is 101119 for 10.11.19 and 90704 for 9.7.4.
	Number int
	// User is CURRENT_USER(), quoted for a GRANT.
	User string
	// Binlog says that the server writes one.
	Binlog bool
	// GTID says that all transactions have GTIDs; always on MariaDB.
	GTID bool
	// Perf says that performance_schema is there and can be read (MySQL).
	Perf bool
	// MDL says that performance_schema.metadata_locks is filled (MySQL).
	MDL bool
	// Listed says that performance_schema shows whatever is in use (MySQL).
	Listed bool
	// BackupLocks says that the server knows LOCK TABLES FOR BACKUP (Percona).
	BackupLocks bool
	// MDLInfo says that the plugin metadata_lock_info is loaded, MDLPerf that
	// performance_schema.metadata_locks is filled and can be read, and Digests
	// that its statements can (MariaDB).
	MDLInfo, MDLPerf, Digests bool
	// Wsrep says that the server is a node of a Galera cluster.
	Wsrep bool
}

// IsMariaDB says that its family is MariaDB, and not MySQL with Percona's.
func (s Server) IsMariaDB() bool { return s.Flavor == MariaDB }

// Identify tells the flavors apart, by what they say of themselves.
func (s *Server) Identify(version, comment string) {
	s.Version = version
	switch {
	case strings.Contains(strings.ToLower(version), "mariadb"), strings.Contains(strings.ToLower(comment), "mariadb"):
		s.Flavor = MariaDB
	case strings.Contains(strings.ToLower(comment), "percona"):
		s.Flavor = Percona
	default:
		s.Flavor = MySQL
	}
	number := 0
	plain, _, _ := strings.Cut(version, "-")
	for i, part := range strings.SplitN(plain, ".", 3) {
		n, _ := strconv.Atoi(part) // what is no number counts as 0: the oldest
		number += n * []int{10000, 100, 1}[i]
	}
	s.Number = number
}

// QuoteUser turns user@host into 'user'@'host'; the host never has an @.
func QuoteUser(s string) string {
	user, host := s, "%"
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		user, host = s[:i], s[i+1:]
	}
	return fmt.Sprintf("'%s'@'%s'", strings.ReplaceAll(user, "'", "''"), host)
}
