package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	judged "stillpoint/internal/doctor"
	"stillpoint/internal/freeze"
	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// TestHostMySQL is what is another matter on MySQL.
func TestHostMySQL(t *testing.T) {
	t.Parallel()
	if lacks := rig.MySQL.Missing(); lacks != "" {
		t.Skipf("this machine lacks %s", lacks)
	}
	h := hostStageOf(t, scene.Config{Flavor: rig.MySQL, Privileges: []string{"FLUSH_TABLES, PROCESS, REPLICATION CLIENT, BACKUP_ADMIN, REFERENCES ON *.*", "SELECT ON performance_schema.*"}})
	type by = []string
	locked := func(lines ...string) func(*testing.T, *hostStage) (string, by) {
		return func(t *testing.T, h *hostStage) (string, by) {
			h.session(t, "LOCK TABLES held.t WRITE")
			return h.mysql(t, append([]string{"long_query_after: 1ms"}, lines...)...), nil
		}
	}
	h.runCases(t, []hostCase{
		{"a privilege that is missing", func(t *testing.T, h *hostStage) (string, by) {
			h.sql(t, "REVOKE FLUSH_TABLES ON *.* FROM stillpoint@localhost", "GRANT FLUSH_TABLES ON *.* TO stillpoint@localhost")
			return h.healthy, nil
		}, notLooked("privileges", wants{"nightly: database.privileges": "FAIL GRANT FLUSH_TABLES ON *.* TO 'stillpoint'@'localhost'"})},
		{"a table without transactions under the backup lock", func(t *testing.T, h *hostStage) (string, by) {
			h.sql(t, "CREATE TABLE held.m (i INT) ENGINE=MyISAM", "DROP TABLE held.m")
			return h.mysql(t, "lock: backup"), nil
		}, wants{"nightly: database.consistency": "warn held.m (MyISAM)"}},
		{"a table without transactions, and auto", func(t *testing.T, h *hostStage) (string, by) {
			h.sql(t, "CREATE TABLE held.m (i INT) ENGINE=MyISAM", "DROP TABLE held.m")
			return h.mysql(t, "lock: auto"), nil
		}, wants{"nightly: database.lock": "ok lock: auto takes FLUSH TABLES WITH READ LOCK, since these are not transactional: held.m"}},
		{"auto", func(t *testing.T, h *hostStage) (string, by) { return h.mysql(t, "lock: auto"), nil },
			wants{"nightly: database.lock": "ok lock: auto takes LOCK INSTANCE FOR BACKUP"}},
		{"no redo log", func(t *testing.T, h *hostStage) (string, by) {
			h.sql(t, "ALTER INSTANCE DISABLE INNODB REDO_LOG", "ALTER INSTANCE ENABLE INNODB REDO_LOG")
			return h.healthy, nil
		}, joined(notLooked("lock", wants{"nightly: database.lock": "FAIL ALTER INSTANCE ENABLE INNODB REDO_LOG"}), wants{"nightly: database.location": "ok", "nightly: database.replica": "ok"})},
		{"a session that holds a table", locked(), wants{"nightly: database.blockers": "warn holds held.t"}},
		{"a session that holds a table, and fail", locked("long_queries: fail"), wants{"nightly: database.blockers": "FAIL end them"}},
	})
}

