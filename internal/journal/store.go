package journal

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Names of the folders and of what is not a record in them.
const (
	requestsDir = "requests"
	sentDir     = "sent"
	outboxDir   = "outbox"
	tagsDir     = "tags"
	plansDir    = "plans"

	suffix    = ".json"
	aside     = ".corrupt"
	tmpPrefix = ".tmp-"
)

// format is the version of the files that this build writes and reads.
const format = 1

// CorruptError says that a file of the journal could not be understood. It was
// set aside, so that nothing else suffers.
type CorruptError struct {
	// Path is where it was; SetAside where it is now, "" where even that failed.
	Path, SetAside string
	Err            error
}

func (e *CorruptError) Error() string {
	if e.SetAside == "" {
		return fmt.Sprintf("cannot understand %s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("cannot understand %s, which is now called %s: %v", e.Path, filepath.Base(e.SetAside), e.Err)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// trailer is the second line of every file.
type trailer struct {
	Format int    `json:"format"`
	SHA256 string `json:"sha256"`
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// encode writes v on one line and its checksum on a second one.
func encode(v any) ([]byte, error) {
	// What databases and kernels say is not always UTF-8, and no reason to lose a result.
	body, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, err
	}
	end, err := json.Marshal(trailer{Format: format, SHA256: sum(body)})
	if err != nil {
		return nil, err
	}
	return append(append(append(body, '\n'), end...), '\n'), nil
}

// decode is the strict opposite of encode.
func decode(data []byte, v any) error {
	body, rest, found := bytes.Cut(data, []byte("\n"))
	if !found || len(rest) == 0 || rest[len(rest)-1] != '\n' {
		return errors.New("it is cut short")
	}
	var t trailer
	if err := json.Unmarshal(rest[:len(rest)-1], &t, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("its last line is no checksum: %w", err)
	}
	if t.Format != format {
		return &formatError{t.Format}
	}
	if t.SHA256 != sum(body) {
		return errors.New("its checksum is wrong")
	}
	return json.Unmarshal(body, v)
}

// formatError is not corruption: another version of the program can read the file.
type formatError struct{ format int }

func (e *formatError) Error() string {
	return fmt.Sprintf("it has format %d and this version of stillpoint reads %d: use the version that wrote it", e.format, format)
}

// read reads one file. A missing one is fs.ErrNotExist; one that cannot be
// understood is set aside and reported as a *CorruptError.
func read(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	err = decode(data, v)
	if err == nil {
		return nil
	}
	if errors.As(err, new(*formatError)) {
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	return setAside(path, err)
}

func setAside(path string, cause error) error {
	to := path + aside
	for n := 2; n < 100; n++ { // what was set aside before is kept
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		}
		to = fmt.Sprintf("%s%s.%d", path, aside, n)
	}
	corrupt := &CorruptError{Path: path, SetAside: to, Err: cause}
	err := os.Rename(path, to)
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		corrupt.SetAside = ""
		return errors.Join(corrupt, fmt.Errorf("cannot set it aside: %w", err))
	}
	return corrupt
}

// write replaces one file as a whole. It is durable when it returns.
func write(path string, v any) error {
	data, err := encode(v)
	if err == nil {
		err = writeBytes(path, data)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

func writeBytes(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	tmp := filepath.Join(dir, tmpPrefix+rand.Text())
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(tmp)))
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// remove deletes files; it is durable when it returns, and a missing one is no error.
func remove(paths ...string) error {
	var errs []error
	dirs := map[string]bool{}
	for _, path := range paths {
		errs = append(errs, ignoreMissing(os.Remove(path)))
		dirs[filepath.Dir(path)] = true
	}
	for dir := range dirs {
		errs = append(errs, syncDir(dir))
	}
	return errors.Join(errs...)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

// records lists the names of a folder's records, sorted.
func records(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, suffix) && !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	return names, nil
}
