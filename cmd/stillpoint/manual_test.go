package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

var updateManual = flag.Bool("update-manual", false, "write the commands into infra/packaging/man/stillpoint.1")

const (
	manualPath  = "../../infra/packaging/man/stillpoint.1"
	manualBegin = ".\\\" BEGIN\n"
	manualEnd   = ".\\\" END\n"
)

// stillpoint(1) has every command and flag, as the program itself tells them.
func TestManualPage(t *testing.T) {
	parser, err := newParser(new(commands))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(manualPath)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), manualBegin)
	have, after, ok2 := strings.Cut(rest, manualEnd)
	if !ok || !ok2 {
		t.Fatalf("%s lacks its marks", manualPath)
	}
	want := manual(parser.Model)
	if *updateManual {
		if err := os.WriteFile(manualPath, []byte(before+manualBegin+want+manualEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("the page is not what the program says: run `go test ./cmd/stillpoint -run TestManualPage -args -update-manual`\n(-program +page):\n%s", diff)
	}
}

// manual is the commands as mdoc(7).
func manual(model *kong.Application) string {
	var b strings.Builder
	b.WriteString("These flags are for every command:\n.Bl -tag -width Ds\n")
	for _, f := range model.Flags {
		flagItem(&b, f)
	}
	b.WriteString(".El\n")
	for _, c := range model.Children {
		if c.Hidden {
			continue
		}
		fmt.Fprintf(&b, ".Ss stillpoint %s", c.Name)
		for _, p := range c.Positional {
			name := strings.ToUpper(p.Name)
			if !p.Required {
				name = "[" + name + "]"
			}
			b.WriteString(" " + name)
		}
		b.WriteString("\n" + helpText(c.Help))
		if c.Detail != "" {
			for paragraph := range strings.SplitSeq(c.Detail, "\n\n") {
				b.WriteString(".Pp\n" + helpText(paragraph))
			}
		}
		if len(c.Positional)+len(c.Flags) == 0 {
			continue
		}
		b.WriteString(".Bl -tag -width Ds\n")
		for _, p := range c.Positional {
			fmt.Fprintf(&b, ".It Ar %s\n%s", strings.ToUpper(p.Name), helpText(p.Help))
		}
		for _, f := range c.Flags {
			flagItem(&b, f)
		}
		b.WriteString(".El\n")
	}
	return b.String()
}

func flagItem(b *strings.Builder, f *kong.Flag) {
	b.WriteString(".It Fl -" + strings.ReplaceAll(f.Name, "-", `\-`))
	if !f.IsBool() {
		b.WriteString(" Ar " + strings.ReplaceAll(f.FormatPlaceHolder(), `"`, ""))
	}
	b.WriteString("\n" + helpText(f.Help))
	if f.HasDefault && f.Default != "" && !f.IsBool() {
		b.WriteString("The default is\n.Li " + f.Default + " .\n")
	}
}

// text escapes what mdoc would read otherwise: one sentence to a line, so that its end is one.
func helpText(s string) string {
	if s == "" {
		return ""
	}
	s = strings.ReplaceAll(strings.Join(strings.Fields(s), " "), `\`, `\e`)
	s = strings.ReplaceAll(s, ". ", ".\n")
	var b strings.Builder
	for line := range strings.SplitSeq(s, "\n") {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			b.WriteString(`\&`)
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
