package timeline

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestWrap(t *testing.T) {
	for _, tc := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 10, ""},
		{"one two", 10, "one two"},
		{"one two three", 10, "one two\n  three"},
		{"a  b", 10, "a  b"},
		{"aaaaaaaaaaaaaaaa b", 10, "aaaaaaaaaaaaaaaa\n  b"},
		{"ä ö ü ß", 4, "ä ö\n  ü\n  ß"},
	} {
		if got := wrap(tc.text, tc.width); got != tc.want {
			t.Errorf("wrap(%q, %d) is %q, want %q", tc.text, tc.width, got, tc.want)
		}
	}
}

func TestWrapItems(t *testing.T) {
	for _, tc := range []struct {
		items []string
		width int
		want  string
	}{
		{[]string{"SUCCEEDED", "plan a", "consistency: full"}, 40, "SUCCEEDED  plan a  consistency: full"},
		{[]string{"SUCCEEDED", "plan a", "consistency: full"}, 35, "SUCCEEDED  plan a\n  consistency: full"},
		{[]string{"snap-1", "/data", "1 GiB", "pending"}, 16, "snap-1  /data\n  1 GiB  pending"},
		{[]string{"a", "b c d e f g h i j"}, 10, "a\n  b c d e\n  f g h i\n  j"},
	} {
		if got := wrapItems(tc.items, tc.width); got != tc.want {
			t.Errorf("wrapItems(%q, %d) is %q, want %q", tc.items, tc.width, got, tc.want)
		}
	}
}

// No word is lost or broken, and no line is too wide unless one word is.
func TestWrapLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-zäß ]{0,80}`).Draw(t, "text")
		width := rapid.IntRange(5, 40).Draw(t, "width")
		got := wrap(text, width)
		if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(text), " ") {
			t.Fatalf("%q became %q", text, got)
		}
		for line := range strings.SplitSeq(got, "\n") {
			if utf8.RuneCountInString(line) > width && len(strings.Fields(line)) > 1 {
				t.Fatalf("line %q is wider than %d", line, width)
			}
		}
	})
}
