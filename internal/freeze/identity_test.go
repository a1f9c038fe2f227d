package freeze

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// looseDisk is a file system on a loop device that nobody holds open, so that
// it can be unmounted, made anew and mounted again.
type looseDisk struct {
	kind, device, path string
}

func newLooseDisk(t testing.TB, kind string) *looseDisk {
	t.Helper()
	needRoot(t)
	temp := t.TempDir()
	image := filepath.Join(temp, "image")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 320<<20))
	out, err := exec.Command("losetup", "--find", "--show", image).Output()
	must(t, err)
	d := &looseDisk{kind: kind, device: strings.TrimSpace(string(out)), path: filepath.Join(temp, "mnt")}
	must(t, os.Mkdir(d.path, 0o755))
	t.Cleanup(func() {
		d.thawAll()
		run(t, "losetup", "--detach", d.device)
	})
	d.make(t)
	d.mount(t, d.path)
	return d
}

// thawAll thaws it and unmounts it, whatever the test has left.
func (d *looseDisk) thawAll() {
	for range 5 {
		id := identity{Type: d.kind, Source: d.device, Device: d.number()}
		if fd, err := attach(id); err == nil {
			thawFS(fd)
			unix.Close(fd)
		}
		_ = unix.Unmount(d.path, 0)
		_ = unix.Unmount(d.path+"2", 0)
	}
}

func (d *looseDisk) number() string {
	var st unix.Stat_t
	_ = unix.Stat(d.device, &st)
	return deviceString(st.Rdev)
}

