package dialect

import "testing"

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		version, comment, flavor string
		number                   int
	}{
		{"10.11.19-MariaDB-0+deb12u1-log", "Debian 12", "mariadb", 101119},
		{"9.7.4", "MySQL Community Server - GPL", "mysql", 90704},
		{"8.0.36-28", "Percona Server (GPL), Release 28", "percona", 80036},
		{"odd", "", "mysql", 0},
	} {
		var s Server
		if s.Identify(c.version, c.comment); s.Flavor != c.flavor || s.Number != c.number {
			t.Errorf("%s: %+v", c.version, s)
		}
	}
}
