package docs

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stillpoint/internal/config"
)

// reasons are those of messages/result.go.
func reasons(t *testing.T) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "messages", "result.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Names) != 1 || !strings.HasPrefix(v.Names[0].Name, "Reason") || len(v.Values) != 1 {
			return true
		}
		if text, ok := v.Values[0].(*ast.BasicLit); ok {
			s, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, s)
		}
		return true
	})
	return list
}

// A reason looks like this; a heading of the runbook that does is one.
var reasonLike = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)

// Each reason of the contract has a section in the runbook, and each such section a reason.
func TestRunbookHasEveryReason(t *testing.T) {
	all := reasons(t)
	if len(all) < 20 {
		t.Fatalf("only %d reasons were found", len(all))
	}
	d := parse(t, "docs/runbook.md")
	for _, r := range all {
		if text := d.within("### " + r); len(text) < 150 || !strings.Contains(text, "set") {
			t.Errorf("docs/runbook.md does not say of %s what it means and whether there is a set: %q", r, text)
		}
	}
	seen := map[string]bool{}
	for _, h := range d.headings {
		if reasonLike.MatchString(h) && !slices.Contains(all, h) {
			t.Errorf("docs/runbook.md has a section %s, which is no reason", h)
		}
		if seen[h] {
			t.Errorf("docs/runbook.md has two sections %s", h)
		}
		seen[h] = true
	}
}

// What the documents call a metric is one.
func TestMetricsExist(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "internal", "metrics", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var source []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, b...)
	}
	for _, file := range append(runnable, "docs/guide.md") {
		for _, s := range spans(parse(t, file).prose) {
			if name, ok := strings.CutPrefix(s, "stillpoint_"); ok && !bytes.Contains(source, []byte(name)) {
				t.Errorf("%s: there is no metric %s", file, s)
			}
		}
	}
}

// perlOptions are those of ec2-consistent-snapshot 0.71, as its source hands them to Getopt::Long, and two that older versions had.
var perlOptions = strings.Fields(`
	help debug quiet noaction aws-access-key-id aws-secret-access-key aws-access-key-id-file aws-secret-access-key-file aws-credentials-file
	use-iam-role region signature-version ec2-endpoint description tag xfs-filesystem freeze-filesystem no-freeze-filesystem
	mongo mongo-username mongo-password mongo-host mongo-port mongo-stop mongo-init
	mysql mysql-defaults-file mysql-socket mysql-master-status-file mysql-username mysql-password mysql-host mysql-stop percona
	snapshot-timeout lock-timeout lock-tries lock-sleep pre-freeze-command post-thaw-command name`)

// Each option of the Perl program stands in the table, each flag there is one of `stillpoint snapshot`, and each key one that the file takes.
func TestPerlOptions(t *testing.T) {
	table := rows(parse(t, "docs/perl.md").within("## The options"))
	if program == "" {
		t.Skip("the program is not built: this machine lacks what the other tests need")
	}
	help, err := exec.Command(program, "snapshot", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	sample, err := os.ReadFile(filepath.Join(root, "infra", "stillpoint.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, row := range table[1:] {
		if len(row) != 4 {
			t.Errorf("a row of %d cells: %q", len(row), row)
			continue
		}
		for _, s := range spans(row[0]) {
			named[strings.TrimPrefix(strings.Fields(s)[0], "--")] = true
		}
		for _, flag := range spans(row[1]) {
			if !regexp.MustCompile(regexp.QuoteMeta(flag) + `[ =,\n]`).Match(help) {
				t.Errorf("%s: stillpoint snapshot has no flag %s", row[0], flag)
			}
		}
		for _, key := range spans(row[2]) {
			if !keyIn(sample, key) {
				t.Errorf("%s: infra/stillpoint.yaml has no key %s", row[0], key)
			}
		}
	}
	for _, o := range perlOptions {
		if !named[o] {
			t.Errorf("docs/perl.md does not have --%s", o)
		}
	}
	if _, err := config.Parse([]byte("plans: {p: {mysql: {lock: stop}, freeze: [/x]}}\n"), "stop.yaml"); err == nil || !strings.Contains(err.Error(), "not supported in this version") {
		t.Errorf("docs/perl.md says that lock: stop is not there yet: %v", err)
	}
}

// keyIn says whether the sample file, which is a test's input itself, has the key at its place in a plan.
func keyIn(sample []byte, key string) bool {
	indent := "\n    "
	if name, ok := strings.CutPrefix(key, "mysql."); ok {
		key, indent = name, "\n      "
	}
	return bytes.Contains(sample, []byte(indent+key+":")) || bytes.Contains(sample, []byte("\n"+key+":"))
}

// The subject in the guide is one that the contract's golden files have.
func TestGuideShowsTheSubjectThatIsSent(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "messages", "testdata", "results", "succeeded.subject"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b2 := range parse(t, "docs/guide.md").blocks {
		if strings.HasPrefix(b2.text, "[OK]") && strings.TrimSpace(b2.text) != strings.TrimSpace(string(b)) {
			t.Errorf("the guide shows %q", b2.text)
		}
	}
}
