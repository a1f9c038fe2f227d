package doctor

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/internal/freeze"
	"stillpoint/internal/journal"
	"stillpoint/localstack"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

func joined(a, b wants) wants {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// whatever is for a line that other servers of this machine have a say in.
const whatever = "whatever"

const needs = "unchecked it needs "

// unmounted is what is not looked at where a mount point will not do.
func unmounted(w wants) wants {
	return joined(wants{"nightly: freeze.needed": needs, "nightly: freeze.now": needs, "nightly: freeze.guardian": needs}, w)
}

// noSet adds that the set could not be told, of which EC2 is then asked nothing.
func noSet(says string, w wants) wants {
	return unmounted(joined(wants{"nightly: volumes.set": "FAIL " + says, "nightly: volumes.others": needs}, w))
}

// notLooked is what is not looked at without a connection, or without the privileges.
func notLooked(from string, w wants) wants {
	all := []string{"connection", "version", "connections", "binlog", "cluster", "privileges", "lock", "blockers", "replica", "location", "consistency"}
	out := wants{"nightly: database.sight": "gone"}
	for _, name := range all[slices.Index(all, from)+1:] {
		out["nightly: database."+name] = needs
	}
	return joined(out, w)
}

func noServer(w wants) wants { return notLooked("connection", w) }

func hostCases() []hostCase {
	type by = []string
	text := func(f func(t *testing.T, h *hostStage) string) func(*testing.T, *hostStage) (string, by) {
		return func(t *testing.T, h *hostStage) (string, by) { return f(t, h), nil }
	}
	server := func(statement, undo string) func(*testing.T, *hostStage) (string, by) {
		return func(t *testing.T, h *hostStage) (string, by) {
			h.sql(t, statement, undo)
			return h.healthy, nil
		}
	}
	state := func(f func(t *testing.T, h *hostStage) string) func(*testing.T, *hostStage) (string, by) {
		return func(t *testing.T, h *hostStage) (string, by) {
			return h.edit(t, "state_dir: "+filepath.Join(h.Dir, "state"), "state_dir: "+f(t, h)), nil
		}
	}
	hook := func(f func(t *testing.T, dir string) string) func(*testing.T, *hostStage) (string, by) {
		return func(t *testing.T, h *hostStage) (string, by) {
			return h.plan(t, "max_hold: 60s", "pre_freeze: ["+f(t, t.TempDir())+"]"), nil
		}
	}
	locked := func(lines ...string) func(*testing.T, *hostStage) (string, by) {
		return func(t *testing.T, h *hostStage) (string, by) {
			h.session(t, "LOCK TABLES held.t WRITE")
			return h.mysql(t, append([]string{"long_query_after: 1ms"}, lines...)...), nil
		}
	}
	return []hostCase{
		// The host.
		{"others may look into state_dir", state(func(t *testing.T, h *hostStage) string {
			return directory(t, filepath.Join(h.Dir, "open-state"), 0o755)
		}), wants{"host.state_dir": "FAIL chmod 0700", "host.state_owner": "gone"}},
		{"state_dir is a file", state(func(t *testing.T, h *hostStage) string {
			return file(t, filepath.Join(h.Dir, "state-file"), "", 0o600)
		}), wants{"host.state_dir": "FAIL it is not a directory", "host.state_owner": "gone"}},
		{"no room for results", state(func(t *testing.T, h *hostStage) string {
			return tmpfs(t, h.ctx, filepath.Join(h.Dir, "small"), "128k")
		}), wants{"host.state_room": "FAIL make room there", "host.state_owner": "gone"}},
		{"no room for the record", text(func(t *testing.T, h *hostStage) string {
			return h.edit(t, "runtime_dir: "+h.RuntimeDir, "runtime_dir: "+tmpfs(t, h.ctx, filepath.Join(h.Dir, "small-run"), "4k"))
		}), wants{"host.runtime_dir": "FAIL make room there"}},
		{"a clone", state(func(t *testing.T, h *hostStage) string {
			dir := filepath.Join(h.Dir, "clone")
			j, err := journal.Open(dir, journal.Options{InstanceID: "i-0fffffffffffffff0", Log: zerolog.Nop()})
			if err != nil {
				t.Fatal(err)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			return dir
		}), wants{"host.state_owner": "FAIL stillpoint claim"}},
		{"state_dir on what is frozen", state(func(t *testing.T, h *hostStage) string { return filepath.Join(h.data, "state") }), unmounted(wants{
			"nightly: freeze.mounts": "FAIL which the worker writes to", "host.state_owner": "gone", "host.state_room": "ok",
		})},
		{"runtime_dir is everybody's", func(t *testing.T, h *hostStage) (string, by) {
			dir := tmpfs(t, h.ctx, filepath.Join(h.Dir, "run-open"), "1m")
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			return h.edit(t, "runtime_dir: "+h.RuntimeDir, "runtime_dir: "+dir), nil
		}, wants{"host.runtime_dir": "FAIL chmod go-w"}},
		{"a damaged record", text(func(t *testing.T, h *hostStage) string {
			file(t, filepath.Join(h.RuntimeDir, freeze.RecordName+".damaged-1"), "x", 0o600)
			return h.healthy
		}), wants{"host.freeze_record": "FAIL fsfreeze --unfreeze"}},
		{"a run that hangs", text(func(t *testing.T, h *hostStage) string {
			path := filepath.Join(h.RuntimeDir, "run.lock")
			lock, err := journal.LockRun(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = lock.Unlock() })
			about := fmt.Sprintf("%d\n{\"since\": %q, \"requestId\": \"r\", \"plan\": \"nightly\"}", os.Getpid(), time.Now().Add(-2*time.Hour).UTC().Format(time.RFC3339))
			if err := os.WriteFile(path, []byte(about), 0o600); err != nil {
				t.Fatal(err)
			}
			return h.healthy
		}), wants{"host.run": fmt.Sprintf("warn kill -9 %d", os.Getpid())}},
		{"a record that nobody understands", text(func(t *testing.T, h *hostStage) string {
			file(t, filepath.Join(h.RuntimeDir, freeze.RecordName), "not a record\n", 0o600)
			return h.healthy
		}), wants{"host.freeze_record": "FAIL stillpoint thaw"}},
		{"an applier that a dead run has stopped", text(func(t *testing.T, h *hostStage) string {
			boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
			if err != nil {
				t.Fatal(err)
			}
			file(t, filepath.Join(h.RuntimeDir, "applier.json"), fmt.Sprintf(`{"channels":[""],"phase":"stopped ","pid":99999999,"bootId":%q}`, strings.TrimSpace(string(boot))), 0o600)
			return h.healthy
		}), wants{"host.applier_note": "FAIL stillpoint thaw"}},
		{"no right to freeze", func(t *testing.T, h *hostStage) (string, by) { return h.healthy, without(t, "sys_admin") },
			wants{"host.rights": "FAIL CAP_SYS_ADMIN", "nightly: freeze.guardian": needs + "host.rights", "nightly: freeze.expedite": needs + "host.rights"}},
		{"no right to look at the server", func(t *testing.T, h *hostStage) (string, by) { return h.healthy, without(t, "sys_ptrace") },
			wants{"host.server_rights": "warn CAP_SYS_PTRACE", "nightly: database.location": "FAIL cannot be shown"}},

		// What is to be frozen.
		{"the root file system", text(func(t *testing.T, h *hostStage) string { return h.freezing(t, "/") }),
			noSet("/", wants{"nightly: freeze.mounts": "FAIL root file system", "nightly: database.location": whatever})},
		{"a mount point that is not there", text(func(t *testing.T, h *hostStage) string { return h.freezing(t, "/nowhere/at/all") }),
			noSet("/nowhere/at/all does not exist", wants{"nightly: freeze.mounts": "FAIL /nowhere/at/all does not exist", "nightly: database.location": "unchecked see volumes.set"})},
		{"a directory that is no mount point", text(func(t *testing.T, h *hostStage) string {
			return h.freezing(t, directory(t, filepath.Join(h.Dir, "plain"), 0o700))
		}), noSet("plain", wants{"nightly: freeze.mounts": "FAIL is not a mount point", "nightly: database.location": "unchecked see volumes.set"})},
		{"a file system in memory", text(func(t *testing.T, h *hostStage) string {
			return h.freezing(t, tmpfs(t, h.ctx, filepath.Join(h.Dir, "memory"), "1m"))
		}), unmounted(wants{"nightly: freeze.mounts": "FAIL tmpfs, which cannot be frozen"})},
		{"a volume that is not attached", text(func(t *testing.T, h *hostStage) string {
			return h.edit(t, "volumes: [", "volumes: [vol-0123456789abcdef0, ")
		}), wants{"nightly: volumes.set": "FAIL is not attached to this instance", "nightly: volumes.others": needs}},
		{"volumes that EC2 does not tell", text(func(t *testing.T, h *hostStage) string {
			h.faults(t, localstack.Fault{Operation: "ec2:DescribeInstances", Code: "UnauthorizedOperation", Status: 403})
			return h.healthy // whose mount points lead to the disks all the same
		}), wants{"nightly: volumes.set": "unchecked mend the access to EC2", "nightly: volumes.others": needs}},
		{"volumes that EC2 does not tell, and no mount point", text(func(t *testing.T, h *hostStage) string {
			h.faults(t, localstack.Fault{Operation: "ec2:DescribeInstances", Code: "UnauthorizedOperation", Status: 403})
			return h.edit(t, "freeze: ["+h.data+"]", "freeze: []")
		}), wants{
			"nightly: volumes.set": "unchecked mend the access to EC2", "nightly: database.location": "unchecked volumes.set", "nightly: volumes.others": needs, "host.rights": "gone", "nightly: freeze.*": "gone",
			"nightly: database.consistency": "warn", "nightly: database.binlog": "warn sync_binlog",
		}},
		{"a plan that has lost its mysql section", text(func(t *testing.T, h *hostStage) string {
			return h.edit(t, "    mysql:\n      defaults_file: "+h.DefaultsFile+"\n", "")
		}), wants{"host.server_rights": "gone", "nightly: database.*": "gone", "nightly: database.unlocked": "warn add mysql to the plan"}},
		{"frozen by somebody", text(func(t *testing.T, h *hostStage) string {
			frozen(t, h.data)
			return h.healthy
		}), wants{"nightly: freeze.now": "FAIL stillpoint thaw"}},
		{"temporary files on what is frozen", func(t *testing.T, h *hostStage) (string, by) {
			return h.healthy, by{"env", "TMPDIR=" + directory(t, filepath.Join(h.data, "tmp"), 0o700)}
		}, wants{"nightly: freeze.needed": "warn temporary files"}},
		{"a hook that is not there", hook(func(t *testing.T, dir string) string { return dir + "/none" }), wants{"nightly: hooks.pre_freeze": "FAIL no such file"}},
		{"a hook without a first line", hook(func(t *testing.T, dir string) string { return file(t, dir+"/hook", "exit 0\n", 0o755) }),
			wants{"nightly: hooks.pre_freeze": "FAIL such as #!/bin/sh"}},
		{"a hook that others may write", hook(func(t *testing.T, dir string) string { return file(t, dir+"/hook", "#!/bin/sh\n", 0o777) }),
			wants{"nightly: hooks.pre_freeze": "FAIL chmod go-w"}},
		{"a hook in a directory that others may write to", hook(func(t *testing.T, dir string) string {
			return file(t, directory(t, dir+"/open", 0o777)+"/hook", "#!/bin/sh\n", 0o755)
		}), wants{"nightly: hooks.pre_freeze": "FAIL put the program where only root may write"}},
		{"a hook that is well", hook(func(t *testing.T, dir string) string { return file(t, dir+"/hook", "#!/bin/sh\n", 0o755) }),
			wants{"nightly: hooks.pre_freeze": "ok"}},

		// The database.
		{"a password that everybody can read", text(func(t *testing.T, h *hostStage) string {
			return h.defaults(t, scene.Password, h.Server.Socket(), 0o644)
		}), wants{"nightly: database.defaults_file": "warn chmod 0600"}},
		{"a defaults file that everybody can write", text(func(t *testing.T, h *hostStage) string {
			return h.defaults(t, scene.Password, h.Server.Socket(), 0o666)
		}), noServer(wants{"nightly: database.defaults_file": "FAIL chmod go-w", "nightly: database.connection": needs})},
		{"a defaults file without its section", text(func(t *testing.T, h *hostStage) string {
			return h.edit(t, "defaults_file: "+h.DefaultsFile, "defaults_file: "+file(t, filepath.Join(t.TempDir(), "my.cnf"), "[cleint]\nuser = x\n", 0o600))
		}), noServer(wants{"nightly: database.defaults_file": "warn below a line [client]", "nightly: database.connection": "FAIL"})},
		{"no defaults file", text(func(t *testing.T, h *hostStage) string {
			return h.edit(t, "defaults_file: "+h.DefaultsFile, "defaults_file: /nowhere/my.cnf")
		}), noServer(wants{"nightly: database.defaults_file": "FAIL no such file", "nightly: database.connection": needs})},
		{"a wrong password", text(func(t *testing.T, h *hostStage) string {
			return h.defaults(t, "wrong", h.Server.Socket(), 0o600)
		}), noServer(wants{"nightly: database.connection": "FAIL check user and password in the defaults file"})},
		{"a wrong socket", text(func(t *testing.T, h *hostStage) string { return h.mysql(t, "socket: /nowhere/mysqld.sock") }),
			noServer(wants{"nightly: database.connection": "FAIL see that the server runs"})},
		{"a port where nobody listens", text(func(t *testing.T, h *hostStage) string {
			_, port, err := net.SplitHostPort(freeAddr(t))
			if err != nil {
				t.Fatal(err)
			}
			return h.mysql(t, "host: 127.0.0.1", "port: "+port)
		}), noServer(wants{"nightly: database.connection": "FAIL connection refused"})},
		{"a user that is locked", server("ALTER USER stillpoint@localhost ACCOUNT LOCK", "ALTER USER stillpoint@localhost ACCOUNT UNLOCK"),
			noServer(wants{"nightly: database.connection": "FAIL ACCOUNT UNLOCK"})},
		{"a privilege that is missing", server("REVOKE RELOAD ON *.* FROM stillpoint@localhost", "GRANT RELOAD ON *.* TO stillpoint@localhost"),
			notLooked("privileges", wants{"nightly: database.privileges": "FAIL GRANT RELOAD ON *.* TO 'stillpoint'@'localhost'"})},
		{"all connections taken", func(t *testing.T, h *hostStage) (string, by) {
			connections(t, h, 10)
			return h.healthy, nil
		}, noServer(wants{"nightly: database.connection": "FAIL Too many connections"})},
		{"nearly all connections taken", func(t *testing.T, h *hostStage) (string, by) {
			connections(t, h, 8)
			return h.healthy, nil
		}, wants{"nightly: database.connections": "warn raise max_connections"}},
		{"a session that holds a table", locked(), wants{"nightly: database.blockers": "warn waits for their end"}},
		{"a session that holds a table, and fail", locked("long_queries: fail"), wants{"nightly: database.blockers": "FAIL holds held.t"}},
		{"a session that holds a table, and kill", func(t *testing.T, h *hostStage) (string, by) {
			h.sql(t, "GRANT CONNECTION ADMIN ON *.* TO stillpoint@localhost", "REVOKE CONNECTION ADMIN ON *.* FROM stillpoint@localhost")
			return locked("long_queries: kill")(t, h)
		}, wants{"nightly: database.blockers": "warn not killed: it sleeps"}},
		{"sleepers that are not seen", server("UNINSTALL SONAME 'metadata_lock_info'", "INSTALL SONAME 'metadata_lock_info'"),
			wants{"nightly: database.sight": "warn INSTALL SONAME"}},
		{"a log that is written late", server("SET GLOBAL innodb_flush_log_at_trx_commit = 0", "SET GLOBAL innodb_flush_log_at_trx_commit = 1"),
			wants{"nightly: database.consistency": "warn filesystem-consistent: InnoDB writes its log up to a second"}},
		{"an applier that does not run", server("CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1, MASTER_USER = 'nobody'", "RESET SLAVE ALL"),
			wants{"nightly: database.replica": "warn START REPLICA SQL_THREAD"}},
		{"a proxy", func(t *testing.T, h *hostStage) (string, by) {
			l, err := net.Listen("unix", filepath.Join(h.Dir, "proxy.sock"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			rig.Relay(l, h.Server.Socket())
			return h.mysql(t, "socket: "+filepath.Join(h.Dir, "proxy.sock")), nil
		}, wants{"nightly: database.location": "FAIL set mysql.trust_location"}},
		{"a table elsewhere", func(t *testing.T, h *hostStage) (string, by) {
			dir := directory(t, filepath.Join(h.Dir, "elsewhere"), 0o777)
			h.sql(t, "CREATE TABLE held.x (i INT) ENGINE=InnoDB DATA DIRECTORY='"+dir+"'", "DROP TABLE held.x")
			return h.healthy, nil
		}, wants{"nightly: database.location": "FAIL such a snapshot cannot be restored"}},
		{"a second server on the volume", func(t *testing.T, h *hostStage) (string, by) {
			second, err := rig.StartMariaDB(h.ctx, rig.ServerConfig{Datadir: filepath.Join(h.data, "second"), RunDir: filepath.Join(h.Dir, "run-2"), ServerID: 2})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = second.Discard(context.WithoutCancel(h.ctx))
				_ = os.RemoveAll(filepath.Join(h.data, "second"))
			})
			return h.healthy, nil
		}, wants{"nightly: database.location": "FAIL would not be locked"}},
		{"a directory for the coordinates that is the server's", func(t *testing.T, h *hostStage) (string, by) {
			dir := directory(t, filepath.Join(h.data, "sheet"), 0o777)
			return h.mysql(t, "coordinates_file: "+dir+"/coordinates"), nil
		}, wants{"nightly: database.coordinates_file": "FAIL install -d -o root -m 700"}},
		{"not everything frozen", text(func(t *testing.T, h *hostStage) string { return h.edit(t, "    freeze: [", "    no_freeze: [") }), wants{
			"host.rights": "gone", "nightly: freeze.*": "gone", "nightly: volumes.others": "gone",
			"nightly: database.consistency": "warn at the best a set of this plan is database-consistent", "nightly: database.binlog": "warn sync_binlog",
		}},
	}
}

// TestHost starts from where all is well, and breaks host, plan and database in one way after the other.
func TestHost(t *testing.T) {
	t.Parallel()
	h := hostStageOf(t, scene.Config{})
	h.runCases(t, hostCases())
	if t.Failed() {
		return
	}
	h.compare(t, onlyMine(h.doctor(t, h.ConfigPath)), nil) // nothing was left broken
}

func (h *hostStage) runCases(t *testing.T, cases []hostCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			text, by := c.make(t, h)
			got, well := onlyMine(h.by(t, text, by...)), h.well
			want := maps.Clone(c.want)
			for name, w := range c.want {
				if w == whatever {
					delete(want, name)
					got, h.well = cut(got, name), cut(h.well, name)
				}
			}
			h.compare(t, got, want)
			h.well = well
		})
	}
}
