package freeze

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// The test binary is also every other program that the tests need.
func TestMain(m *testing.M) {
	role := ""
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	switch role {
	case "guardian":
		os.Exit(GuardianMain())
	case "write-probe":
		os.Exit(ProbeMain())
	case "janitor":
		janitor()
	case "writer":
		writer(os.Args[2])
	case "worker":
		os.Exit(worker(os.Args[2:]))
	default:
		goleak.VerifyTestMain(m)
	}
}

// janitor thaws and unmounts when the test binary has ended, however it ended.
// It reads "+ mountpoint" and "- mountpoint".
func janitor() {
	held := map[string]int{}
	var order []string
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		sign, path, _ := strings.Cut(lines.Text(), " ")
		if sign == "+" {
			held[path], _ = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			order = append(order, path)
		} else {
			unix.Close(held[path])
			delete(held, path)
		}
		fmt.Println("ok")
	}
	for _, path := range order {
		if fd, ok := held[path]; ok {
			go thawFS(fd)
		}
	}
	time.Sleep(300 * time.Millisecond)
	slices.Reverse(order)
	for _, path := range order {
		if fd, ok := held[path]; ok {
			thawFS(fd)
			unix.Close(fd)
			unix.Unmount(path, unix.MNT_DETACH)
		}
	}
}

var theJanitor struct {
	sync.Mutex
	in  io.Writer
	out *bufio.Reader
}

func tellJanitor(t testing.TB, line string) {
	t.Helper()
	j := &theJanitor
	j.Lock()
	defer j.Unlock()
	if j.in == nil {
		cmd := exec.Command(selfPath, "janitor")
		cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
		in, err := cmd.StdinPipe()
		must(t, err)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		j.in, j.out = in, bufio.NewReader(out)
	}
	_, err := fmt.Fprintln(j.in, line)
	must(t, err)
	_, err = j.out.ReadString('\n')
	must(t, err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// disk is a file system on a loop device.
type disk struct {
	path  string
	image string
	fd    int
}

// newDisk makes one under dir, which is t.TempDir() or another disk.
func newDisk(t testing.TB, kind, dir string) *disk {
	t.Helper()
	needRoot(t)
	base, err := os.MkdirTemp(dir, kind)
	must(t, err)
	d := &disk{path: filepath.Join(base, "mnt"), image: filepath.Join(base, "image")}
	must(t, os.Mkdir(d.path, 0o755))
	must(t, os.WriteFile(d.image, nil, 0o600))
	size := int64(320 << 20)
	if !strings.Contains(dir, "/mnt") {
		size = 1 << 30 // room for another one in it
	}
	must(t, os.Truncate(d.image, size))
	mkfs := []string{"mkfs." + kind, "-q", d.image}
	if kind == "ext4" {
		mkfs = []string{"mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", d.image}
	}
	run(t, mkfs...)
	run(t, "mount", "-o", "loop", d.image, d.path)
	// Registered before anything can freeze it.
	d.fd, err = unix.Open(d.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	tellJanitor(t, "+ "+d.path)
	t.Cleanup(func() {
		thawFS(d.fd)
		unix.Close(d.fd)
		tellJanitor(t, "- "+d.path)
		for range 100 {
			if err = unix.Unmount(d.path, 0); err != unix.EBUSY {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if err != nil {
			t.Errorf("cannot unmount %s: %v", d.path, err)
		}
	})
	return d
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount and freeze")
	}
	for _, tool := range []string{"mkfs.xfs", "mkfs.ext4", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs " + tool)
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("needs loop devices")
	}
}

func run(t testing.TB, argv ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
}

// isFrozen asks the kernel, by a FIFREEZE of its own.
func (d *disk) isFrozen(t testing.TB) bool {
	t.Helper()
	switch errno := freezeFS(d.fd); errno {
	case 0:
		thawFS(d.fd)
		return false
	case unix.EBUSY:
		return true
	default:
		t.Fatalf("cannot probe %s: %v", d.path, errno)
		return false
	}
}

// freezeForeign freezes it as another program would.
func (d *disk) freezeForeign(t testing.TB) {
	t.Helper()
	if errno := freezeFS(d.fd); errno != 0 {
		t.Fatalf("cannot freeze %s: %v", d.path, errno)
	}
}

// dirty leaves pages that the next sync has to write.
func (d *disk) dirty(t testing.TB) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(d.path, "dirty"), make([]byte, 8<<20), 0o600))
}

// writer writes to a file every half millisecond and tells the time of each
// write that has returned.
func writer(path string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		os.Exit(1)
	}
	var b [8]byte
	for n := int64(0); ; n++ {
		if _, err := f.WriteAt(b[:], n%4096*8); err != nil {
			os.Exit(1)
		}
		binary.LittleEndian.PutUint64(b[:], uint64(bootNow()))
		if _, err := os.Stdout.Write(b[:]); err != nil {
			os.Exit(0)
		}
		time.Sleep(500 * time.Microsecond)
	}
}

