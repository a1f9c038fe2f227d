package locate

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// As under systemd, where a unit's descriptors are opened before its mount namespace
// is made: with both in namespaces of their own, the mount of a server's /dev/null
// is in no table that can be read. That is no reason not to look at the rest.
func TestFilesOfAMountInNoTable(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mount namespaces take root")
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	data, err := os.Create(filepath.Join(t.TempDir(), "ibdata1"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = data.Close() }()
	child := exec.Command("cat")
	child.ExtraFiles = []*os.File{null, data}
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNS}
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // Pdeathsig is the thread's
	defer runtime.UnlockOSThread()
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = stdin.Close(), child.Wait() }()

	type answer struct {
		files []File
		err   error
	}
	done := make(chan answer)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		var a answer
		if a.err = unix.Unshare(unix.CLONE_NEWNS); a.err == nil {
			var p *Process
			if p, a.err = open(child.Process.Pid); a.err == nil {
				p.mounts = mountTable{}
				// /proc/self is the whole process's: this thread's own stands in for it.
				for _, table := range []string{"/proc/thread-self/mountinfo", p.proc("mountinfo")} {
					if err := p.mounts.read(table); err != nil {
						a.err = err
					}
				}
				if a.err == nil {
					a.files, a.err = p.Files()
				}
				_ = p.Close()
			}
		}
		done <- a
	}()
	a := <-done
	if a.err != nil {
		t.Fatal(a.err)
	}
	if !slices.ContainsFunc(a.files, func(f File) bool { return f.Path == data.Name() }) {
		t.Errorf("%+v", a.files)
	}
	if slices.ContainsFunc(a.files, func(f File) bool { return f.Path == os.DevNull }) {
		t.Errorf("%s is listed", os.DevNull)
	}
}
