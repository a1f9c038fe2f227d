package applier

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Seen is what the note of a runtime directory says, to one who only looks.
type Seen struct {
	// Found says that there is one, Living that the process lives which has stopped it.
	Found, Living bool
	PID           int
	Channels      []string
	// EarlierBoot says that it is of an earlier boot: nothing is owed.
	EarlierBoot bool
}

// Look reads the note. It takes no lock and starts nothing.
func Look(dir string) (Seen, error) {
	var a Seen
	path := filepath.Join(dir, NoteName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	var owed owedStart
	if err == nil {
		err = json.Unmarshal(text, &owed)
	}
	if err != nil {
		return a, fmt.Errorf("cannot read %s: %w", path, err)
	}
	boot, _, err := now()
	if err != nil {
		return a, err
	}
	locked, err := isLocked(path)
	if err != nil {
		return a, err
	}
	return Seen{Found: true, Living: locked, PID: owed.PID, Channels: owed.Channels, EarlierBoot: owed.BootID != boot}, nil
}

// isLocked asks the kernel's list (proc(5), locks) whether somebody has the flock of a file.
func isLocked(path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false, fmt.Errorf("cannot look at %s", path)
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	name := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 5 && fields[1] == "FLOCK" && fields[5] == name {
			return true, nil
		}
	}
	return false, lines.Err()
}
