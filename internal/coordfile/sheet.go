package coordfile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// closeWithin is how long Close waits for a write that has not come back, and for the removal.
const closeWithin = 5 * time.Second

// sheet is the open file.
type sheet struct {
	dir, fd int
	base    string
	// sync says that no freeze will write it to the disk.
	sync bool
	// made says that the file was made, or found to be one of ours: it is ours to remove.
	made bool
	// write is put, except in tests.
	write func([]byte) error
	// within is closeWithin, and stall waits before the removal, in tests only.
	within time.Duration
	stall  func()
	// writing is closed when the write has come back; nil where there was none.
	writing chan struct{}
}

// Write writes over the file. It makes nothing longer, and opens nothing. A write
// that does not come back, since the disk is stalled, is left behind when ctx ends.
func (s *sheet) Write(ctx context.Context, text string) error {
	if len(marker)+len(text) > room {
		return fmt.Errorf("the coordinates are %d bytes long, and the file has room for %d", len(text), room-len(marker))
	}
	body := []byte(marker + text)
	done := make(chan error, 1)
	writing := make(chan struct{})
	s.writing = writing
	write := s.put
	if s.write != nil {
		write = s.write
	}
	go func() {
		err := write(body)
		if err == nil && s.sync {
			err = unix.Fdatasync(s.fd)
		}
		done <- err
		close(writing)
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("cannot write the coordinates_file: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the write of the coordinates_file does not come back: %w", context.Cause(ctx))
	}
}

func (s *sheet) put(b []byte) error {
	for at := 0; at < len(b); {
		n, err := unix.Pwrite(s.fd, b[at:], int64(at))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		default:
			at += n
		}
	}
	// What was kept for more is given back: a restored file ends where its text does.
	return unix.Ftruncate(s.fd, int64(len(b)))
}

// Close removes the file, where the name still leads to it. It may be called twice.
func (s *sheet) Close() error {
	if s.writing != nil {
		select {
		case <-s.writing:
		case <-time.After(s.patience()):
			return fmt.Errorf("the coordinates_file %s is not removed: a write of it does not come back", s.base) // the descriptors are in use
		}
	}
	if s.fd < 0 {
		return nil
	}
	left := *s
	s.fd, s.dir = -1, -1
	done := make(chan error, 1)
	go func() {
		err := left.remove()
		left.release()
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(s.patience()):
		// A file system that could not be thawed, or a disk that is stalled: it is
		// removed when that answers again, if we live.
		return fmt.Errorf("the coordinates_file %s is not removed yet: its file system does not answer", s.base)
	}
}

// remove takes the name away, where it still leads to the file.
func (s *sheet) remove() error {
	if s.stall != nil {
		s.stall()
	}
	var own, found unix.Stat_t
	if err := errors.Join(unix.Fstat(s.fd, &own), unix.Fstatat(s.dir, s.base, &found, unix.AT_SYMLINK_NOFOLLOW)); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		return fmt.Errorf("the coordinates_file %s is not removed: %w", s.base, err)
	}
	if own.Dev != found.Dev || own.Ino != found.Ino {
		return nil // someone put another one there
	}
	if err := unix.Unlinkat(s.dir, s.base, 0); err != nil {
		return fmt.Errorf("the coordinates_file %s is not removed: %w", s.base, err)
	}
	return nil
}

func (s *sheet) patience() time.Duration {
	if s.within > 0 {
		return s.within
	}
	return closeWithin
}

// release closes the descriptors.
func (s *sheet) release() {
	for _, fd := range []*int{&s.fd, &s.dir} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
}
