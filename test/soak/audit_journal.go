package soak

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// auditJournal reads the files of state_dir as they are: nothing set aside,
// nothing owed, nothing open, and no request that nobody sent.
func (s *soak) auditJournal(r *Report) error {
	for folder, what := range map[string]string{"outbox": "results wait in the outbox", "tags": "snapshots wait for their tags", "sent": "attempts are open"} {
		if n := len(s.state(folder)); n > 0 {
			r.wrong("%d %s", n, what)
		}
	}
	err := filepath.WalkDir(filepath.Join(s.Dir, "state"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(d.Name(), ".corrupt") {
			r.wrong("a file of the journal was set aside: %s", d.Name())
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot look through the journal: %w", err)
	}
	for _, path := range s.state("requests") {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("cannot read the journal: %w", err)
		}
		line, _, _ := bytes.Cut(text, []byte("\n"))
		var q struct {
			RequestID string            `json:"requestId"`
			Attempts  []json.RawMessage `json:"attempts"`
			Result    *struct {
				EventID string `json:"eventId"`
			} `json:"result"`
		}
		if err := json.Unmarshal(line, &q); err != nil {
			r.wrong("a file of the journal cannot be read: %s: %v", filepath.Base(path), err)
			continue
		}
		r.journalFiles++
		r.journalBytes += int64(len(text))
		if len(q.Attempts) > 2 {
			r.wrong("%s has %d attempts", q.RequestID, len(q.Attempts))
		}
		s.ledger.mu.Lock()
		known, heard := len(s.ledger.byID[q.RequestID]) > 0, q.Result != nil && s.ledger.events[q.Result.EventID] != nil
		published := verdicts(s.ledger.results[q.RequestID])
		s.ledger.mu.Unlock()
		switch {
		case !known:
			r.wrong("the journal knows a request that was not sent: %q", q.RequestID)
		case q.Result == nil:
			r.wrong("%s has %d attempts in the journal and no result; published was: %s; in the journal: %.600s", q.RequestID, len(q.Attempts), published, line)
		case !heard:
			r.wrong("the result of %s in the journal (event %s) was never published", q.RequestID, q.Result.EventID)
		}
	}
	return nil
}
