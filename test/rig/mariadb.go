package rig

import (
	"context"
	"os"
	"path/filepath"
)

// mariaDB is MariaDB as the distribution has it.
var mariaDB = dialect{
	name: "MariaDB",
	missing: func() string {
		for _, tool := range []string{"mariadbd", "mariadb-install-db", "mariadb-binlog", "mariadb"} {
			if _, err := lookTool(tool); err != nil {
				return tool
			}
		}
		return ""
	},
	server:       func() (string, error) { return lookTool("mariadbd") },
	binlogReader: func() (string, error) { return lookTool("mariadb-binlog") },
	fill: func(ctx context.Context, datadir string) error {
		return runTool(ctx, "mariadb-install-db", append([]string{
			"--no-defaults", "--datadir=" + datadir,
			// A server that starts removes from its tmpdir the temporary tables of all the others.
			"--tmpdir=" + filepath.Dir(datadir),
			// root needs no password: the socket's directory is open to its owner only.
			"--auth-root-authentication-method=normal",
			"--skip-test-db", "--skip-name-resolve", "--skip-log-bin", mariaDBRedo, noNativeAIO,
		}, asRoot()...)...)
	},
	arguments: func() []string {
		return []string{mariaDBRedo, noNativeAIO, "--binlog-format=ROW"}
	},
	noRepair: []string{"--myisam-recover-options=OFF", "--aria-recover-options=OFF"},
	position: "SHOW MASTER STATUS",
	gtid:     "SELECT @@GLOBAL.gtid_binlog_pos",
	account:  []string{"CREATE OR REPLACE USER {account} IDENTIFIED BY {password}"},
	privileges: []string{
		"RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.*",
	},
	journals: []string{"MyISAM", "Aria"},
}

const (
	// mariaDBRedo is the redo log of every server, the template's included: a server
	// that finds another size rebuilds its log when it starts.
	mariaDBRedo = "--innodb-log-file-size=32M"
	// noNativeAIO: Debian's server uses io_uring, with which it was seen to stop
	// working for minutes on a busy machine, and to abort at start (and the making
	// of the system tables with it, in one of twenty runs). What is tested here is
	// not that.
	noNativeAIO = "--skip-innodb-use-native-aio"
)

// StartMariaDB starts a MariaDB and returns once it answers on its socket. The
// context bounds only the start.
func StartMariaDB(ctx context.Context, config ServerConfig) (*Server, error) {
	return StartServer(ctx, MariaDB, config)
}

// MariaDBTree is where scripts/mariadb-extras.sh has unpacked what of MariaDB's packages is not installed: the plugins of the
// server, and Galera. STILLPOINT_MARIADB_TREE names another one.
func MariaDBTree() string {
	if dir := os.Getenv("STILLPOINT_MARIADB_TREE"); dir != "" {
		return dir
	}
	return filepath.Join(filepath.Dir(MySQLTree()), "mariadb")
}
