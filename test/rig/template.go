package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// redoLogSize is the redo log of every server, the template's included: a server
// that finds another size rebuilds its log when it starts.
const redoLogSize = "--innodb-log-file-size=32M"

// templateFile is one file or directory of a fresh data directory.
type templateFile struct {
	path string
	mode fs.FileMode
	size int64
	data []byte // without the zeros at the end
}

// template is the data directory that mariadb-install-db made. It is kept in
// memory, a few MiB, so that nothing has to be removed when the process ends.
var template struct {
	mu    sync.Mutex
	files []templateFile
}

// initialise fills the empty directory datadir with the system tables.
func initialise(ctx context.Context, datadir string) error {
	template.mu.Lock()
	defer template.mu.Unlock()
	if template.files == nil {
		files, err := makeTemplate(ctx)
		if err != nil {
			return fmt.Errorf("cannot make the system tables: %w", err)
		}
		template.files = files
	}
	for _, file := range template.files {
		if err := file.write(datadir); err != nil {
			return fmt.Errorf("cannot fill the data directory: %w", err)
		}
	}
	return nil
}

func (f templateFile) write(datadir string) error {
	path := filepath.Join(datadir, f.path)
	if f.mode.IsDir() {
		return os.MkdirAll(path, f.mode.Perm())
	}
	if err := os.WriteFile(path, f.data, f.mode.Perm()); err != nil {
		return err
	}
	return os.Truncate(path, f.size)
}

func makeTemplate(ctx context.Context) (files []templateFile, err error) {
	scratch, err := os.MkdirTemp("", "rig-template-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	datadir := filepath.Join(scratch, "data")
	args := []string{
		"--no-defaults", "--datadir=" + datadir,
		// root needs no password: the socket's directory is open to its owner only.
		"--auth-root-authentication-method=normal",
		"--skip-test-db", "--skip-name-resolve", "--skip-log-bin", redoLogSize,
	}
	if os.Geteuid() == 0 {
		args = append(args, "--user=root")
	}
	if err := runTool(ctx, "mariadb-install-db", args...); err != nil {
		return nil, err
	}
	return readTemplate(datadir)
}

func readTemplate(datadir string) ([]templateFile, error) {
	var files []templateFile
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
		file := templateFile{path: name, mode: info.Mode(), size: info.Size()}
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			file.data = bytes.Clone(bytes.TrimRight(data, "\x00"))
		}
		files = append(files, file)
		return nil
	})
	return files, err
}
