package model

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// disk is a small file system in memory that nothing but this process can see,
// and that can be full: what the journal then gets is the kernel's own ENOSPC,
// at whichever of its writes it comes to. Without root it is a directory, and
// never full.
type disk struct {
	root    string
	ballast string // "" where it cannot be filled
}

const diskSize = 4 << 20

func newDisk(t *testing.T) *disk {
	root, err := tmpfs(t)
	if err != nil {
		t.Logf("no file system of its own, so that the disk is never full here: %v", err)
		return &disk{root: t.TempDir()}
	}
	return &disk{root: root, ballast: filepath.Join(root, "ballast")}
}

// tmpfs makes a mount that is attached nowhere: it ends with the test,
// however that ends.
func tmpfs(t *testing.T) (string, error) {
	conf, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("cannot make a tmpfs: %w", err)
	}
	defer func() { _ = unix.Close(conf) }()
	if err := unix.FsconfigSetString(conf, "size", fmt.Sprint(diskSize)); err != nil {
		return "", err
	}
	if err := unix.FsconfigCreate(conf); err != nil {
		return "", err
	}
	fd, err := unix.Fsmount(conf, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fmt.Sprintf("/proc/self/fd/%d", fd), nil
}

// fill leaves room for that many pages.
func (d *disk) fill(pages int) error {
	if d.ballast == "" {
		return nil
	}
	d.free()
	var st unix.Statfs_t
	if err := unix.Statfs(d.root, &st); err != nil {
		return err
	}
	room := int64(st.Bavail)*st.Bsize - int64(pages)*st.Bsize
	if room <= 0 {
		return nil
	}
	f, err := os.Create(d.ballast)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Fallocate(int(f.Fd()), 0, 0, room)
}

func (d *disk) free() {
	if d.ballast != "" {
		_ = os.Remove(d.ballast)
	}
}

// tree is what a directory holds: relative path to content. Folders end in "/".
type tree map[string]string

func readTree(root string) (tree, error) {
	t := tree{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name := strings.TrimPrefix(path, root+"/")
		if e.IsDir() {
			t[name+"/"] = ""
			return nil
		}
		data, err := os.ReadFile(path)
		t[name] = string(data)
		return err
	})
	return t, err
}

// writeTree makes the directory what the tree says, touching only what differs.
func writeTree(root string, want tree) error {
	have, err := readTree(root)
	if err != nil {
		return err
	}
	for name := range have {
		if _, ok := want[name]; !ok && !strings.HasSuffix(name, "/") {
			if err := os.Remove(filepath.Join(root, name)); err != nil {
				return err
			}
		}
	}
	for name, data := range want {
		if before, ok := have[name]; ok && before == data || strings.HasSuffix(name, "/") {
			continue
		}
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		// A new file: what a dead process has open is not written to.
		if err := os.WriteFile(path+".new", []byte(data), 0o600); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	return nil
}
