// Package guest boots a Debian of its own on this machine, with systemd as its first process, from a tree in the cache
// (scripts/debian.sh) that stays as it is: all that is written goes to a layer in memory. It has namespaces of its own for processes,
// mounts, host name and control groups, and shares the network and the kernel, so that what listens on loopback here is reached from there.
//
// What a guest does to the kernel it does for real: it has all of root's capabilities. /proc/sys is read-only in it, and its /dev has no devices
// of the machine's. A guest ends with the process that booted it, however that ends.
package guest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"stillpoint/test/rig"
)

// The trees that scripts/debian.sh makes.
const (
	// Host has systemd and MariaDB.
	Host = "host"
	// Tools has rpm, mandoc, zsh and fish, and no systemd.
	Tools = "tools"
)

// Config says which guest to boot.
type Config struct {
	// Tree is Host or Tools.
	Tree string
	// Plain leaves systemd out: the first process only waits.
	Plain bool
	// Mounts are mount points of the guest, and the directories of this machine that are seen there.
	Mounts map[string]string
}

// Guest is one that runs.
type Guest struct {
	dir, cgroup string
	process     *rig.Child
	// pid is its first process, as this machine counts.
	pid int
}

// trees is where scripts/debian.sh puts them.
func trees() string {
	if dir := os.Getenv("STILLPOINT_DEBIAN_TREES"); dir != "" {
		return dir
	}
	cache := cmp.Or(os.Getenv("XDG_CACHE_HOME"), filepath.Join(cmp.Or(os.Getenv("HOME"), "/var/cache"), ".cache"))
	return filepath.Join(cache, "stillpoint", "debian")
}

// Tree is where the files of a tree are, which nobody is to change.
func Tree(name string) string { return filepath.Join(trees(), name) }

// Missing says what this machine lacks for a guest; "" where it lacks nothing.
func Missing() string {
	if os.Geteuid() != 0 {
		return "root"
	}
	for _, tool := range []string{"unshare", "nsenter", "pivot_root"} {
		if _, err := exec.LookPath(tool); err != nil {
			return tool
		}
	}
	for _, tree := range []string{Host, Tools} {
		if _, err := os.Stat(filepath.Join(Tree(tree), "etc/os-release")); err != nil {
			return "a Debian to install packages in (make setup)"
		}
	}
	if known, err := os.ReadFile("/proc/filesystems"); err != nil || !bytes.Contains(known, []byte("\toverlay\n")) {
		return "overlayfs"
	}
	if _, err := ownGroup(); err != nil {
		return "control groups of version 2"
	}
	return ""
}

// ownGroup is the directory of this process's control group.
func ownGroup() (string, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup2"))
	if err != nil {
		return "", fmt.Errorf("cannot read the mount table: %w", err)
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("cannot read this process's control groups: %w", err)
	}
	for line := range strings.Lines(string(groups)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok && len(mounts) > 0 {
			return filepath.Join(mounts[0].Mountpoint, path), nil
		}
	}
	return "", errors.New("there is no control group of version 2")
}

// prepare is the guest's first process until it becomes its init. The arguments: a directory, the tree, the control group, then pairs of
// a directory of the machine and where it is seen, "--", and the init with its arguments.
const prepare = `
set -e
dir=$1 tree=$2 cgroup=$3; shift 3
mount -t tmpfs -o mode=755 guest "$dir"
mkdir "$dir/upper" "$dir/work" "$dir/root"
mount -t overlay -o "lowerdir=$tree,upperdir=$dir/upper,workdir=$dir/work" overlay "$dir/root"
cd "$dir/root"
while [ "$1" != -- ]; do
	mkdir -p "./$2"
	mount --bind "$1" "./$2"
	shift 2
done
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=755 dev dev
mknod -m 666 dev/null c 1 3; mknod -m 666 dev/zero c 1 5; mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8; mknod -m 666 dev/urandom c 1 9; mknod -m 666 dev/tty c 5 0
ln -s /proc/self/fd dev/fd; ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 shm dev/shm
echo 0 >"$cgroup/cgroup.procs"
exec unshare --cgroup sh -c '
	set -e
	mount -t cgroup2 cgroup2 sys/fs/cgroup
	mkdir -p .machine
	pivot_root . .machine
	umount -l /.machine
	rmdir /.machine
	shift
	exec "$@"
' sh "$@"
`

// bootWithin is how long a guest may take to come up; it takes one second.
const bootWithin = time.Minute

