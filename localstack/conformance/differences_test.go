package conformance

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const differencesFile = "testdata/moto.json"

// differences is the list of what moto does otherwise.
type differences struct {
	Moto        string       `json:"moto"` // the version that it was made with
	Differences []difference `json:"differences"`
}

// difference is a row that moto does not meet.
type difference struct {
	ID    string   `json:"id"`
	Unmet []string `json:"unmet"` // the expectations that it does not meet, sorted
	Does  string   `json:"does"`  // what it does instead
	Right []string `json:"right"` // which of the row's sources say that it is wrong
}

func readDifferences(t *testing.T) differences {
	text, err := os.ReadFile(differencesFile)
	if err != nil {
		t.Fatal(err)
	}
	var d differences
	if err := json.Unmarshal(text, &d, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("cannot read %s: %v", differencesFile, err)
	}
	return d
}

func (d differences) of(id string) (difference, bool) {
	i := slices.IndexFunc(d.Differences, func(one difference) bool { return one.ID == id })
	if i < 0 {
		return difference{}, false
	}
	return d.Differences[i], true
}

// TestDifferencesAreWhole: each entry of the list is of a row, says what moto does, and names a source of that row.
func TestDifferencesAreWhole(t *testing.T) {
	rows := map[string]behaviour{}
	for _, b := range table() {
		rows[b.ID] = b
	}
	last := ""
	for _, d := range readDifferences(t).Differences {
		b, ok := rows[d.ID]
		switch {
		case !ok:
			t.Errorf("%s: %s is not a row of the table", differencesFile, d.ID)
		case d.ID <= last:
			t.Errorf("%s: %s does not come after %s: sort by id, each once", differencesFile, d.ID, last)
		case b.Needs.notForMoto() != "":
			t.Errorf("%s: %s is not run against moto, so nothing can be said about it", differencesFile, d.ID)
		case d.Does == "" || strings.Contains(d.Does, todo) || strings.ContainsAny(d.Does, "|\n"):
			t.Errorf("%s: %s does not say in one line, without |, what moto does", differencesFile, d.ID)
		case len(d.Right) == 0:
			t.Errorf("%s: %s does not say who is right", differencesFile, d.ID)
		}
		for _, url := range d.Right {
			if !slices.ContainsFunc(b.Source, func(s source) bool { return s.url == url }) {
				t.Errorf("%s: %s: %s is not a source of that row", differencesFile, d.ID, url)
			}
		}
		last = d.ID
	}
}

// says is whether the list says of a row what was seen.
func (d differences) says(b behaviour, saw []unmet) bool {
	entry, _ := d.of(b.ID)
	return slices.Equal(propose(b, saw, entry).Unmet, entry.Unmet)
}

// compare fails t if what was seen of moto is not what the list says.
func (d differences) compare(t *testing.T, b behaviour, saw []unmet) {
	entry, listed := d.of(b.ID)
	now := propose(b, saw, entry)
	switch {
	case d.says(b, saw):
	case len(saw) == 0:
		t.Errorf("moto (%s, the list is of %s) meets all of it now: take %s out of %s, and bring docs/behaviours.md up to date",
			motoVersion(), d.Moto, b.ID, differencesFile)
	case !listed:
		t.Errorf("moto (%s, the list is of %s) differs, and %s does not say so.\n%s\nIf the documents are right, add:\n%s\nIf moto is, mend the row.",
			motoVersion(), d.Moto, differencesFile, report(saw), encode(now))
	default:
		t.Errorf("moto (%s, the list is of %s) differs otherwise than %s says, which has %q.\n%s\nReplace the entry by:\n%s",
			motoVersion(), d.Moto, differencesFile, entry.Unmet, report(saw), encode(now))
	}
}

// todo begins what a person has to write.
const todo = "TODO: "

// propose is the entry for what was seen, with the words of the one that there is, if any.
func propose(b behaviour, saw []unmet, is difference) difference {
	d := difference{ID: b.ID, Does: is.Does, Right: is.Right}
	var does []string
	for _, u := range saw {
		d.Unmet = append(d.Unmet, u.what)
		first, _, _ := strings.Cut(u.saw, "\n")
		does = append(does, u.what+": "+first)
	}
	slices.Sort(d.Unmet)
	d.Unmet = slices.Compact(d.Unmet)
	if d.Does == "" || !slices.Equal(d.Unmet, is.Unmet) {
		d.Does = strings.TrimSpace(is.Does + " " + todo + strings.Join(does, "; "))
	}
	if d.Right == nil {
		for _, s := range b.Source {
			if s.read != unread || b.weak() {
				d.Right = append(d.Right, s.url)
				break
			}
		}
	}
	return d
}

func report(saw []unmet) string {
	var b strings.Builder
	for _, u := range saw {
		fmt.Fprintf(&b, "  not met: %s\n      saw: %s\n", u.what, u.saw)
	}
	return b.String()
}

// encode writes v as it stands in the list.
func encode(v any) string {
	var b bytes.Buffer
	if err := json.MarshalWrite(&b, v, jsontext.WithIndent("  ")); err != nil {
		return err.Error()
	}
	return b.String()
}

// found collects what is seen of moto.
type found struct {
	mu   sync.Mutex
	rows map[string]behaviour
	saw  map[string][]unmet
}

func newFound() *found { return &found{rows: map[string]behaviour{}, saw: map[string][]unmet{}} }

func (f *found) add(b behaviour, saw []unmet) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows[b.ID], f.saw[b.ID] = b, saw
}

// print shows the list as it would have to be. Entries of rows that did not run stay.
func (f *found) print(t *testing.T, is differences) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := differences{Moto: motoVersion()}
	for _, d := range is.Differences {
		if _, ran := f.rows[d.ID]; !ran {
			out.Differences = append(out.Differences, d)
		}
	}
	for id, saw := range f.saw {
		if len(saw) > 0 {
			entry, _ := is.of(id)
			out.Differences = append(out.Differences, propose(f.rows[id], saw, entry))
		}
	}
	slices.SortFunc(out.Differences, func(a, b difference) int { return strings.Compare(a.ID, b.ID) })
	t.Logf("%s would be:\n%s", differencesFile, encode(out))
}
