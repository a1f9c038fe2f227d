package doctor

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	judged "stillpoint/internal/doctor"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// hostCase is one way in which the host, the file's plan or the database is not as
// it should be.
type hostCase struct {
	name string
	// make breaks it, and returns the file's text and what the program is run by:
	// nil, by nobody. What it did is undone by t.Cleanup.
	make func(t *testing.T, h *hostStage) (text string, by []string)
	want wants
}

// hostStage is a stage for these cases.
type hostStage struct {
	*stage
	data string // the database's mount point
}

// edit is the healthy file with a text exchanged.
func (h *hostStage) edit(t *testing.T, pairs ...string) string {
	t.Helper()
	text := h.healthy
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the file has no %q:\n%s", pairs[i], text)
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

// mysql adds lines to the plan's mysql section, plan to the plan.
func (h *hostStage) mysql(t *testing.T, lines ...string) string {
	t.Helper()
	return h.edit(t, "    mysql:\n", "    mysql:\n      "+strings.Join(lines, "\n      ")+"\n")
}

func (h *hostStage) plan(t *testing.T, lines ...string) string {
	t.Helper()
	return h.edit(t, "    mysql:\n", "    "+strings.Join(lines, "\n    ")+"\n    mysql:\n")
}

// freezing is the plan's freeze list with one more.
func (h *hostStage) freezing(t *testing.T, mount string) string {
	t.Helper()
	return h.edit(t, "freeze: ["+h.data, "freeze: ["+mount+", "+h.data)
}

// sql runs a statement as root, and the other when the case is over; "" for none.
func (h *hostStage) sql(t *testing.T, statement, undo string) {
	t.Helper()
	do := func(ctx context.Context, s string) {
		if s == "" {
			return
		}
		if _, err := h.Server.DB().ExecContext(ctx, s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	do(h.ctx, statement)
	t.Cleanup(func() { do(context.WithoutCancel(h.ctx), undo) })
}

// session is one of its own, that runs a statement and stays. The server counts whole seconds: it is not young any more.
func (h *hostStage) session(t *testing.T, statement string) {
	t.Helper()
	c, err := h.Server.DB().Conn(h.ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Raw(func(any) error { return errors.New("not for the pool any more") })
		_ = c.Close()
	})
	if _, err := c.ExecContext(h.ctx, statement); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.ExecContext(context.WithoutCancel(h.ctx), "UNLOCK TABLES") })
	var id, seconds int
	if err := c.QueryRowContext(h.ctx, "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		t.Fatal(err)
	}
	for seconds == 0 {
		if err := h.Server.DB().QueryRowContext(h.ctx, "SELECT TIME FROM information_schema.PROCESSLIST WHERE ID = ?", id).Scan(&seconds); err != nil {
			t.Fatal(err)
		}
	}
}

// directory makes one, with a mode.
func directory(t *testing.T, path string, mode os.FileMode) string {
	t.Helper()
	if err := errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(path) })
	return path
}

// file writes one, with a mode.
func file(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(path) })
	return path
}

// tmpfs mounts one for the case.
func tmpfs(t *testing.T, ctx context.Context, path, size string) string {
	t.Helper()
	if err := rig.Mount(ctx, "tmpfs", path, "tmpfs", "mode=0700", "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rig.Unmount(path); err != nil {
			t.Error(err)
		}
	})
	return path
}

// defaults writes a defaults file of the case.
func (h *hostStage) defaults(t *testing.T, password, socket string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "my.cnf")
	if err := errors.Join(rig.WriteDefaultsFile(path, "stillpoint", password, socket), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	return h.edit(t, "defaults_file: "+h.DefaultsFile, "defaults_file: "+path)
}

// without runs a program with one capability less.
func without(t *testing.T, capability string) []string {
	t.Helper()
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip("this machine lacks setpriv")
	}
	return []string{"setpriv", "--bounding-set", "-" + capability, "--inh-caps", "-" + capability}
}

