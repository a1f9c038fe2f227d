package rig

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func position(t *testing.T, s *Server) Position {
	t.Helper()
	p, err := s.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustExec(t *testing.T, conn interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, statement string) {
	t.Helper()
	if _, err := conn.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func compare(t *testing.T, first, second *Server) Diff {
	t.Helper()
	begun := time.Now()
	diff, err := Compare(t.Context(), first, second)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("compared in %s: %s", time.Since(begun).Round(time.Millisecond), diff)
	return diff
}

// TestReplayProvesACopy clones a volume under the global read lock, with the load
// going on before and after it, and shows that a replay up to
// the lock's position is exactly what the copy holds, and one beside it is not.
func TestReplayProvesACopy(t *testing.T) {
	each(t, replayProvesACopy)
}

func replayProvesACopy(t *testing.T, flavor Flavor) {
	dir, stack := requireRig(t)
	ctx := t.Context()
	image, volume := makeVolume(t, dir, stack)
	source := startServer(t, stack, flavor, ServerConfig{
		Datadir: filepath.Join(volume, "data"), RunDir: filepath.Join(dir, "run"), ServerID: 7,
		// Several files, so that the position's count from the last one is tested.
		Options: []string{"--max-binlog-size=4M"},
	})
	load, err := StartLoad(ctx, source, LoadConfig{Keep: 50})
	if err != nil {
		t.Fatal(err)
	}
	stack.Add("the load", func(context.Context) error { return load.Stop() })
	if err := source.CreateUser(ctx, "worker", "it's"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)

	lock, err := source.DB().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	load.ResetStalls()
	locked := time.Now()
	mustExec(t, lock, "FLUSH LOCAL TABLES WITH READ LOCK")
	at := position(t, source)
	syncVolume(t, volume)
	clone := filepath.Join(filepath.Dir(image), "clone.img")
	if err := runTool(ctx, "cp", "--reflink=always", image, clone); err != nil {
		t.Fatal(err)
	}
	t.Logf("cloned %s after the lock", time.Since(locked).Round(time.Millisecond))
	time.Sleep(300 * time.Millisecond)
	if during := load.Stats(); during.Longest.Duration < 250*time.Millisecond {
		t.Errorf("the longest stall is %v while all are locked out", during.Longest)
	}
	if now := position(t, source); now != at {
		t.Errorf("the position moved under the lock from %s to %s", at, now)
	}
	mustExec(t, lock, "UNLOCK TABLES")
	held := time.Since(locked)
	time.Sleep(500 * time.Millisecond)
	if err := load.Stop(); err != nil {
		t.Fatal(err)
	}
	stats := load.Stats()
	t.Logf("%d rounds, %d transactions, %d statements, %d retries; longest %s (%s) with the lock held %s",
		stats.Rounds, stats.Transactions, stats.Statements, stats.Retries, stats.Longest.Duration, stats.Longest.Statement, held)
	if stats.Longest.Duration > held+time.Second || len(stats.Writers) != 8 || stats.Transactions < 100 {
		t.Errorf("odd stats: %+v", stats)
	}
	for _, s := range []error{CheckInvariants(ctx, source), CheckTables(ctx, source)} {
		if s != nil {
			t.Error(s)
		}
	}

	second := filepath.Join(dir, "second")
	if err := Mount(ctx, clone, second, "xfs", "loop", "nouuid"); err != nil {
		t.Fatal(err)
	}
	stack.Add("the clone", func(context.Context) error { return Unmount(second) })
	end, err := BinlogEnd(filepath.Join(second, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := source.TransactionsBetween(at, end); err != nil || n != 0 {
		t.Errorf("the copy's binlog ends at %s, %d transactions after %s: %v", end, n, at, err)
	}
	restored := startServer(t, stack, flavor, ServerConfig{Datadir: filepath.Join(second, "data"), RunDir: filepath.Join(dir, "run2"), ServerID: 8, NoRepair: true})
	for _, s := range []error{CheckTables(ctx, restored), CheckInvariants(ctx, restored)} {
		if s != nil {
			t.Error(s)
		}
	}
	if complaints := restored.Complaints(); len(complaints) > 0 {
		t.Errorf("complaints: %q", complaints)
	}

	replayed := replayTo(t, stack, source, at, filepath.Join(dir, "r1"))
	if diff := compare(t, restored, replayed); !diff.Equal() {
		t.Error("the copy is not what the binlog says")
	}
	if err := Replay(ctx, source, at, replayed); err == nil {
		t.Error("a replay on a server that is not fresh was accepted")
	}
	mustExec(t, replayed.DB(), "UPDATE rig.journal_myisam SET payload = SUBSTRING(payload, 2) ORDER BY writer, seq LIMIT 1")
	mustExec(t, replayed.DB(), "DELETE FROM rig.document ORDER BY writer, slot LIMIT 2")
	diff := compare(t, restored, replayed)
	if diff.Equal() || !strings.Contains(diff.String(), "1 changed") || !strings.Contains(diff.String(), "2 only in the first") {
		t.Error("rows changed by hand were not found")
	}
	if err := CheckInvariants(ctx, replayed); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a payload changed by hand was not found: %v", err)
	}

	before, after := neighbours(t, filepath.Join(source.Datadir(), at.File), at.Offset)
	for name, beside := range map[string]int64{"before": before, "after": after} {
		if beside == 0 {
			t.Logf("no transaction %s %s in this file", name, at)
			continue
		}
		there := Position{at.File, beside}
		if n, err := source.TransactionsBetween(at, there); err != nil || n != map[string]int{"before": -1, "after": 1}[name] {
			t.Errorf("%d transactions from %s to %s: %v", n, at, there, err)
		}
		other := replayTo(t, stack, source, there, filepath.Join(dir, name))
		if diff := compare(t, restored, other); diff.Equal() {
			t.Errorf("a replay to %s, one transaction %s %s, was not told apart", there, name, at)
		}
	}
	for _, wrong := range []int64{at.Offset + 1, at.Offset - 1, at.Offset + 1<<40} {
		if err := Replay(ctx, source, Position{at.File, wrong}, replayed); err == nil || !strings.Contains(err.Error(), "cannot stop at") {
			t.Errorf("a replay to %d was accepted: %v", wrong, err)
		}
	}
}

// syncVolume writes to the image what is in the page cache of the volume.
func syncVolume(t *testing.T, mounted string) {
	t.Helper()
	root, err := os.Open(mounted)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := unix.Syncfs(int(root.Fd())); err != nil {
		t.Fatal(err)
	}
}

func replayTo(t *testing.T, stack *Stack, source *Server, at Position, dir string) *Server {
	t.Helper()
	config := ServerConfig{Datadir: filepath.Join(dir, "data"), RunDir: dir, ServerID: 9}
	if source.Flavor() == MariaDB {
		config.Options = []string{"--gtid-strict-mode=ON"}
	}
	into := startServer(t, stack, source.Flavor(), config)
	begun := time.Now()
	if err := Replay(t.Context(), source, at, into); err != nil {
		t.Fatal(err)
	}
	t.Logf("replayed up to %s in %s", at, time.Since(begun).Round(time.Millisecond))
	return into
}

// neighbours returns where the transactions before and after the position begin and end, which
// is one transaction beside it; zero for one that is in another file.
func neighbours(t *testing.T, path string, at int64) (before, after int64) {
	t.Helper()
	events, err := readEvents(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range events {
		if !event.begins() {
			continue
		}
		if event.begin < at {
			before = event.begin
		} else if event.begin > at {
			return before, event.begin
		}
	}
	return before, 0
}

func TestCheckTablesFindsATruncatedTable(t *testing.T) {
	each(t, checkTablesFindsATruncatedTable)
}

func checkTablesFindsATruncatedTable(t *testing.T, flavor Flavor) {
	dir, stack := requireRig(t)
	ctx := t.Context()
	config := ServerConfig{Datadir: filepath.Join(dir, "data"), RunDir: filepath.Join(dir, "run"), TCP: true, NoRepair: true}
	server := startServer(t, stack, flavor, config)
	if !strings.HasPrefix(server.Address(), "127.0.0.1:") {
		t.Errorf("address %q", server.Address())
	}
	load, err := StartLoad(ctx, server, LoadConfig{Writers: 2, Pause: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	if err := errors.Join(load.Stop(), server.Stop(ctx)); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(server.Datadir(), Schema, "journal_myisam.MYD")
	info, err := os.Stat(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(data, info.Size()-200); err != nil {
		t.Fatal(err)
	}
	server = startServer(t, stack, flavor, config)
	err = CheckTables(ctx, server)
	if err == nil || !strings.Contains(err.Error(), "journal_myisam") || strings.Contains(err.Error(), "journal_aria") {
		t.Errorf("a truncated table was not found: %v", err)
	}
	t.Log(err)
}

func TestWritersReportAKilledServerAndGoOnLater(t *testing.T) {
	each(t, writersReportAKilledServerAndGoOnLater)
}

func writersReportAKilledServerAndGoOnLater(t *testing.T, flavor Flavor) {
	dir, stack := requireRig(t)
	ctx := t.Context()
	config := ServerConfig{Datadir: filepath.Join(dir, "data"), RunDir: filepath.Join(dir, "run")}
	server := startServer(t, stack, flavor, config)
	load, err := StartLoad(ctx, server, LoadConfig{Writers: 4, Keep: 20})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(ctx); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the end of a killed server: %v", err)
	}
	err = load.Stop()
	if !errors.Is(err, ErrConnectionLost) || strings.Count(err.Error(), "cannot write as writer") != 4 {
		t.Errorf("writers of a killed server: %v", err)
	}
	if err := server.Stop(ctx); err != nil {
		t.Errorf("stopping a server that has ended: %v", err)
	}

	server = startServer(t, stack, flavor, config)
	load, err = StartLoad(ctx, server, LoadConfig{Writers: 4, Keep: 20})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	if err := load.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := CheckInvariants(ctx, server); err != nil {
		t.Error(err)
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	each(t, startSaysWhatIsWrong)
}

func startSaysWhatIsWrong(t *testing.T, flavor Flavor) {
	dir, _ := requireRig(t)
	_, err := StartServer(t.Context(), flavor, ServerConfig{
		Datadir: filepath.Join(dir, "data"), RunDir: filepath.Join(dir, "run"), Options: []string{"--no-such-option"},
	})
	if err == nil || !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("error %v", err)
	}
	_, err = StartServer(t.Context(), flavor, ServerConfig{Datadir: dir, RunDir: filepath.Join(dir, strings.Repeat("x", 100))})
	if err == nil || !strings.Contains(err.Error(), "longer") {
		t.Errorf("error %v", err)
	}
}

func TestStopBoundsTheWaitForALock(t *testing.T) {
	each(t, stopBoundsTheWaitForALock)
}

func stopBoundsTheWaitForALock(t *testing.T, flavor Flavor) {
	dir, stack := requireRig(t)
	ctx := t.Context()
	server := startServer(t, stack, flavor, ServerConfig{Datadir: filepath.Join(dir, "data"), RunDir: filepath.Join(dir, "run")})
	load, err := StartLoad(ctx, server, LoadConfig{Writers: 2, StopPatience: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	lock, err := server.DB().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, lock, "FLUSH TABLES WITH READ LOCK")
	begun := time.Now()
	if err := load.Stop(); err == nil {
		t.Error("writers that were cut off report nothing")
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("Stop took %s", took)
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
}
