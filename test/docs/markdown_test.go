package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is a fenced block of a document.
type block struct {
	file, section, language, text string
	line                          int
}

// document is a parsed Markdown file: as much of Markdown as these have.
type document struct {
	file     string
	blocks   []block
	headings []string
	// prose has everything outside of fenced blocks.
	prose string
}

// parse reads a document, by its path from the repository.
func parse(t *testing.T, file string) *document {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	d := &document{file: file}
	var open *block
	indent := 0
	for i, line := range strings.Split(string(b), "\n") {
		body := strings.TrimLeft(line, " ")
		switch fence := strings.HasPrefix(body, "```"); {
		case fence && open == nil:
			indent = len(line) - len(body)
			open = &block{file: file, language: strings.TrimSpace(body[3:]), line: i + 1}
			if len(d.headings) > 0 {
				open.section = d.headings[len(d.headings)-1]
			}
		case fence:
			d.blocks = append(d.blocks, *open)
			open = nil
		case open != nil:
			open.text += strings.TrimPrefix(line, strings.Repeat(" ", indent)) + "\n"
		default:
			if marks := len(line) - len(strings.TrimLeft(line, "#")); marks > 0 && strings.HasPrefix(line[marks:], " ") {
				d.headings = append(d.headings, strings.TrimSpace(line[marks:]))
			}
			d.prose += line + "\n"
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: a fenced block without an end", file, open.line)
	}
	return d
}

// shell are the blocks for a shell.
func (d *document) shell() []block {
	var list []block
	for _, b := range d.blocks {
		if b.language == "sh" {
			list = append(list, b)
		}
	}
	return list
}

// within is the prose between a heading of any level and the next one.
func (d *document) within(heading string) string {
	_, rest, _ := strings.Cut("\n"+d.prose, "\n"+heading+"\n")
	if i := strings.Index(rest, "\n#"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

var codeSpan = regexp.MustCompile("`[^`]*`")

// spans are what stands between backquotes.
func spans(text string) []string {
	var list []string
	for _, s := range codeSpan.FindAllString(text, -1) {
		list = append(list, strings.Trim(s, "`"))
	}
	return list
}

// rows are the cells of a Markdown table's rows, its head first.
func rows(text string) [][]string {
	var list [][]string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| ---") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		list = append(list, cells)
	}
	return list
}
