package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// processes lists those that run the program under test. A zombie has none any more.
func processes(program string) (pids []int) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.TrimSuffix(to, " (deleted)") == program {
			if pid, err := strconv.Atoi(strings.Split(link, "/")[2]); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// guardians are those of the processes that were started as one.
func guardians(program string) (pids []int) {
	for _, pid := range processes(program) {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(b), "\x00guardian") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// endAll kills what is left of the program under test, workers first, so that no guardian's end is taken for an answer.
func endAll(program string) {
	for range 50 {
		left := processes(program)
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		sleep(20)
	}
}

// reaperScript ends what runs the program under test once its input ends: what
// was stopped by SIGSTOP has no other end where this program is killed.
const reaperScript = `
trap '' INT TERM HUP
cat >/dev/null
for round in 1 2 3; do
	for link in /proc/[0-9]*/exe; do
		to=$(readlink "$link" 2>/dev/null) || continue
		case $to in "$1"|"$1 (deleted)") pid=${link#/proc/}; kill -KILL "${pid%/exe}" ;; esac
	done
	sleep 0.2
done
rm -rf "$2"
`

// startReaper returns what ends it; then it removes dir too.
func startReaper(program, dir string) (stop func(), err error) {
	cmd := exec.Command("sh", "-c", reaperScript, "sh", program, dir) //nolint:noctx // it is there for the end
	cmd.Dir = "/"
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	var input io.WriteCloser
	if input, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the reaper of processes: %w", err)
	}
	return func() {
		_ = input.Close()
		_ = cmd.Wait()
	}, nil
}
