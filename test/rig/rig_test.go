package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// victimEnv makes this test binary the victim of TestNothingOutlivesTheProcess.
const victimEnv = "RIG_TEST_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimEnv); dir != "" {
		if err := victim(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// requireRig skips the test on a machine that lacks something, and returns a
// directory whose path is short enough for sockets and a stack that is closed
// at the end.
func requireRig(t *testing.T) (dir string, stack *Stack) {
	t.Helper()
	if missing := Missing(); len(missing) > 0 {
		t.Skipf("this machine lacks %s", strings.Join(missing, ", "))
	}
	dir, err := os.MkdirTemp("", "rig-test-")
	if err != nil {
		t.Fatal(err)
	}
	stack = new(Stack)
	stack.Add("the directory", func(context.Context) error { return os.RemoveAll(dir) })
	t.Cleanup(func() {
		if err := stack.Close(); err != nil {
			t.Error(err)
		}
		if loops := loopsUnder(dir); len(loops) > 0 {
			t.Errorf("left behind: %v", loops)
		}
	})
	return dir, stack
}

// makeVolume mounts an XFS on an image in a store, with the undoing on the stack.
func makeVolume(t *testing.T, dir string, stack *Stack) (image, mounted string) {
	t.Helper()
	ctx := t.Context()
	store, err := NewStore(ctx, dir, 2048)
	if err != nil {
		t.Fatal(err)
	}
	stack.Add("the store", func(context.Context) error { return store.Close() })
	image = filepath.Join(store.Dir(), "volume.img")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 1024<<20); err != nil {
		t.Fatal(err)
	}
	if err := Format(ctx, image, "xfs"); err != nil {
		t.Fatal(err)
	}
	mounted = filepath.Join(dir, "volume")
	if err := Mount(ctx, image, mounted, "xfs", "loop", "noatime"); err != nil {
		t.Fatal(err)
	}
	stack.Add("the volume", func(context.Context) error { return Unmount(mounted) })
	return image, mounted
}

// each runs a test for every flavor.
func each(t *testing.T, test func(t *testing.T, flavor Flavor)) {
	t.Helper()
	for _, flavor := range Flavors {
		t.Run(string(flavor), func(t *testing.T) {
			if missing := flavor.Missing(); missing != "" {
				t.Skipf("this machine lacks %s", missing)
			}
			test(t, flavor)
		})
	}
}

func startServer(t *testing.T, stack *Stack, flavor Flavor, config ServerConfig) *Server {
	t.Helper()
	server, err := StartServer(t.Context(), flavor, config)
	if err != nil {
		t.Fatal(err)
	}
	stack.Add("the server on "+config.Datadir, server.Discard)
	t.Logf("%s started in %s", filepath.Base(config.Datadir), server.StartedIn().Round(time.Millisecond))
	return server
}

// victim makes one of everything, says so and waits to be killed.
func victim(dir string) error {
	ctx := context.Background()
	store, err := NewStore(ctx, dir, 512)
	if err != nil {
		return err
	}
	image := filepath.Join(store.Dir(), "volume.img")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 400<<20)); err != nil {
		return err
	}
	mounted := filepath.Join(dir, "volume")
	if err := errors.Join(Format(ctx, image, "ext4"), Mount(ctx, image, mounted, "ext4", "loop")); err != nil {
		return err
	}
	server, err := StartMariaDB(ctx, ServerConfig{Datadir: filepath.Join(mounted, "data"), RunDir: filepath.Join(dir, "run")})
	if err != nil {
		return err
	}
	fmt.Println(server.PID(), mounts.cmd.Process.Pid)
	select {}
}