// connections leaves room for ten, and takes so many.
func connections(t *testing.T, h *hostStage, n int) {
	t.Helper()
	var before int
	if err := h.Server.DB().QueryRowContext(h.ctx, "SELECT @@GLOBAL.max_connections").Scan(&before); err != nil {
		t.Fatal(err)
	}
	h.sql(t, "SET GLOBAL max_connections = 10", "SET GLOBAL max_connections = "+strconv.Itoa(before))
	// The server may not have noticed yet that those of an earlier case are closed.
	open := -1
	for h.ctx.Err() == nil && open != h.Server.DB().Stats().OpenConnections {
		if err := h.Server.DB().QueryRowContext(h.ctx, "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'Threads_connected'").Scan(&open); err != nil {
			t.Fatal(err)
		}
	}
	open -= h.Server.DB().Stats().Idle // which are used first
	for ; open < n; open++ {
		c, err := h.Server.DB().Conn(h.ctx)
		if err == nil {
			err = c.PingContext(h.ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
}

// frozen freezes a mount of the scene until the case is over.
func frozen(t *testing.T, mount string) {
	t.Helper()
	if out, err := exec.Command("fsfreeze", "--freeze", mount).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("fsfreeze", "--unfreeze", mount).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// hostStageOf sets a stage with a database on which all is well, and a first snapshot behind it.
func hostStageOf(t *testing.T, c scene.Config) *hostStage {
	t.Helper()
	if c.Flavor != rig.MySQL {
		c.ServerOptions = append(c.ServerOptions, plugin(t)...)
	}
	h := &hostStage{stage: set(t, c)}
	h.data = h.Volumes[0].Mount
	h.sql(t, "CREATE DATABASE held", "")
	h.sql(t, "CREATE TABLE held.t (i INT) ENGINE=InnoDB", "")
	if out, err := h.Command(h.ctx, "snapshot", "--config", h.ConfigPath, "--json").CombinedOutput(); err != nil {
		t.Fatalf("the first snapshot: %v\n%s", err, out)
	}
	h.well = onlyMine(h.doctor(t, h.ConfigPath))
	t.Logf("where all is well:\n%s", text(h.well))
	for _, f := range h.well.Findings {
		if f.Status == judged.Fail || !f.Checked {
			t.Errorf("%s is %s where all is well: %s", key(f), f.Status, f.Message)
		}
	}
	return h
}

// mine says whether a line is of host and database.
func mine(f judged.Finding) bool {
	return slices.ContainsFunc([]string{"host.", "volumes.", "freeze.", "hooks.", "database."}, func(p string) bool { return strings.HasPrefix(f.Check, p) })
}

// onlyMine leaves the lines of host and database. What AWS says is the other table's.
func onlyMine(r judged.Report) judged.Report {
	r.Findings = slices.DeleteFunc(slices.Clone(r.Findings), func(f judged.Finding) bool { return !mine(f) })
	return r
}

// cut leaves a line out.
func cut(r judged.Report, name string) judged.Report {
	r.Findings = slices.DeleteFunc(slices.Clone(r.Findings), func(f judged.Finding) bool { return key(f) == name })
	return r
}

// plugin are the options for a MariaDB with metadata_lock_info.
func plugin(t *testing.T) []string {
	t.Helper()
	for _, dir := range []string{"/usr/lib/mysql/plugin", filepath.Join(rig.MariaDBTree(), "usr/lib/mysql/plugin")} {
		if _, err := os.Stat(filepath.Join(dir, "metadata_lock_info.so")); err == nil {
			return []string{"--plugin-dir=" + dir, "--plugin-load-add=metadata_lock_info", "--plugin-maturity=unknown"}
		}
	}
	t.Skip("MariaDB's plugin metadata_lock_info is not here")
	return nil
}

// by runs the doctor by another program.
func (h *hostStage) by(t *testing.T, text string, program ...string) judged.Report {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stillpoint.yaml")
	file(t, path, text, 0o600)
	if len(program) == 0 {
		return h.doctor(t, path)
	}
	found, err := exec.LookPath(program[0])
	if err != nil {
		t.Fatal(err)
	}
	wrapper := file(t, filepath.Join(t.TempDir(), "by"), "#!/bin/sh\nexec "+found+" "+strings.Join(program[1:], " ")+" "+h.Config.Stillpoint+" \"$@\"\n", 0o755)
	before := h.Config.Stillpoint
	h.Config.Stillpoint = wrapper
	defer func() { h.Config.Stillpoint = before }()
	return h.doctor(t, path)
}
