package conformance

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const documentFile = "../../docs/behaviours.md"

// TestDocument: docs/behaviours.md is what the table and the list of differences make of it.
func TestDocument(t *testing.T) {
	want := document(table(), readDifferences(t))
	if *update {
		if err := os.WriteFile(documentFile, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	is, err := os.ReadFile(documentFile)
	if err != nil || string(is) != want {
		t.Errorf("docs/behaviours.md is not what the table says (%v): go test ./localstack/conformance -run TestDocument -update", err)
	}
}

const documentHead = `# Behaviours of AWS, and where each is shown

Made from the table in localstack/conformance by ` + "`go test ./localstack/conformance -run TestDocument -update`" + `; a test fails when it is out of
date. Each row is run against localstack, and against moto %s where ` + "`moto_server`" + ` is on the machine. Nothing of this was run against
AWS itself.

The row's name is that of its test: ` + "`go test ./localstack/conformance -run 'TestLocalstack/sdk/sqs-visibility-zero-releases$'`" + `, or
TestMoto/rows/sdk/... for moto. Rows by the aws CLI are in the group ` + "`aws`" + `, those by boto3 in ` + "`boto3`" + `; both are left out in one line where
the client is missing.

Marks behind the sources say how they were read:

`

func document(rows []behaviour, of differences) string {
	var out strings.Builder
	fmt.Fprintf(&out, documentHead, of.Moto)
	for _, m := range marks {
		fmt.Fprintf(&out, "- *%s*: %s\n", m.read, m.means)
	}
	fmt.Fprint(&out, "\nA row marked **weak** has no source that was read.\n")
	out.WriteString("\n| | rows | moto does the same | moto differs | not run against moto |\n|---|---|---|---|---|\n")
	var same, differs, not int
	for _, s := range services {
		n, a, b, c := 0, 0, 0, 0
		for _, row := range rows {
			if row.Service != s {
				continue
			}
			n++
			if _, listed := of.of(row.ID); listed {
				b++
			} else if row.Needs.notForMoto() != "" {
				c++
			} else {
				a++
			}
		}
		fmt.Fprintf(&out, "| %s | %d | %d | %d | %d |\n", s, n, a, b, c)
		same, differs, not = same+a, differs+b, not+c
	}
	fmt.Fprintf(&out, "| **all** | **%d** | %d | %d | %d |\n", same+differs+not, same, differs, not)
	for _, s := range services {
		fmt.Fprintf(&out, "\n## %s\n\n| test | AWS does | says who | moto |\n|---|---|---|---|\n", s)
		for _, row := range rows {
			if row.Service == s {
				fmt.Fprintf(&out, "| %s/`%s` | %s | %s | %s |\n", row.Via.group(), row.ID, row.Says, sourcesText(row), motoText(row, of))
			}
		}
	}
	return out.String()
}

func sourcesText(b behaviour) string {
	var parts []string
	for _, s := range b.Source {
		text := fmt.Sprintf("[%s](%s) *%s*", short(s.url), s.url, s.read)
		if s.note != "" {
			text += " " + s.note
		}
		parts = append(parts, text)
	}
	if b.weak() {
		parts = append(parts, "**weak**")
	}
	return strings.Join(parts, "; ")
}

// short is the last part of an address.
func short(url string) string {
	rest, number, ok := strings.Cut(strings.TrimPrefix(url, "https://github.com/"), "/issues/")
	if !ok {
		rest, number, ok = strings.Cut(rest, "/pull/")
	}
	if ok {
		return rest + "#" + number
	}
	name := url[strings.LastIndex(url, "/")+1:]
	return strings.Replace(strings.TrimPrefix(name, "API_"), ".html", "", 1)
}

func motoText(b behaviour, of differences) string {
	if why := b.Needs.notForMoto(); why != "" {
		return "not run: needs " + why
	}
	d, listed := of.of(b.ID)
	if !listed {
		return "same"
	}
	right := make([]string, len(d.Right))
	for i, url := range d.Right {
		right[i] = fmt.Sprintf("[%s](%s)", short(url), url)
	}
	return fmt.Sprintf("differs: %s Right: %s", d.Does, strings.Join(right, ", "))
}