// traces is all that could be left behind in a server.
func traces(t *testing.T, h *hostStage) map[string]string {
	t.Helper()
	all := map[string]string{}
	status := map[rig.Flavor]string{rig.MariaDB: "SHOW MASTER STATUS", rig.MySQL: "SHOW BINARY LOG STATUS"}[h.Server.Flavor()]
	for _, statement := range []string{"SHOW GLOBAL VARIABLES", status, "SHOW BINARY LOGS"} {
		rows, err := h.Server.DB().QueryContext(h.ctx, statement)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values := make([]string, len(columns))
			at := make([]any, len(columns))
			for i := range values {
				at[i] = &values[i]
			}
			if err := rows.Scan(at...); err != nil {
				t.Fatal(err)
			}
			all[statement+" "+values[0]] = strings.Join(values[1:], " ")
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// tree is every file under the directories, with its size and time.
func tree(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range dirs {
		if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil {
				all[path] = fmt.Sprintf("%v %d %v", info.Mode(), info.Size(), info.ModTime())
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// Nothing of the doctor is left: not in the server, not in our directories, not on the host.
func TestNoTraces(t *testing.T) {
	t.Parallel()
	for _, flavor := range rig.Flavors {
		t.Run(string(flavor), func(t *testing.T) {
			if lacks := flavor.Missing(); lacks != "" {
				t.Skipf("this machine lacks %s", lacks)
			}
			h := hostStageOf(t, scene.Config{Flavor: flavor})
			expedited := rig.Expedited()
			server, files := traces(t, h), tree(t, filepath.Join(h.Dir, "state"), h.RuntimeDir)
			for _, text := range []string{h.healthy, h.mysql(t, "lock: auto", "long_query_after: 1ms"), h.mysql(t, "preliminary_flush: always")} {
				h.by(t, text)
			}
			if diff := cmp.Diff(server, traces(t, h)); diff != "" {
				t.Errorf("the server is not as it was:\n%s", diff)
			}
			if diff := cmp.Diff(files, tree(t, filepath.Join(h.Dir, "state"), h.RuntimeDir)); diff != "" {
				t.Errorf("the directories are not as they were:\n%s", diff)
			}
			if now := rig.Expedited(); now != expedited {
				t.Errorf("rcu_expedited is %s and was %s", now, expedited)
			}
			var sessions int
			if err := h.Server.DB().QueryRowContext(h.ctx, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'stillpoint'").Scan(&sessions); err != nil || sessions != 0 {
				t.Errorf("%d sessions are left: %v", sessions, err)
			}
		})
	}
}

// Beside a worker that makes one set after the other the doctor disturbs nothing,
// and is disturbed by nothing: no set fails, or waits for its turn.
func TestBesideAWorker(t *testing.T) {
	t.Parallel()
	h := hostStageOf(t, scene.Config{Writers: 2})
	h.work()
	stop, ended := make(chan struct{}), make(chan struct{})
	reports := 0
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			cmd := h.Command(h.ctx, "doctor", "--config", h.ConfigPath, "--json")
			out, _ := cmd.Output()
			var r judged.Report
			if err := json.Unmarshal(out, &r); err != nil {
				t.Errorf("%v: %s", err, out)
				return
			}
			reports++
			for _, f := range onlyMine(r).Findings {
				if f.Status == judged.Fail || !f.Checked {
					t.Errorf("beside a worker: %s %s: %s", f.Status, f.Check, f.Message)
				}
			}
		}
	}()
	for i := range 8 {
		if _, err := h.Send(h.ctx, fmt.Sprintf(`{"plan":"nightly","requestId":"beside-%d"}`, i)); err != nil {
			t.Fatal(err)
		}
		d, err := h.NextResult(h.ctx)
		for err == nil && d.Result.RequestID != fmt.Sprintf("beside-%d", i) { // that of the first snapshot
			d, err = h.NextResult(h.ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		if r := d.Result; r.Status != messages.Succeeded || r.Consistency != messages.ConsistencyApplication || r.Timings.LockTries != 1 {
			t.Errorf("beside the doctor: %s/%s %s, %d tries: %s %q", r.Status, r.Reason, r.Consistency, r.Timings.LockTries, r.Message, r.Warnings)
		}
	}
	close(stop)
	<-ended
	t.Logf("%d reports beside 8 sets", reports)
	if reports == 0 {
		t.Error("no report was made beside the worker")
	}
}

// frozenByUs waits until the worker's create call is under way, and with it the freeze.
func (h *hostStage) frozenByUs(t *testing.T) {
	t.Helper()
	for h.ctx.Err() == nil {
		for _, c := range h.AWS.Calls() {
			if c.Operation == "ec2:CreateSnapshots" && c.State == "running" && c.Params["DryRun"] != "true" {
				return
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("no create call is under way")
}

// What a worker and a guardian that were killed inside the window have left is found, and told by what ends it.
func TestLeftFrozen(t *testing.T) {
	t.Parallel()
	h := hostStageOf(t, scene.Config{PlanYAML: "snapshot_timeout: 30s\nmax_hold: 60s"})
	h.work()
	h.AWS.SetFaults(localstack.Fault{Operation: "ec2:CreateSnapshots", Latency: 14 * time.Second})
	if _, err := h.Send(h.ctx, `{"plan":"nightly","requestId":"both"}`); err != nil {
		t.Fatal(err)
	}
	h.frozenByUs(t)
	h.AWS.SetFaults() // the doctor asks by a dry run of the same call
	l, err := freeze.Look(h.RuntimeDir)
	if err != nil || l.Worker != h.worker.PID() || l.Guardian == 0 || len(l.Frozen) != 1 {
		t.Fatalf("%+v, %v", l, err)
	}
	// Beside the window: a run is under way, and that is all there is to say.
	want := wants{"nightly: freeze.now": whatever, "nightly: database.blockers": whatever, "nightly: database.connections": whatever}
	well := h.well
	got := onlyMine(h.doctor(t, h.ConfigPath))
	for name := range want {
		got, h.well = cut(got, name), cut(h.well, name)
	}
	h.compare(t, got, nil)
	h.well = well
	h.frozenByUs(t) // still
	for pid, sig := range map[int]syscall.Signal{h.worker.PID(): syscall.SIGSTOP} {
		if err := syscall.Kill(pid, sig); err != nil {
			t.Fatal(err)
		}
	}
	for _, pid := range []int{l.Guardian, h.worker.PID()} {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	<-h.worker.Exited()
	t.Cleanup(func() {
		_, _ = h.Command(context.WithoutCancel(h.ctx), "thaw", "--runtime-dir", h.RuntimeDir).CombinedOutput()
	})
	h.compare(t, onlyMine(h.doctor(t, h.ConfigPath)), wants{
		"host.freeze_record": "FAIL run stillpoint thaw: writes there wait until then", "nightly: freeze.now": "FAIL run stillpoint thaw",
	})
	if out, err := h.Command(h.ctx, "thaw", "--runtime-dir", h.RuntimeDir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h.compare(t, onlyMine(h.doctor(t, h.ConfigPath)), nil)
}

// A plain user is told what could not be looked at, and not that it is broken.
func TestPlainUser(t *testing.T) {
	t.Parallel()
	h := hostStageOf(t, scene.Config{})
	const nobody = 65534
	dir, err := os.MkdirTemp("/tmp", "stillpoint-plain-") // where nobody may go
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "stillpoint")
	binary, err := os.ReadFile(h.Config.Stillpoint)
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.Chmod(h.Dir, 0o755), os.WriteFile(program, binary, 0o600), os.Chmod(program, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	path := file(t, filepath.Join(dir, "stillpoint.yaml"), h.healthy, 0o644)
	run := func(args ...string) (judged.Report, int) {
		t.Helper()
		cmd := h.Command(h.ctx, append([]string{"doctor", "--json"}, args...)...)
		cmd.Path = program
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := cmd.Output()
		var exit *exec.ExitError
		var r judged.Report
		if err != nil && !errors.As(err, &exit) || json.Unmarshal(out, &r) != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return r, cmd.ProcessState.ExitCode()
	}
	r, _ := run("--config", path)
	r = onlyMine(r)
	if r.Count(judged.Fail) > 0 {
		t.Errorf("it calls broken what it could not look at:\n%s", text(r))
	}
	h.compare(t, r, joined(noServer(nil), wants{
		"host.rights": "unchecked sudo stillpoint doctor", "host.server_rights": "unchecked", "host.state_dir": "unchecked sudo", "host.runtime_dir": "unchecked sudo", "host.state_room": "gone", "host.state_owner": "gone",
		"host.freeze_record": "ok", "nightly: freeze.guardian": needs, "nightly: freeze.expedite": needs,
		"nightly: database.defaults_file": "unchecked permission denied", "nightly: database.connection": needs,
	}))
	t.Logf("as a plain user:\n%s", text(r))
	// What is broken for everybody is so for a plain user.
	broken := file(t, filepath.Join(dir, "broken.yaml"), h.freezing(t, "/"), 0o644)
	if r, code := run("--config", broken); code != 3 || onlyMine(r).Count(judged.Fail) == 0 {
		t.Errorf("exit %d with the root file system in freeze:\n%s", code, text(r))
	}
}
