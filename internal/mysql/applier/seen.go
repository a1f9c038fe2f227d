package applier

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"stillpoint/internal/locks"
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
	info, err := n.file.Stat()
	if err != nil {
		return a, err
	}
	locked, err := locks.Held(info)
	if err != nil {
		return a, err
	}
	return Seen{Found: true, Living: locked, PID: n.owed.PID, Channels: n.owed.Channels, EarlierBoot: n.owed.BootID != boot}, nil
}