// Boot starts a guest and waits until it is up.
func Boot(ctx context.Context, c Config) (_ *Guest, err error) {
	if missing := Missing(); missing != "" {
		return nil, fmt.Errorf("cannot boot a guest: this machine lacks %s", missing)
	}
	ctx, cancel := context.WithTimeout(ctx, bootWithin)
	defer cancel()
	g := &Guest{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("cannot boot a guest: %w", err), g.Close())
		}
	}()
	own, err := ownGroup()
	if err != nil {
		return nil, err
	}
	if g.dir, err = os.MkdirTemp("", "stillpoint-guest-"); err != nil {
		return nil, err
	}
	g.cgroup = filepath.Join(own, filepath.Base(g.dir))
	if err := os.Mkdir(g.cgroup, 0o755); err != nil {
		return nil, err
	}
	// An abstract name is seen wherever the network is the same.
	address := "@stillpoint-guest-" + uuid.NewString()
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer ready.Close()

	args := []string{"--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child=KILL", "--uts", "--ipc", "sh", "-c", prepare, "sh",
		g.dir, Tree(c.Tree), g.cgroup}
	for at, from := range c.Mounts {
		args = append(args, from, at)
	}
	args = append(args, "--", "/usr/bin/env", "-i", "container=stillpoint", "PATH="+path, "NOTIFY_SOCKET="+address)
	if c.Plain {
		args = append(args, "sh", "-c", `exec sleep infinity`)
	} else {
		args = append(args, "/lib/systemd/systemd", "--unit=basic.target")
	}
	cmd := exec.Command("unshare", args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if g.process, err = rig.StartChild(cmd); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	go func() {
		<-g.process.Exited()
		_ = ready.SetReadDeadline(time.Unix(1, 0))
	}()
	if err := g.await(ready, c.Plain); err != nil {
		_ = g.process.Kill()
		<-g.process.Exited()
		return nil, fmt.Errorf("%w: %s", errors.Join(err, context.Cause(ctx)), strings.TrimSpace(output.String()))
	}
	return g, nil
}

// await waits until the guest is up.
func (g *Guest) await(ready *net.UnixConn, plain bool) error {
	for {
		if plain { // nobody tells: what is executed does
			if g.find(); g.pid != 0 {
				if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", g.pid)); string(name) == "sleep\n" {
					return nil
				}
			}
			_ = ready.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		}
		b := make([]byte, 4096)
		n, err := ready.Read(b)
		if err != nil && (!plain || g.ended()) {
			return fmt.Errorf("it did not come up: %w", err)
		}
		if bytes.Contains(b[:n], []byte("READY=1")) {
			if g.find(); g.pid == 0 {
				return errors.New("it did not come up: its first process is not there")
			}
			return nil
		}
	}
}

func (g *Guest) ended() bool {
	select {
	case <-g.process.Exited():
		return true
	default:
		return false
	}
}

// find looks for the guest's first process.
func (g *Guest) find() {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", g.process.PID(), g.process.PID()))
	if f := strings.Fields(string(children)); len(f) == 1 {
		g.pid, _ = strconv.Atoi(f[0])
	}
}

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Path is where this machine sees a file of the guest.
func (g *Guest) Path(name string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", g.pid), name)
}

// Run runs a command in the guest as root, with the environment of a fresh login and no terminal. The output is what it wrote to both
// streams; it stands in the error too.
func (g *Guest) Run(ctx context.Context, name string, args ...string) (string, error) {
	enter := []string{"--target", strconv.Itoa(g.pid), "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--",
		"/usr/bin/env", "-i", "PATH=" + path, "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_PAGER=cat", name}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), errors.Join(err, context.Cause(ctx)), bytes.TrimSpace(out))
	}
	return string(out), err
}

// Shell runs a script of sh in the guest.
func (g *Guest) Shell(ctx context.Context, script string) (string, error) {
	return g.Run(ctx, "sh", "-ec", script)
}

// Write makes a file in the guest that belongs to root.
func (g *Guest) Write(name, content string, mode os.FileMode) error {
	at := g.Path(name)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return fmt.Errorf("cannot make %s in the guest: %w", name, err)
	}
	if err := os.WriteFile(at, []byte(content), mode); err != nil {
		return fmt.Errorf("cannot make %s in the guest: %w", name, err)
	}
	return os.Chmod(at, mode)
}

// closeWithin is how long a guest may take to be gone.
const closeWithin = 20 * time.Second

// Close ends the guest without asking it, as a power cut does, and removes what there was of it.
func (g *Guest) Close() error {
	var errs []error
	if g.process != nil && !g.ended() {
		g.find()
		if g.pid != 0 {
			// With its first process all others end, and then the mounts.
			errs = append(errs, unix.Kill(g.pid, unix.SIGKILL))
		} else {
			errs = append(errs, g.process.Kill())
		}
		ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
		defer cancel()
		_ = g.process.Wait(ctx) // says that it was killed
		if !g.ended() {
			errs = append(errs, fmt.Errorf("cannot end the guest: process %d is still there", g.pid))
		}
	}
	if g.cgroup != "" {
		errs = append(errs, removeGroup(g.cgroup))
	}
	if g.dir != "" {
		errs = append(errs, os.Remove(g.dir))
	}
	return errors.Join(errs...)
}

// removeGroup removes a control group and those below it.
func removeGroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("cannot remove the guest's control group: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeGroup(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) { // the kernel needs a moment after the last process
		err := unix.Rmdir(dir)
		if err == nil || !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
	}
}
