package mysqltest

import (
	"os"
	"path/filepath"
	"testing"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/test/rig"
)

// PluginOptions are the options that a server needs for the ways of authentication that its package keeps in plugins.
func PluginOptions(t *testing.T, flavor string) []string {
	t.Helper()
	if flavor == dialect.MySQL {
		return []string{"--plugin-dir=" + filepath.Join(rig.MySQLTree(), "usr/lib/mysql/plugin"), "--plugin-load-add=auth_socket.so"}
	}
	if dir := Ed25519Dir(); dir != "" {
		return []string{"--plugin-dir=" + dir, "--plugin-load-add=auth_ed25519"}
	}
	return nil
}

// Ed25519Dir is where MariaDB's plugin of that name is; "" where it is not.
func Ed25519Dir() string {
	for _, dir := range []string{"/usr/lib/mysql/plugin", filepath.Join(rig.MariaDBTree(), "usr/lib/mysql/plugin")} {
		if _, err := os.Stat(filepath.Join(dir, "auth_ed25519.so")); err == nil {
			return dir
		}
	}
	return ""
}
