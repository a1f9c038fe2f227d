package rig

import (
	"context"
	"os"
	"path/filepath"
)

// oracleMySQL is Oracle's MySQL out of MySQLTree.
var oracleMySQL = dialect{
	name:         "MySQL",
	missing:      MySQLMissing,
	server:       func() (string, error) { return lookTool(inMySQL("sbin/mysqld")) },
	binlogReader: func() (string, error) { return lookTool(inMySQL("bin/mysqlbinlog")) },
	fill: func(ctx context.Context, datadir string) error {
		args := append([]string{"--no-defaults", "--initialize-insecure", "--datadir=" + datadir, "--skip-log-bin"}, mySQLArguments()...)
		return runTool(ctx, inMySQL("sbin/mysqld"), append(args, asRoot()...)...)
	},
	arguments: func() []string {
		// GTIDs as everybody has them; the X plugin would want a port of its own.
		return append(mySQLArguments(), "--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--mysqlx=OFF")
	},
	noRepair: []string{"--myisam-recover-options=OFF"},
	position: "SHOW BINARY LOG STATUS",
	gtid:     "SELECT @@GLOBAL.gtid_executed",
	account: []string{
		"CREATE USER IF NOT EXISTS {account}",
		"ALTER USER {account} IDENTIFIED BY {password}",
	},
	privileges: []string{
		"FLUSH_TABLES, REPLICATION CLIENT, PROCESS ON *.*",
		"SELECT ON performance_schema.*",
	},
	// Transactions that the choice of the database leaves empty would be an error
	// with the GTIDs of the source.
	replay:   []string{"--skip-gtids"},
	journals: []string{"MyISAM"},
}

// mySQLArguments are those of every start of the program, the first included.
func mySQLArguments() []string {
	return []string{
		"--basedir=" + inMySQL(""), "--plugin-dir=" + inMySQL("lib/mysql/plugin"),
		"--secure-file-priv=NULL", "--innodb-redo-log-capacity=32M",
	}
}

// StartMySQL is StartMariaDB for Oracle's MySQL.
func StartMySQL(ctx context.Context, config ServerConfig) (*Server, error) {
	return StartServer(ctx, MySQL, config)
}

// MySQLTree is where scripts/mysql.sh has unpacked Oracle's MySQL: the programs and all libraries that they need, which run from
// there and touch nothing of the machine's. STILLPOINT_MYSQL_TREE names another one.
func MySQLTree() string {
	if dir := os.Getenv("STILLPOINT_MYSQL_TREE"); dir != "" {
		return dir
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "/var/cache"
	}
	return filepath.Join(cache, "stillpoint", "mysql")
}

// MySQLMissing says in a few words why there is no Oracle MySQL here; "" where there is.
func MySQLMissing() string {
	if _, err := os.Stat(inMySQL("sbin/mysqld")); err != nil {
		return "Oracle's MySQL (make setup fetches it)"
	}
	return ""
}

func inMySQL(path string) string { return filepath.Join(MySQLTree(), "usr", path) }
