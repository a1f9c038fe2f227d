package rig

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// reaperScript keeps the list of mounts that its owner reports on standard
// input, and undoes those left, the last first, when the input ends. A frozen
// file system is thawed before: unmounting it would succeed and leave its device
// frozen and out of reach. Devices that stand on files of the mount go first.
const reaperScript = `
trap '' INT TERM HUP
while IFS= read -r line; do
	dir=${line#* }
	case $line in
	add\ *) set -- "$dir" "$@" ;;
	del\ *)
		left=$#
		while [ "$left" -gt 0 ]; do
			first=$1; shift
			[ "$first" = "$dir" ] || set -- "$@" "$first"
			left=$((left - 1))
		done ;;
	esac
done
for dir; do
	tries=0
	while mountpoint -q "$dir"; do
		fsfreeze --unfreeze "$dir"
		umount "$dir" && continue
		losetup --list --noheadings --output NAME,BACK-FILE | while read -r device file; do
			case $file in "$dir"/*) losetup --detach "$device" ;; esac
		done
		tries=$((tries + 1))
		if [ "$tries" -ge 100 ]; then umount --lazy "$dir"; break; fi
		sleep 0.1
	done
done
`

// reaper runs reaperScript while this process has mounts.
type reaper struct {
	mu     sync.Mutex
	mounts map[string]bool
	cmd    *exec.Cmd
	input  io.WriteCloser
}

// mounts is the one list of this process: a mount belongs to the machine, and
// what must be undone at the end does not depend on who holds which value.
var mounts reaper

// add makes dir known before it is mounted.
func (r *reaper) add(dir string) error {
	if strings.Contains(dir, "\n") {
		return fmt.Errorf("cannot mount on %q: the name holds a line break", dir)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mounts[dir] {
		return fmt.Errorf("cannot mount on %s: it is mounted by this process already", dir)
	}
	if r.cmd == nil {
		if err := r.start(); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(r.input, "add %s\n", dir); err != nil {
		return errors.Join(fmt.Errorf("cannot tell the reaper of the mount %s: %w", dir, err), r.stopIfEmpty())
	}
	r.mounts[dir] = true
	return nil
}

// has tells whether dir was mounted by this process and not yet unmounted.
func (r *reaper) has(dir string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mounts[dir]
}

// remove forgets dir, which is no longer mounted. The shell ends with the last one.
func (r *reaper) remove(dir string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.mounts[dir] {
		return nil
	}
	delete(r.mounts, dir)
	_, err := fmt.Fprintf(r.input, "del %s\n", dir)
	if err != nil {
		err = fmt.Errorf("cannot tell the reaper that %s is unmounted: %w", dir, err)
	}
	return errors.Join(err, r.stopIfEmpty())
}

func (r *reaper) start() error {
	shell, err := lookTool("sh")
	if err != nil {
		return err
	}
	cmd := exec.Command(shell, "-c", reaperScript)
	// Away from the terminal and from the owner's process group: it is there for
	// the moment when these are killed. It stands on no mount.
	cmd.Dir = "/"
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	input, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("cannot make a pipe to the reaper of mounts: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start the reaper of mounts: %w", err)
	}
	r.cmd, r.input, r.mounts = cmd, input, map[string]bool{}
	return nil
}

func (r *reaper) stopIfEmpty() error {
	if len(r.mounts) > 0 {
		return nil
	}
	closeErr := r.input.Close()
	// The status is of no interest: killed or not, no mount depends on it any more.
	_ = r.cmd.Wait()
	r.cmd = nil
	return closeErr
}
