package freeze

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// process names a process for good: a process id is used again, but not with
// the same start time.
type process struct {
	PID int `json:"pid"`
	// Start is the start time of /proc/PID/stat, in clock ticks since boot.
	Start uint64 `json:"startTime"`
}

// entry is one file system in the record.
type entry struct {
	State string `json:"state"`
	Mount string `json:"mount"`
	// Level is 0 for what is frozen first and thawed last.
	Level int `json:"level"`
	identity
}

// account is the whole of a record as it was read.
type account struct {
	BootID   string  `json:"bootId"`
	Worker   process `json:"worker"`
	Guardian process `json:"guardian"`
	Deadline struct {
		// Boot is in nanoseconds of CLOCK_BOOTTIME; 0: no freeze was asked for.
		Boot int64  `json:"bootNanoseconds"`
		Time string `json:"time"`
	} `json:"deadline"`
	RCU struct {
		Raised bool `json:"raised"`
		// Was is always 0: no other value is ever raised.
		Was  int    `json:"was"`
		Path string `json:"path"`
		Lock string `json:"lock"`
	} `json:"rcuExpedited"`
	PostThaw struct {
		Owed    bool     `json:"owed"`
		Plan    string   `json:"plan"`
		Timeout string   `json:"timeout"`
		Command []string `json:"command"`
	} `json:"postThaw"`
	Program string `json:"program"`
	Made    string `json:"made"`

	entries []entry
	spots   spots
}

const aboutRecord = "stillpoint has frozen, or is about to freeze, the file systems below. This file goes away when all are thawed. Where it stays although no stillpoint runs: run stillpoint thaw"

// pageSize is the smallest size of a page on Linux; larger ones are multiples.
const pageSize = 4096

// text writes the record. Each patched field has its largest width. What can
// be long comes after them, and each file system has a line of its own, so that
// a record that was cut short can still be understood up to there.
func (a *account) text() ([]byte, error) {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`{`)
	line(`  "about": %s,`, quote(aboutRecord))
	line(`  "bootId": %s,`, quote(a.BootID))
	line(`  "worker": {"pid": %d, "startTime": %d},`, a.Worker.PID, a.Worker.Start)
	line(`  "guardian": {"pid": %s, "startTime": %s},`, number(0), number(0))
	line(`  "deadline": {"bootNanoseconds": %s, "time": "%*s"},`, number(0), len(timeLayout), "")
	line(`  "rcuExpedited": {"raised": false, "was": 0, "path": %s, "lock": %s},`, quote(a.RCU.Path), quote(a.RCU.Lock))
	line(`  "postThaw": {"owed": false, "plan": %s, "timeout": %s, "command": %s},`, quote(a.PostThaw.Plan), quote(a.PostThaw.Timeout), quoteAll(a.PostThaw.Command))
	line(`  "program": %s,`, quote(a.Program))
	line(`  "made": %s,`, quote(a.Made))
	line(`  "fileSystems": [`)
	for i, e := range a.entries {
		const head = `    {"state": `
		if left := pageSize - b.Len()%pageSize; left < len(head)+markWidth {
			b.WriteString(strings.Repeat(" ", left)) // or the mark would lie across two pages
		}
		id, err := json.Marshal(e.identity)
		if err != nil {
			return nil, fmt.Errorf("cannot write the freeze record: %w", err)
		}
		comma := ","
		if i == len(a.entries)-1 {
			comma = ""
		}
		line(`%s%s, "mount": %s, "level": %d, %s%s`, head, marks[markIntended], quote(e.Mount), e.Level, id[1:], comma)
	}
	line(`  ]`)
	line(`}`)
	return b.Bytes(), nil
}

// quote never fails: what is not valid UTF-8 is replaced.
func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func quoteAll(list []string) string {
	b, _ := json.Marshal(append([]string{}, list...))
	return string(b)
}

// errDamaged says that a record is not whole.
var errDamaged = errors.New("the record is damaged")

// parse reads a record. With errDamaged there is still what could be
// understood of it: it is read line by line.
func parse(text []byte) (*account, error) {
	a := &account{spots: spots{Raised: -1, Owed: -1}}
	whole := json.Valid(text)
	seen := map[string]bool{}
	var at int64
	for raw := range bytes.Lines(text) {
		trimmed := bytes.TrimSuffix(bytes.TrimSpace(raw), []byte(","))
		start := at
		at += int64(len(raw))
		spot := func(key string) int64 { return start + int64(bytes.Index(raw, []byte(key))+len(key)) }
		if bytes.HasPrefix(trimmed, []byte(`{"state"`)) {
			var e entry
			if json.Unmarshal(trimmed, &e) != nil || markOf(e.State) == markUnknown {
				whole = false
				continue
			}
			a.entries = append(a.entries, e)
			a.spots.Marks = append(a.spots.Marks, spot(`{"state": `))
			continue
		}
		name, _, ok := bytes.Cut(trimmed, []byte(`:`))
		if !ok || bytes.HasSuffix(trimmed, []byte("[")) {
			continue
		}
		wrapped := append(append([]byte("{"), trimmed...), '}')
		if json.Unmarshal(wrapped, a) != nil {
			whole = false
			continue
		}
		key := strings.Trim(string(name), `"`)
		seen[key] = true
		switch key {
		case "guardian":
			a.spots.GuardianPID, a.spots.GuardianStart = spot(`"pid": `), spot(`"startTime": `)
		case "deadline":
			a.spots.DeadlineNanoseconds, a.spots.DeadlineTime = spot(`"bootNanoseconds": `), spot(`"time": "`)
		case "rcuExpedited":
			a.spots.Raised = spot(`"raised": `)
		case "postThaw":
			a.spots.Owed = spot(`"owed": `)
		}
	}
	for _, key := range []string{"bootId", "worker", "guardian", "deadline", "rcuExpedited", "postThaw"} {
		whole = whole && seen[key]
	}
	if !whole {
		return a, errDamaged
	}
	return a, nil
}

// markOf is the mark that a word stands for.
func markOf(word string) mark {
	for m := range marks {
		if mark(m).String() == word {
			return mark(m)
		}
	}
	return markUnknown
}

// marked is what the record said of an entry when it was read.
func (e entry) marked() mark { return markOf(e.State) }

// anyOwed says that something may be frozen.
func (a *account) anyOwed() bool {
	for _, e := range a.entries {
		if e.marked().owed() {
			return true
		}
	}
	return false
}

// hookTimeout is how long post_thaw may take; a minute where that is not to be read.
func (a *account) hookTimeout() time.Duration {
	if d, err := time.ParseDuration(a.PostThaw.Timeout); err == nil && d > 0 {
		return d
	}
	return time.Minute
}
