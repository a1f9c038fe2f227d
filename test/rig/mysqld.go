package rig

import (
	"os"
	"path/filepath"
)

// MySQLTree is where scripts/setup.sh has unpacked Oracle's MySQL: a system tree of its own, whose programs run from
// outside of it and touch nothing of the machine's. STILLPOINT_MYSQL_TREE names another one.
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
	if _, err := os.Stat(filepath.Join(MySQLTree(), "usr/sbin/mysqld")); err != nil {
		return "no Oracle MySQL here: make setup fetches it (root)"
	}
	return ""
}

// MariaDBPlugins is where scripts/mariadb-plugins.sh has unpacked the plugins of
// MariaDB's that Debian has in the package with the service, which setup does not install.
func MariaDBPlugins() string { return filepath.Join(filepath.Dir(MySQLTree()), "mariadb-plugin") }
