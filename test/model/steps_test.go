package model

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// step is one thing that a call of the journal did to its directory, as the
// kernel saw it.
type step struct {
	name string // relative; see tree
	gone bool
}

// watch follows the steps of the journal's calls: inotify tells them in the
// order in which they were done.
type watch struct {
	fd   int
	root string
	dirs map[int32]string
}

func newWatch(root string) (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot watch %s: %w", root, err)
	}
	w := &watch{fd: fd, root: root, dirs: map[int32]string{}}
	now, err := readTree(root)
	if err != nil {
		return nil, err
	}
	now["/"] = ""
	for name := range now {
		if !strings.HasSuffix(name, "/") {
			continue
		}
		wd, err := unix.InotifyAddWatch(fd, filepath.Join(root, name),
			unix.IN_CREATE|unix.IN_MODIFY|unix.IN_MOVED_FROM|unix.IN_MOVED_TO|unix.IN_DELETE)
		if err != nil {
			return nil, fmt.Errorf("cannot watch %s: %w", filepath.Join(root, name), err)
		}
		w.dirs[int32(wd)] = strings.TrimPrefix(name, "/")
	}
	return w, nil
}

func (w *watch) close() { _ = unix.Close(w.fd) }

// steps returns what was done since the last call, without the temporary
// files, which nothing reads.
func (w *watch) steps() ([]step, error) {
	var out []step
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(w.fd, buf)
		if err == unix.EAGAIN || n == 0 {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read what was done in %s: %w", w.root, err)
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			wd := int32(binary.NativeEndian.Uint32(b))
			mask := binary.NativeEndian.Uint32(b[4:])
			size := binary.NativeEndian.Uint32(b[12:])
			name := string(bytes.TrimRight(b[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+size], "\x00"))
			b = b[unix.SizeofInotifyEvent+size:]
			if name == "" || strings.HasPrefix(name, ".tmp-") {
				continue
			}
			s := step{name: w.dirs[wd] + name, gone: mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0}
			if len(out) == 0 || out[len(out)-1] != s {
				out = append(out, s)
			}
		}
	}
}

// image is the directory after the first n steps from before to after. It is
// false where a file was written more than once, and not for the last time in
// those n: nobody kept what it held then.
func image(before, after tree, steps []step, n int) (tree, bool) {
	img := maps.Clone(before)
	for i, s := range steps[:n] {
		same := func(o step) bool { return o.name == s.name }
		switch data, exists := after[s.name]; {
		case slices.ContainsFunc(steps[i+1:n], same): // its later step says more
		case s.gone:
			delete(img, s.name)
		case slices.ContainsFunc(steps[n:], same) || !exists:
			return nil, false
		default:
			img[s.name] = data
		}
	}
	return img, true
}