func TestNothingOutlivesTheProcess(t *testing.T) {
	dir, _ := requireRig(t)
	// The victim's children become this process's, as not every machine's first
	// process reaps those that fall to it.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+dir)
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, readErr := bufio.NewReader(output).ReadString('\n')
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	_ = cmd.Wait()
	if readErr != nil {
		t.Fatal(readErr)
	}
	var left []int
	for _, field := range strings.Fields(line) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, pid)
	}
	gone := func() bool {
		left = slices.DeleteFunc(left, func(pid int) bool {
			reaped, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
			return reaped == pid || err != nil
		})
		return len(left) == 0 && !isMountPoint(filepath.Join(dir, "volume")) &&
			!isMountPoint(filepath.Join(dir, "store")) && len(loopsUnder(dir)) == 0
	}
	for !gone() {
		if time.Since(killed) > 20*time.Second {
			t.Fatalf("still there after %s: processes %v, users %v", time.Since(killed), left, usersOf(dir))
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("everything gone %s after SIGKILL", time.Since(killed).Round(time.Millisecond))
}

func TestUnmountNamesWhoIsThere(t *testing.T) {
	dir, stack := requireRig(t)
	image, mounted := makeVolume(t, dir, stack)
	file, err := os.Create(filepath.Join(mounted, "busy"))
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(500*time.Millisecond, func() { _ = file.Close() })
	users := usersOf(mounted)
	if len(users) != 1 || !strings.Contains(users[0], strconv.Itoa(os.Getpid())) {
		t.Errorf("users of the mount: %v", users)
	}
	begun := time.Now()
	if err := Unmount(mounted); err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(begun); waited < 300*time.Millisecond {
		t.Errorf("unmounted after %s although a file was open", waited)
	}
	if err := Unmount(mounted); err == nil {
		t.Error("a second Unmount is no error")
	}
	// What the stack unmounts must be there.
	if err := Mount(t.Context(), image, mounted, "xfs", "loop"); err != nil {
		t.Fatal(err)
	}
	if err := Mount(t.Context(), "/dev/null", filepath.Join(dir, "other"), "xfs"); err == nil {
		t.Error("mounted nothing without an error")
	}
}

func TestUnmountThawsAndTells(t *testing.T) {
	dir, stack := requireRig(t)
	image, mounted := makeVolume(t, dir, stack)
	if err := runTool(t.Context(), "fsfreeze", "--freeze", mounted); err != nil {
		t.Fatal(err)
	}
	if err := Unmount(mounted); !errors.Is(err, ErrWasFrozen) {
		t.Errorf("unmounting a frozen file system: %v", err)
	}
	if err := Mount(t.Context(), image, mounted, "xfs", "loop"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(mounted, "file"), []byte("x"), 0o600); err != nil {
		t.Error(err)
	}
}

func TestStackRunsAllInReverse(t *testing.T) {
	var stack Stack
	var order []string
	broken := errors.New("broken")
	for _, name := range []string{"a", "b", "c", "d"} {
		stack.Add(name, func(ctx context.Context) error {
			order = append(order, name)
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("the step's context has no deadline")
			}
			switch name {
			case "b":
				return broken
			case "c":
				panic("oh")
			}
			return nil
		})
	}
	err := stack.Close()
	if !slices.Equal(order, []string{"d", "c", "b", "a"}) {
		t.Errorf("order %v", order)
	}
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "cannot clean up c: the step panicked: oh") {
		t.Errorf("error %v", err)
	}
	if err := stack.Close(); err != nil || len(order) != 4 {
		t.Errorf("second Close: %v, order %v", err, order)
	}
}

func TestWriteDefaultsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "my.cnf")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := WriteDefaultsFile(path, "worker", `a\b c`, "/run/x.sock"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "[client]\nuser=\"worker\"\npassword=\"a\\\\b c\"\nsocket=\"/run/x.sock\"\n"; string(text) != want {
		t.Errorf("got %q", text)
	}
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil || stat.Mode&0o777 != 0o600 {
		t.Errorf("mode %o, %v", stat.Mode, err)
	}
	if err := WriteDefaultsFile(path, "worker", "a\nb", "s"); err == nil {
		t.Error("a line break was accepted")
	}
}
