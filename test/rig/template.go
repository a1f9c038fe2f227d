package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// blockSize is the grain in which a template leaves out zeros: InnoDB's page.
const blockSize = 16 << 10

// template is a fresh data directory, which the first server of a flavor pays
// for (3 s for MySQL) and the others copy: 90 MB for MySQL, half of them zeros.
// What is not zero is kept in a file without a name, which goes with the
// process, however that ends.
type template struct {
	mu    sync.Mutex
	files []templateFile
	store *os.File
}

// templateFile is one file or directory of a fresh data directory.
type templateFile struct {
	path  string
	mode  fs.FileMode
	size  int64
	parts []templatePart
}

// templatePart is a run of bytes of a file, and where the store has it.
type templatePart struct{ at, stored, length int64 }

// initialise fills the empty directory datadir with the system tables, which
// fill makes the first time.
func (t *template) initialise(ctx context.Context, fill func(ctx context.Context, datadir string) error, datadir string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.files == nil {
		if err := t.make(ctx, fill); err != nil {
			return fmt.Errorf("cannot make the system tables: %w", err)
		}
	}
	if err := os.MkdirAll(datadir, 0o700); err != nil {
		return fmt.Errorf("cannot make the data directory: %w", err)
	}
	for _, file := range t.files {
		if err := t.write(file, datadir); err != nil {
			return fmt.Errorf("cannot fill the data directory: %w", err)
		}
	}
	return nil
}

func (t *template) write(f templateFile, datadir string) (err error) {
	path := filepath.Join(datadir, f.path)
	if f.mode.IsDir() {
		return os.MkdirAll(path, f.mode.Perm())
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, f.mode.Perm())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for _, part := range f.parts {
		if _, err := io.Copy(io.NewOffsetWriter(file, part.at), io.NewSectionReader(t.store, part.stored, part.length)); err != nil {
			return err
		}
	}
	return file.Truncate(f.size)
}

func (t *template) make(ctx context.Context, fill func(ctx context.Context, datadir string) error) (err error) {
	scratch, err := os.MkdirTemp("", "rig-template-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	store, err := os.CreateTemp(scratch, "store-") // its name goes with the folder
	if err != nil {
		return err
	}
	datadir := filepath.Join(scratch, "data")
	if err = fill(ctx, datadir); err == nil {
		t.files, err = readTemplate(datadir, store)
	}
	if err != nil {
		t.files = nil
		return errors.Join(err, store.Close())
	}
	t.store = store
	return nil
}

func readTemplate(datadir string, store *os.File) ([]templateFile, error) {
	var files []templateFile
	var end int64
	err := filepath.WalkDir(datadir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(datadir, path)
		if err != nil {
			return err
		}
		if name == "auto.cnf" { // MySQL's UUID of a server, which no two may share
			return nil
		}
		file := templateFile{path: name, mode: info.Mode(), size: info.Size()}
		if info.Mode().IsRegular() {
			if file.parts, err = storeFile(path, store, &end); err != nil {
				return err
			}
		}
		files = append(files, file)
		return nil
	})
	return files, err
}

// storeFile writes the blocks of a file that hold anything to the end of the store.
func storeFile(path string, store *os.File, end *int64) (parts []templatePart, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	block, zeros := make([]byte, blockSize), make([]byte, blockSize)
	for at := int64(0); ; at += blockSize {
		n, err := io.ReadFull(file, block)
		if n > 0 && !bytes.Equal(block[:n], zeros[:n]) {
			if _, err := store.WriteAt(block[:n], *end); err != nil {
				return nil, err
			}
			last := len(parts) - 1
			if last >= 0 && parts[last].at+parts[last].length == at {
				parts[last].length += int64(n)
			} else {
				parts = append(parts, templatePart{at: at, stored: *end, length: int64(n)})
			}
			*end += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return parts, nil
		case err != nil:
			return nil, err
		}
	}
}
