package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"stillpoint/internal/locks"
)

// Summary is what Summarize finds.
type Summary struct {
	// Requests is how many requests are on record.
	Requests int
	// Outbox is how many results wait to be published, Oldest since when.
	Outbox int
	Oldest time.Time
	// LastSuccess has those of the plans that have succeeded.
	LastSuccess map[string]time.Time
}

// Summarize reads what the journal in dir says, beside a worker that writes it: nothing
// is locked, created, repaired or set aside. A directory that is not there is an
// empty journal. The error is about what cannot be read or understood.
func Summarize(dir string, plans []string) (Summary, error) {
	seen := Summary{LastSuccess: map[string]time.Time{}}
	j := &Journal{dir: dir}
	for folder, each := range map[string]func(name string){
		requestsDir: func(string) { seen.Requests++ },
		outboxDir: func(name string) {
			seen.Outbox++
			stamp, _, _ := strings.Cut(name, "-")
			if n, err := strconv.ParseInt(stamp, 10, 64); err == nil && (seen.Oldest.IsZero() || time.Unix(0, n).Before(seen.Oldest)) {
				seen.Oldest = time.Unix(0, n)
			}
		},
	} {
		names, err := records(filepath.Join(dir, folder))
		if ignoreMissing(err) != nil {
			return seen, fmt.Errorf("cannot look at the journal: %w", err)
		}
		for _, name := range names {
			each(name)
		}
	}
	for _, plan := range plans {
		var s success
		switch err := peek(j.planPath(plan), &s); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return seen, err
		default:
			seen.LastSuccess[plan] = s.At
		}
	}
	return seen, nil
}

// peek is read for who only looks: what cannot be understood stays where it is.
func peek(path string, v any) error {
	data, err := os.ReadFile(path)
	if err == nil {
		err = decode(data, v)
	}
	if err != nil {
		return fmt.Errorf("cannot understand %s: %w", path, err)
	}
	return nil
}

// HeldBy says who has the lock of a file that LockRun made, without taking it: a
// worker that starts at that moment would find it taken. ok is false where nobody has.
func HeldBy(path string) (holder Holder, ok bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return holder, false, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", path)
	}
	if err == nil {
		ok, err = locks.Held(info)
	}
	if err != nil {
		return holder, false, fmt.Errorf("cannot look at the lock: %w", err)
	}
	if !ok {
		return holder, false, nil
	}
	text, err := os.ReadFile(path)
	if err != nil || info.Size() > maxHolder {
		return holder, true, nil //nolint:nilerr // it is held, by whomever
	}
	return parseHolder(string(text)), true, nil
}