// flow is a running writer.
type flow struct {
	mu    sync.Mutex
	times []int64
}

func (d *disk) startWriter(t testing.TB) *flow {
	t.Helper()
	cmd := exec.Command(selfPath, "writer", filepath.Join(d.path, "flow"))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	w := &flow{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		var b [8]byte
		for {
			if _, err := io.ReadFull(out, b[:]); err != nil {
				return
			}
			w.mu.Lock()
			w.times = append(w.times, int64(binary.LittleEndian.Uint64(b[:])))
			w.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		thawFS(d.fd)
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
	})
	w.firstAfter(t, bootNow())
	return w
}

// firstAfter waits for a write that returned after a time.
func (w *flow) firstAfter(t testing.TB, at int64) int64 {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		w.mu.Lock()
		i, _ := slices.BinarySearch(w.times, at)
		if i < len(w.times) {
			defer w.mu.Unlock()
			return w.times[i]
		}
		w.mu.Unlock()
	}
	t.Fatal("the writer is still blocked after 10 s")
	return 0
}

// stopped fails the test where a write returns within d of now.
func (w *flow) stopped(t testing.TB, d time.Duration) {
	t.Helper()
	from := bootNow() + int64(5*time.Millisecond) // what was under way
	time.Sleep(d)
	w.mu.Lock()
	defer w.mu.Unlock()
	if last := w.times[len(w.times)-1]; last > from {
		t.Fatalf("the writer was not blocked: a write returned %v after the freeze", time.Duration(last-from))
	}
}

// config is what most tests use; the RCU setting is a file of their own.
func config(t testing.TB) Config {
	t.Helper()
	rcu := filepath.Join(t.TempDir(), "rcu_expedited")
	must(t, os.WriteFile(rcu, []byte("0\n"), 0o600))
	return Config{Args: []string{"guardian"}, Expedite: true, RCUPath: rcu}
}

// wantRCU checks the setting of a config.
func wantRCU(t testing.TB, c Config, want string) {
	t.Helper()
	got, err := os.ReadFile(c.RCUPath)
	must(t, err)
	if strings.TrimSpace(string(got)) != want {
		t.Errorf("rcu_expedited is %q, want %q", got, want)
	}
}

// arm arms, and closes at the end of the test.
func arm(t testing.TB, c Config, disks ...*disk) *Guard {
	t.Helper()
	var mounts []string
	for _, d := range disks {
		mounts = append(mounts, d.path)
	}
	guard, err := New(c).Arm(t.Context(), mounts)
	must(t, err)
	t.Cleanup(func() {
		for _, d := range disks {
			thawFS(d.fd)
		}
		if err := guard.Close(); err != nil {
			t.Error(err)
		}
	})
	return guard.(*Guard)
}

// in returns a time that far away.
func in(d time.Duration) time.Time { return time.Now().Add(d) }

// bounded returns a context that ends with the test or after d.
func bounded(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// zombie says that a process has ended and is not reaped yet.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
