package mysql

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/snapshot"
)

// Each way in which something can lie elsewhere is found by itself.
func eachElsewhere(t *testing.T, srv *testServer, a string) {
	b := xfs(t)
	s := srv.connect(t, nil)
	for _, c := range []struct {
		name, flavor string
		plant, undo  []string
		links        map[string]string // from below the data directory
		what         string
	}{
		{"InnoDB table on MariaDB", dialect.MariaDB, []string{"CREATE TABLE t.d (i INT) ENGINE=InnoDB DATA DIRECTORY='%s'"}, []string{"DROP TABLE t.d"}, nil, "datadir d.isl"},
		{"MyISAM data", dialect.MariaDB, []string{"CREATE TABLE t.d (i INT) ENGINE=MyISAM DATA DIRECTORY='%s'"}, []string{"DROP TABLE t.d"}, nil, "datadir d.MYD"},
		{"MyISAM index", dialect.MariaDB, []string{"CREATE TABLE t.d (i INT PRIMARY KEY) ENGINE=MyISAM INDEX DIRECTORY='%s'"}, []string{"DROP TABLE t.d"}, nil, "datadir d.MYI"},
		{"a database", "", nil, nil, map[string]string{"linked": ""}, "datadir linked"},
		{"a part of the system tablespace", "", nil, nil, map[string]string{"ibdata2": "f"}, "datadir ibdata2"},
		{"temporary tablespaces", dialect.MySQL, nil, nil, map[string]string{"#innodb_temp/x": ""}, ""},
		{"a log of the server's", "", nil, nil, map[string]string{"mysqld.log": "f"}, ""},
		{"a key", "", nil, nil, map[string]string{"our-key.pem": "f"}, ""},
		{"a link to nothing", "", nil, nil, map[string]string{"linked": "nothing"}, ""},
	} {
		if c.flavor != "" && c.flavor != srv.Flavor {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			alt := filepath.Join(b, strings.ReplaceAll(t.Name(), "/", "_"))
			if err := os.Mkdir(alt, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(alt, "f"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, p := range c.plant {
				srv.must(t, fmt.Sprintf(p, alt))
			}
			for from, to := range c.links {
				from = filepath.Join(srv.Dir, "data", from)
				if err := os.Symlink(filepath.Join(alt, to), from); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = os.Remove(from) }()
			}
			at, err := s.Locate(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			if c.what != "" {
				want = []string{c.what}
			}
			if got := outside(t, at, a); !slices.Equal(got, want) {
				t.Errorf("outside: %q, want %q", got, want)
			}
			srv.must(t, c.undo...)
		})
	}
	data := filepath.Join(srv.Dir, "data")
	bind := func(t *testing.T, from, to string) (unmount func()) {
		t.Helper()
		for _, dir := range []string{from, to} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		var once sync.Once
		unmount = func() {
			once.Do(func() {
				if err := unix.Unmount(to, 0); err != nil {
					t.Error(err)
				}
			})
		}
		t.Cleanup(unmount)
		return unmount
	}
	look := func(t *testing.T) snapshot.Location {
		t.Helper()
		at, err := s.Locate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	t.Run("a mount in it", func(t *testing.T) {
		unmount := bind(t, filepath.Join(b, srv.Flavor+"-db"), filepath.Join(data, "mounted"))
		if got := outside(t, look(t), a); !slices.Equal(got, []string{"datadir mounted"}) {
			t.Errorf("outside: %q", got)
		}
		unmount()
		_ = os.Remove(filepath.Join(data, "mounted"))
	})
	t.Run("a mount over it", func(t *testing.T) {
		unmount := bind(t, filepath.Join(b, srv.Flavor+"-empty"), data)
		if at := look(t); !strings.Contains(at.Doubt, "something was mounted over the directory") || at.Process != "" {
			t.Errorf("%+v", at)
		}
		unmount()
		if at := look(t); at.Doubt != "" {
			t.Error(at.Doubt)
		}
	})
	if srv.Flavor != dialect.MariaDB { // MySQL makes no links, and knows all of its files
		return
	}
	t.Run("an open file that nothing leads to", func(t *testing.T) {
		alt := filepath.Join(b, "open")
		if err := os.Mkdir(alt, 0o777); err != nil {
			t.Fatal(err)
		}
		srv.must(t, "CREATE TABLE t.d (i INT) ENGINE=MyISAM DATA DIRECTORY='"+alt+"'", "INSERT INTO t.d VALUES (1)", "SELECT * FROM t.d")
		link := filepath.Join(data, "t", "d.MYD")
		if err := os.Rename(link, filepath.Join(srv.Dir, "kept")); err != nil {
			t.Fatal(err)
		}
		if got := outside(t, look(t), a); !slices.Equal(got, []string{"an open file d.MYD"}) {
			t.Errorf("outside: %q", got)
		}
		if err := os.Rename(filepath.Join(srv.Dir, "kept"), link); err != nil {
			t.Fatal(err)
		}
		srv.must(t, "DROP TABLE t.d")
	})
}
