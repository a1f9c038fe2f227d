package faults

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const tablePath = "../../docs/faults.md"

const preamble = `# What comes of faults

One request, one thing that goes wrong with it, on a real XFS and ext4, a real MariaDB under load, and the local AWS. ` + "`make faults`" + ` tries
every line and fails where it sees anything else; ` + "`make test`" + ` tries those in **bold**. A fault of a call lasts for the first delivery of
the message (the create call's for one call), so the SDK's own retries do not hide it. After each: no writer waited for longer than max_hold and a
second, nothing is frozen or locked, no timing in a result is negative, and an ordinary request succeeds.

What is said of each: the results that were published (each event once), what EC2 holds of the request and how it is tagged in the end, how
often EC2 was asked to create (dry runs left out), how often SQS had to deliver the message until it was gone. Where timing decides, there are several.

`

// table is docs/faults.md.
func table(cells []*cell) string {
	var b strings.Builder
	b.WriteString(preamble)
	b.WriteString("| what | how it fails | what comes of it | why |\n| --- | --- | --- | --- |\n")
	row := ""
	for _, c := range cells {
		name, fault := c.row, c.fault
		if name == row {
			name = ""
		}
		row = c.row
		if c.short {
			fault = "**" + fault + "**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, fault, strings.Join(c.want, "; or "), strings.TrimSpace(c.why))
	}
	return b.String()
}

// checkTable holds the table that is checked in against the one in the code, which the cells have been held against.
func checkTable(t *testing.T, cells []*cell) {
	want := table(cells)
	if *update {
		if t.Failed() {
			t.Error("docs/faults.md stays as it is: not everything was seen to be as the table says")
			return
		}
		if err := os.WriteFile(tablePath, []byte(want), 0o644); err != nil {
			t.Error(err)
		}
		return
	}
	got, err := os.ReadFile(tablePath)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/faults.md is not what the rows say: run `go test ./test/faults -run TestMatrix -long -update -timeout 60m`")
	}
}