// make makes a file system with a UUID of its own.
func (d *looseDisk) make(t testing.TB) {
	t.Helper()
	if d.kind == "ext4" {
		run(t, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", d.device)
		return
	}
	run(t, "mkfs."+d.kind, "-q", "-f", d.device)
}

func (d *looseDisk) mount(t testing.TB, path string) {
	t.Helper()
	must(t, os.MkdirAll(path, 0o755))
	run(t, "mount", d.device, path)
}

func (d *looseDisk) unmount(t testing.TB, path string) {
	t.Helper()
	var err error
	for range 100 {
		if err = unix.Unmount(path, 0); err != unix.EBUSY {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	must(t, err)
}

// call opens the mount point for one ioctl.
func (d *looseDisk) call(t testing.TB, ioctl func(fd int) unix.Errno) unix.Errno {
	t.Helper()
	fd, err := unix.Open(d.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	return ioctl(fd)
}

func (d *looseDisk) thaw(t testing.TB) {
	t.Helper()
	if errno := d.call(t, thawFS); errno != 0 {
		t.Fatalf("cannot thaw: %v", errno)
	}
}

func (d *looseDisk) freeze(t testing.TB) {
	t.Helper()
	if errno := d.call(t, freezeFS); errno != 0 {
		t.Fatalf("cannot freeze: %v", errno)
	}
}

func (d *looseDisk) isFrozen(t testing.TB) bool {
	t.Helper()
	errno := d.call(t, freezeFS)
	if errno == 0 {
		d.thaw(t)
	}
	return errno == unix.EBUSY
}

// leave makes a leftover: frozen by a crew that is killed.
func (d *looseDisk) leave(t testing.TB, dir string) {
	t.Helper()
	c := startCrew(t, dir, 20*time.Second, "", &disk{path: d.path})
	c.goOn(t)
	c.expect(t, "frozen")
	c.killBoth(t)
	if !d.isFrozen(t) {
		t.Fatal("it is not frozen: the test shows nothing")
	}
}

func eachKind(t *testing.T, test func(t *testing.T, d *looseDisk, dir string)) {
	for _, kind := range []string{"xfs", "ext4"} {
		t.Run(kind, func(t *testing.T) { test(t, newLooseDisk(t, kind), t.TempDir()) })
	}
}

// TestSettleUnmounted: umount of a frozen file system succeeds, and leaves it frozen.
func TestSettleUnmounted(t *testing.T) {
	eachKind(t, func(t *testing.T, d *looseDisk, dir string) {
		d.leave(t, dir)
		d.unmount(t, d.path)
		report := settle(t, dir)
		if !report.FileSystems[0].Thawed {
			t.Errorf("Settle = %+v, want it thawed", report)
		}
		wantNoRecord(t, dir)
		if mounts, err := readTable(); err == nil {
			for _, m := range mounts.byID {
				if m.Source == d.device {
					t.Errorf("it was left mounted at %s", m.Mountpoint)
				}
			}
		}
		if _, err := os.Stat("/sys/fs/" + d.kind + "/" + filepath.Base(d.device)); err == nil {
			t.Error("its superblock lives on")
		}
		d.mount(t, d.path)
		if d.isFrozen(t) {
			t.Error("still frozen")
		}
	})
}

// TestSettleMountedElsewhere: still frozen, but at another mount point.
func TestSettleMountedElsewhere(t *testing.T) {
	eachKind(t, func(t *testing.T, d *looseDisk, dir string) {
		d.leave(t, dir)
		d.unmount(t, d.path)
		d.mount(t, d.path+"2")
		report := settle(t, dir)
		if !report.FileSystems[0].Thawed || !strings.Contains(report.FileSystems[0].What, d.path+"2") {
			t.Errorf("Settle = %+v, want it thawed there", report)
		}
		d.unmount(t, d.path+"2")
		d.mount(t, d.path)
		if d.isFrozen(t) {
			t.Error("still frozen")
		}
	})
}

// TestSettleLeavesTheRemounted: thawed by hand, mounted anew, frozen by someone else.
func TestSettleLeavesTheRemounted(t *testing.T) {
	eachKind(t, func(t *testing.T, d *looseDisk, dir string) {
		d.leave(t, dir)
		d.thaw(t)
		d.unmount(t, d.path)
		d.mount(t, d.path)
		d.freeze(t)
		report := settle(t, dir)
		if !d.isFrozen(t) || report.FileSystems[0].Thawed {
			t.Errorf("someone else's freeze was thawed: %+v", report)
		}
		wantNoRecord(t, dir)
	})
}

// TestSettleLeavesTheRemountedAndUnmounted: the same, and it is not mounted any more.
func TestSettleLeavesTheRemountedAndUnmounted(t *testing.T) {
	eachKind(t, func(t *testing.T, d *looseDisk, dir string) {
		d.leave(t, dir)
		d.thaw(t)
		d.unmount(t, d.path)
		d.mount(t, d.path)
		d.freeze(t)
		d.unmount(t, d.path)
		settle(t, dir)
		d.mount(t, d.path)
		if !d.isFrozen(t) {
			t.Error("someone else's freeze was thawed")
		}
	})
}

// TestSettleLeavesAnotherFileSystem: the device number belongs to another one now.
func TestSettleLeavesAnotherFileSystem(t *testing.T) {
	eachKind(t, func(t *testing.T, d *looseDisk, dir string) {
		d.leave(t, dir)
		d.thaw(t)
		d.unmount(t, d.path)
		d.make(t)
		d.mount(t, d.path)
		d.freeze(t)
		settle(t, dir)
		if !d.isFrozen(t) {
			t.Error("another file system's freeze was thawed")
		}
		wantNoRecord(t, dir)
	})
}

func TestSettleGone(t *testing.T) {
	eachKind(t, func(t *testing.T, d *looseDisk, dir string) {
		d.leave(t, dir)
		d.thaw(t)
		d.unmount(t, d.path)
		report := settle(t, dir)
		if report.FileSystems[0].Thawed {
			t.Errorf("Settle = %+v, want nothing thawed", report)
		}
		wantNoRecord(t, dir)
		d.mount(t, d.path)
	})
}

// TestReachWithoutSysfs: then the mount id decides, and where that does not, nobody touches it.
func TestReachWithoutSysfs(t *testing.T) {
	eachKind(t, func(t *testing.T, d *looseDisk, _ string) {
		mounted, err := readTable()
		must(t, err)
		var id identity
		d.call(t, func(fd int) unix.Errno {
			p, err := mounted.locate(fd)
			must(t, err)
			id = identify(fd, p)
			return 0
		})
		t.Logf("%+v", id)
		if id.UUID == "" || id.Superblock == 0 || id.MountID == 0 {
			t.Errorf("identify = %+v, want it all", id)
		}
		id.Sysfs, id.Superblock = "", 0
		to, fate, err := reach(id)
		if fate != fateSame || to.at != d.path {
			t.Errorf("reach = %+v, %v, %v, want it at %s", to, fate, err, d.path)
		}
		unix.Close(to.fd)
		d.unmount(t, d.path)
		if _, fate, err := reach(id); fate != fateUnknown || err == nil {
			t.Errorf("reach of what is not mounted = %v, %v, want it unknown", fate, err)
		}
		d.mount(t, d.path)
		if _, fate, err := reach(id); fate != fateUnknown || err == nil {
			t.Errorf("reach of what was mounted anew = %v, %v, want it unknown", fate, err)
		}
	})
}

// TestUUIDSources: each ioctl that the kernel knows tells the same.
func TestUUIDSources(t *testing.T) {
	eachKind(t, func(t *testing.T, d *looseDisk, _ string) {
		out, err := exec.Command("blkid", "-p", "-s", "UUID", "-o", "value", d.device).Output()
		must(t, err)
		want := strings.TrimSpace(string(out))
		told := 0
		d.call(t, func(fd int) unix.Errno {
			for i, s := range uuidSources {
				if got := s.ask(fd); got == want {
					told++
				} else if got != "" {
					t.Errorf("source %d says %s, want %s", i, got, want)
				}
			}
			return 0
		})
		if told < 2 {
			t.Errorf("%d sources told the UUID, want the general one and the type's own", told)
		}
	})
}
