package applier

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	n := &note{path: filepath.Join(dir, NoteName)}
	var err error
	n.file, err = os.Open(n.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Seen{}, nil
	case err != nil:
		return Seen{}, fmt.Errorf("cannot read %s: %w", n.path, err)
	}
	defer func() { _ = n.file.Close() }()
	a, err := n.look()
	if !n.named() { // removed since it was opened: nothing is owed any more
		return Seen{}, nil
	}
	return a, err
}

// look reads the note that is open.
func (n *note) look() (a Seen, err error) {
	text, err := io.ReadAll(n.file)
	if err == nil {
		err = json.Unmarshal(text, &n.owed)
	}
	if err != nil {
		return a, fmt.Errorf("cannot read %s: %w", n.path, err)
	}
	boot, _, err := now()
	if err != nil {
		return a, err
	}
	locked, err := isLocked(n.file)
	if err != nil {
		return a, err
	}
	return Seen{Found: true, Living: locked, PID: n.owed.PID, Channels: n.owed.Channels, EarlierBoot: n.owed.BootID != boot}, nil
}

// isLocked asks the kernel's list (proc(5), locks) whether somebody has the flock of a file.
func isLocked(of *os.File) (bool, error) {
	info, err := of.Stat()
	if err != nil {
		return false, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false, fmt.Errorf("cannot look at %s", of.Name())
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
