package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// notAnchor is what a heading loses on its way to an anchor.
var notAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// anchors are those of a document's headings, as the hosts of repositories make them.
func anchors(d *document) map[string]bool {
	list := map[string]bool{}
	for _, h := range d.headings {
		list[strings.ReplaceAll(notAnchor.ReplaceAllString(strings.ToLower(h), ""), " ", "-")] = true
	}
	return list
}

// Every link of every document leads to a file of the repository, and to a heading that it has.
func TestLinks(t *testing.T) {
	out, err := exec.Command("git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "*.md").Output()
	if err != nil {
		t.Skipf("cannot ask git for the documents: %v", err)
	}
	links := 0
	for _, file := range strings.Fields(string(out)) {
		d := parse(t, file)
		for _, m := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(d.prose, "`code`"), -1) {
			to, anchor, _ := strings.Cut(m[1], "#")
			if strings.HasPrefix(m[1], "https://") {
				continue // the documents of others: nobody is asked from here
			}
			links++
			target := filepath.Join(filepath.Dir(file), to)
			if to == "" {
				target = file
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: a link to %s, which there is not", file, m[1])
				continue
			}
			if anchor != "" && !anchors(parse(t, target))[anchor] {
				t.Errorf("%s: a link to %s, and %s has no such heading", file, m[1], target)
			}
		}
	}
	if links < 40 {
		t.Errorf("only %d links were found", links)
	}
}
