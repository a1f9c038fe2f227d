package disk

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const lockName = "lock"

// Lock keeps a folder for this process. Make one with Store.Lock.
type Lock struct {
	file *os.File
	path string
}

// Lock takes the folder. The kernel gives it back when the process ends, however it ends. The error names the process that has it.
func (d *Store) Lock() (*Lock, error) {
	path := d.in(lockName)
	for {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("cannot lock the folder %s: %w", d.Dir, err)
		}
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			_ = file.Close()
			return nil, fmt.Errorf("cannot use the folder %s: another localstack uses it%s; end that one, or take another folder", d.Dir, holder(path))
		}
		if err != nil {
			_ = file.Close()
			return nil, fmt.Errorf("cannot lock the folder %s: %w", d.Dir, err)
		}
		if !same(file, path) { // its holder has just deleted it
			_ = file.Close()
			continue
		}
		if err := errors.Join(file.Truncate(0), writeAt(file, strconv.Itoa(os.Getpid())+"\n")); err != nil {
			_ = file.Close()
			return nil, fmt.Errorf("cannot write to %s: %w", path, err)
		}
		return &Lock{file: file, path: path}, nil
	}
}

func writeAt(file *os.File, text string) error {
	_, err := file.WriteAt([]byte(text), 0)
	return err
}

// holder says which process has the lock, as far as it has said so itself.
func holder(path string) string {
	text, err := os.ReadFile(path)
	pid := strings.TrimSpace(string(text))
	if _, bad := strconv.Atoi(pid); err != nil || bad != nil {
		return ""
	}
	return ", the process " + pid
}

// same tells whether the file that is open is the one that has the name.
func same(file *os.File, path string) bool {
	mine, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}

// Unlock gives the folder back and deletes the file of the lock.
func (l *Lock) Unlock() error {
	if err := errors.Join(ignoreMissing(os.Remove(l.path)), l.file.Close()); err != nil {
		return fmt.Errorf("cannot give the folder back: %w", err)
	}
	return nil
}
