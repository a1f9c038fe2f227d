package hook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// headBytes is how much the kernel reads of a program before it decides how to
// start it (BINPRM_BUF_SIZE).
const headBytes = 256

// runnable says why the kernel would not start a program that may be executed
// (execve(2), EACCES, ENOENT and ENOEXEC): no shell helps out here. What it
// cannot judge, such as a program that may not be read, passes.
func runnable(path string) error {
	if err := unix.Access(path, unix.X_OK); err != nil {
		return fmt.Errorf("%s cannot be executed here: %w: is its file system mounted noexec?", path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil //nolint:nilerr // it may be run all the same
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, headBytes))
	if err != nil {
		return nil //nolint:nilerr // likewise
	}
	line, script := bytes.CutPrefix(head, []byte("#!"))
	if !script {
		if bytes.IndexByte(head, 0) < 0 { // a text, or nothing
			return fmt.Errorf("%s is no program: its first line must say what runs it, such as #!/bin/sh", path)
		}
		return nil
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	interpreter, _, _ := strings.Cut(strings.Trim(string(line), " \t"), " ")
	interpreter, _, _ = strings.Cut(interpreter, "\t")
	if _, err := os.Stat(interpreter); filepath.IsAbs(interpreter) && errors.Is(err, fs.ErrNotExist) {
		fix := "install it, or correct that line"
		if strings.HasSuffix(interpreter, "\r") {
			fix = "its lines end as those of Windows: take the carriage returns out"
		}
		return fmt.Errorf("%s is to be run by %q, which does not exist: %s", path, interpreter, fix)
	}
	return nil
}
