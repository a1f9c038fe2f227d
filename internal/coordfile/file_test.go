package coordfile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

// place is a directory as a plan's file would lie in.
func place(t *testing.T) (dir string, f *File) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, &File{Path: filepath.Join(dir, "coordinates"), Freeze: []string{filepath.Dir(dir)}}
}

func missing(path string) bool {
	_, err := os.Lstat(path)
	return os.IsNotExist(err)
}

func open(t *testing.T, f *File) (snapshot.Sheet, string) {
	t.Helper()
	s, found, err := f.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, found
}

func TestSheet(t *testing.T) {
	for name, change := range map[string]func(f *File){
		"frozen":     func(*File) {},
		"not frozen": func(f *File) { f.NoFreeze, f.Freeze = f.Freeze, nil },
	} {
		t.Run(name, func(t *testing.T) {
			_, f := place(t)
			change(f)
			if err := f.Check(); err != nil || !missing(f.Path) {
				t.Errorf("beforehand: %v", err)
			}
			s, found := open(t, f)
			if found != "" {
				t.Errorf("found %q", found)
			}
			before, err := os.ReadFile(f.Path)
			if err != nil || len(before) != room || !strings.HasPrefix(string(before), unwritten) {
				t.Errorf("before: %d bytes, %v", len(before), err)
			}
			info, _ := os.Stat(f.Path)
			taken := blocks(t, f.Path)
			if err := s.Write(t.Context(), "binlog_file: b.000001\n"); err != nil {
				t.Fatal(err)
			}
			after, err := os.ReadFile(f.Path)
			if err != nil || string(after) != marker+"binlog_file: b.000001\n" {
				t.Errorf("after: %q, %v", after, err)
			}
			// Nothing is made longer or allocated under the lock.
			now, _ := os.Stat(f.Path)
			if b := blocks(t, f.Path); taken == 0 || b > taken || info.Mode().Perm() != 0o600 {
				t.Errorf("%d blocks and %d bytes became %d and %d; mode %v", taken, info.Size(), b, now.Size(), info.Mode())
			}
			if err := s.Write(t.Context(), strings.Repeat("x", room)); err == nil {
				t.Error("more than there is room for was written")
			}
			for range 2 {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			if _, err := os.Lstat(f.Path); !os.IsNotExist(err) {
				t.Error("the file is still there")
			}
		})
	}
}

// blocks is what a file takes on its disk.
func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	try(t, unix.Stat(path, &st))
	return st.Blocks
}

