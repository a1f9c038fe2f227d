package journal

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	tmpKept    = time.Hour // what is younger, another process may be writing
	pruneEvery = 24 * time.Hour
)

// prune removes what is older than Keep, and what crashes left behind. What it
// cannot remove is reported and left to the next time. A request that has no
// result yet stays, however old it is: nobody else knows of it. With owed, so is
// given up what is owed and could not be brought to AWS for long enough: not when
// the journal is opened, since a host that was off for weeks has not tried.
func (j *Journal) prune(owed bool) {
	now := j.options.Now()
	j.pruned = now
	needed := map[string]bool{} // the bytes of requests that stay; Unfinished needs them
	for _, folder := range []string{requestsDir, sentDir, outboxDir, tagsDir, plansDir} {
		entries, err := os.ReadDir(filepath.Join(j.dir, folder))
		if err != nil {
			j.options.Log.Warn().Err(err).Msg("cannot look for old entries of the journal")
			continue
		}
		removed := 0
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				continue // gone already
			}
			age := now.Sub(info.ModTime())
			isRecord := filepath.Ext(e.Name()) == suffix
			switch {
			case len(e.Name()) > len(tmpPrefix) && e.Name()[:len(tmpPrefix)] == tmpPrefix:
				if age < tmpKept {
					continue
				}
			case isRecord && folder == plansDir: // never by age
				continue
			case isRecord && !owed && (folder == outboxDir || folder == tagsDir):
				continue
			case isRecord && folder == outboxDir:
				j.giveUp(e.Name(), now)
				continue
			case age < j.options.Keep:
				continue
			case needed[e.Name()]:
				continue
			}
			if isRecord && folder == requestsDir {
				if q, _ := unsettled(j.path(folder, e.Name())); q != nil {
					for _, a := range q.Attempts {
						needed[filepath.Base(j.sentPath(q.RequestID, a.ID))] = true
					}
					continue
				}
			}
			if err := os.Remove(j.path(folder, e.Name())); err != nil {
				j.options.Log.Warn().Err(err).Msg("cannot remove an old entry of the journal")
				continue
			}
			removed++
		}
		if removed > 0 {
			j.options.Log.Info().Str("folder", folder).Int("removed", removed).Msg("removed old entries of the journal")
		}
	}
}

// unsettled reads a request that was begun and has no result; nil: it is none,
// or gone.
func unsettled(path string) (*request, error) {
	var q request
	if err := read(path, &q); err != nil {
		return nil, ignoreMissing(err)
	}
	if q.Result != nil || len(q.Attempts) == 0 {
		return nil, nil
	}
	return &q, nil
}

// giveUp drops an entry that SNS has not taken for KeepResults. What the other
// files must still learn from it is not dropped.
func (j *Journal) giveUp(name string, now time.Time) {
	stamp, _, _ := strings.Cut(name, "-")
	t, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || j.behind || now.Sub(time.Unix(0, t)) < j.options.KeepResults {
		return
	}
	path := j.path(outboxDir, name)
	log := j.options.Log.Error()
	var w waiting
	if read(path, &w) == nil && w.Result != nil {
		log.Str("request_id", w.Result.RequestID).Str("status", string(w.Result.Status)).Str("event_id", w.Result.EventID)
	}
	log.Err(remove(path)).Str("entry", name).Time("since", time.Unix(0, t).UTC()).
		Msg("SNS has not taken a result for too long: it is dropped, and was never published; look at the topic and at sns:Publish")
}
