package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// completion is what the program offers for the words, without the meanings.
func completion(t *testing.T, words ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if err := run(context.Background(), append([]string{completeWord}, words...), &out, &errs); err != nil || errs.Len() > 0 {
		t.Fatalf("%q: %v %s", words, err, errs.String())
	}
	var found []string
	for line := range strings.Lines(out.String()) {
		word, _, _ := strings.Cut(line, "\t")
		found = append(found, word)
	}
	return strings.Join(found, " ")
}

func TestCompletion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stillpoint.yaml")
	if err := os.WriteFile(file, []byte("plans: {weekly: {freeze: [/a]}, nightly: {freeze: [/a]}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		words []string
		want  string
	}{
		{[]string{"sn"}, "snapshot"},
		{[]string{"s"}, "snapshot send schema"},
		{[]string{"guard"}, ""}, // not for people
		{[]string{"__"}, ""},
		{[]string{"schema", ""}, "request result"},
		{[]string{"schema", "re"}, "request result"},
		{[]string{"schema", "request", ""}, ""},
		{[]string{"snapshot", "--dr"}, "--dry-run"},
		{[]string{"snapshot", "--config", file, ""}, "nightly weekly"},
		{[]string{"--config=" + file, "send", "w"}, "weekly"},
		{[]string{"--config", "=", file, "send", "w"}, "weekly"}, // as bash splits it
		{[]string{"snapshot", "--config", "/nowhere", ""}, ""},
		{[]string{"snapshot", "--config", file, "nightly", ""}, ""},
		{[]string{"--log-format", ""}, "json console"},
		{[]string{"worker", "--log-level=w"}, "--log-level=warn"},
		{[]string{"worker", "--log-level", "=", "w"}, "warn"},
		{[]string{"worker", "--log-level", "="}, "debug info warn error"},
		{[]string{"--config", ""}, ""}, // files, which the shell knows
		{[]string{"--nothing=", ""}, completion(t)},
	} {
		if got := completion(t, row.words...); got != row.want {
			t.Errorf("%q: got %q, want %q", row.words, got, row.want)
		}
	}
	if all := completion(t); !strings.Contains(all, "worker") || !strings.Contains(all, "version") {
		t.Errorf("without a word: %q", all)
	}
}

// Every command and flag that --help shows can be completed.
func TestCompletionKnowsEverything(t *testing.T) {
	parser, err := newParser(new(commands))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range parser.Model.Children {
		if c.Hidden {
			continue
		}
		if !strings.Contains(" "+completion(t, "")+" ", " "+c.Name+" ") {
			t.Errorf("%s is not offered", c.Name)
		}
		offered := " " + completion(t, c.Name, "--") + " "
		for _, group := range c.AllFlags(true) {
			for _, f := range group {
				if !strings.Contains(offered, " --"+f.Name+" ") {
					t.Errorf("stillpoint %s: --%s is not offered", c.Name, f.Name)
				}
			}
		}
	}
}