// A run that was killed leaves its file, written or not; the next takes it over.
func TestTakenOver(t *testing.T) {
	for name, left := range map[string]string{"written": marker + "gtid: 0-1-1\n", "empty": "", "unwritten": unwritten} {
		_, f := place(t)
		if err := os.WriteFile(f.Path, []byte(left), 0o600); err != nil {
			t.Fatal(err)
		}
		s, found := open(t, f)
		text, err := os.ReadFile(f.Path)
		if !strings.Contains(found, "was taken over") || err != nil || !strings.HasPrefix(string(text), unwritten) || strings.Contains(string(text), "0-1-1") {
			t.Errorf("%s: %q, %.80q, %v", name, found, text, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, dir string, f *File)
		want string
	}{
		"someone's file": {func(t *testing.T, _ string, f *File) { write(t, f.Path, "mine\n") }, "not one of stillpoint's"},
		"symbolic link": {func(t *testing.T, dir string, f *File) {
			write(t, filepath.Join(dir, "x"), marker)
			try(t, os.Symlink("x", f.Path))
		}, "not one of stillpoint's"},
		"hard link": {func(t *testing.T, dir string, f *File) {
			write(t, filepath.Join(dir, "x"), marker)
			try(t, os.Link(filepath.Join(dir, "x"), f.Path))
		}, "2 names"},
		"directory": {func(t *testing.T, _ string, f *File) { try(t, os.Mkdir(f.Path, 0o700)) }, "not one of stillpoint's"},
		"fifo":      {func(t *testing.T, _ string, f *File) { try(t, unix.Mkfifo(f.Path, 0o600)) }, "not a regular file"},
		"link on the way": {func(t *testing.T, dir string, f *File) {
			try(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
			try(t, os.Symlink("d", filepath.Join(dir, "l")))
			f.Path = filepath.Join(dir, "l", "c")
		}, "symbolic link on the way"},
		"others may write to the directory": {func(t *testing.T, dir string, _ *File) { try(t, os.Chmod(dir, 0o777)) }, "must belong to root"},
		"another user's directory": {func(t *testing.T, dir string, _ *File) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a directory away")
			}
			try(t, os.Chown(dir, 65534, 65534))
		}, "must belong to root"},
		"no directory": {func(_ *testing.T, dir string, f *File) { f.Path = filepath.Join(dir, "a", "c") }, "/a is not there: install -d -o root -m 700 /"},
		"a file on the way": {func(t *testing.T, dir string, f *File) {
			write(t, filepath.Join(dir, "a"), "")
			f.Path = filepath.Join(dir, "a", "c")
		}, "/a cannot be opened: "},
		"another file system":     {func(_ *testing.T, _ string, f *File) { f.Freeze = []string{"/proc"} }, "on none of the file systems of the set"},
		"another's, by any means": {func(t *testing.T, _ string, f *File) { write(t, f.Path, marker); try(t, os.Chmod(f.Path, 0o666)) }, "mode 0666"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, f := place(t)
			c.make(t, dir, f)
			beforehand := f.Check()
			_, _, err := f.Open(t.Context())
			if !errors.As(err, new(*snapshot.RefusedError)) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			if !errors.As(beforehand, new(*snapshot.RefusedError)) || !strings.Contains(beforehand.Error(), c.want) {
				t.Errorf("beforehand: %v", beforehand)
			}
		})
	}
}

// There must be room before the lock, not under it.
func TestNoRoom(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	try(t, unix.Mount("none", dir, "tmpfs", 0, "size=32k,mode=755"))
	defer func() { try(t, unix.Unmount(dir, 0)) }()
	f := &File{Path: filepath.Join(dir, "c"), Freeze: []string{dir}}
	_, _, err := f.Open(t.Context())
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "no room") {
		t.Error(err)
	}
	if _, err := os.Lstat(f.Path); !os.IsNotExist(err) {
		t.Error("what was begun is still there")
	}
}

// What took the file's name away is left alone.
func TestForeignNameIsKept(t *testing.T) {
	_, f := place(t)
	s, _ := open(t, f)
	try(t, os.Remove(f.Path))
	write(t, f.Path, "mine")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(f.Path); err != nil || string(text) != "mine" {
		t.Errorf("%q, %v", text, err)
	}
}

// A write that does not come back is left behind.
func TestWriteThatHangs(t *testing.T) {
	var pipe [2]int
	try(t, unix.Pipe(pipe[:]))
	// A pipe that is full blocks like a stalled disk; pwrite needs a file, so that
	// the disk is played by a write of its own.
	s := &sheet{dir: -1, fd: -1, write: func([]byte) error {
		_, err := unix.Read(pipe[0], make([]byte, 1))
		return err
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Write(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "does not come back") {
		t.Error(err)
	}
	if _, err := unix.Write(pipe[1], []byte{1}); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	_ = unix.Close(pipe[0])
	_ = unix.Close(pipe[1])
}

func write(t *testing.T, path, text string) {
	t.Helper()
	try(t, os.WriteFile(path, []byte(text), 0o600))
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A file system that does not answer, such as one that could not be thawed, does not
// hold up the end of a run.
func TestRemovalThatHangs(t *testing.T) {
	_, f := place(t)
	opened, _ := open(t, f)
	s := opened.(*sheet)
	answers := make(chan struct{})
	s.within, s.stall = 10*time.Millisecond, func() { <-answers }
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("%v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	close(answers)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Lstat(f.Path); os.IsNotExist(err) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the file is not removed when its file system answers again")
		}
	}
}
