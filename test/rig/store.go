package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// minStoreMiB is the least that mkfs.xfs accepts (xfsprogs 5.19 and later).
const minStoreMiB = 300

// Store is a directory whose files can be cloned in an instant (FICLONE): an XFS
// with reflinks on a sparse image. It is where a local AWS keeps its volumes.
type Store struct {
	image, dir string
}

// NewStore makes the image and the mount point in dir and mounts it. The image
// has sizeMiB MiB, of which only what is written takes room on the disk.
func NewStore(ctx context.Context, dir string, sizeMiB int) (*Store, error) {
	if sizeMiB < minStoreMiB {
		return nil, fmt.Errorf("cannot make a store of %d MiB: XFS needs %d", sizeMiB, minStoreMiB)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot make a store: %w", err)
	}
	s := &Store{image: filepath.Join(dir, "store.img"), dir: filepath.Join(dir, "store")}
	if err := s.open(ctx, sizeMiB); err != nil {
		return nil, fmt.Errorf("cannot make a store in %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, sizeMiB int) error {
	if err := os.MkdirAll(filepath.Dir(s.image), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(s.image, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(file.Truncate(int64(sizeMiB)<<20), file.Close())
	if err == nil {
		err = runTool(ctx, "mkfs.xfs", "-q", "-f", "-m", "reflink=1", s.image)
	}
	if err == nil {
		err = Mount(ctx, s.image, s.dir, "xfs", "loop")
	}
	if err != nil {
		return errors.Join(err, os.Remove(s.image))
	}
	return nil
}

// Dir is the directory for the files to be cloned.
func (s *Store) Dir() string { return s.dir }

// Close unmounts the store and removes its image. Loop devices that still stand
// on its files after the patience of Unmount are detached and named in the error.
func (s *Store) Close() error {
	if _, err := os.Stat(s.image); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	err := Unmount(s.dir)
	if errors.Is(err, unix.EBUSY) {
		ctx, cancel := context.WithTimeout(context.Background(), unmountPatience)
		defer cancel()
		for _, device := range loopsUnder(s.dir) {
			err = errors.Join(err, runTool(ctx, "losetup", "--detach", device))
		}
		err = errors.Join(err, Unmount(s.dir))
	}
	if mounts.has(s.dir) {
		return fmt.Errorf("cannot close the store: %w", err)
	}
	if err := errors.Join(err, os.Remove(s.image)); err != nil {
		return fmt.Errorf("cannot close the store as it should be: %w", err)
	}
	return nil
}
