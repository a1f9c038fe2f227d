package timeline

import (
	"strings"
	"unicode/utf8"
)

// wrapIndent begins the further lines of a text.
const wrapIndent = "  "

// wrap breaks a text between words, so that a terminal need not break it
// inside of them. A word that is wider than a line stays whole, to be copied.
// Spaces between words stay as they are.
func wrap(text string, width int) string {
	var b strings.Builder
	column := 0
	for text != "" {
		gap := text[:len(text)-len(strings.TrimLeft(text, " "))]
		text = text[len(gap):]
		word, _, _ := strings.Cut(text, " ")
		text = text[len(word):]
		n := utf8.RuneCountInString(word)
		switch {
		case column > 0 && n > 0 && column+len(gap)+n > width:
			b.WriteString("\n" + wrapIndent)
			column = len(wrapIndent)
		case n > 0:
			b.WriteString(gap)
			column += len(gap)
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

// wrapItems is wrap for items that stay whole where they fit, two spaces apart.
func wrapItems(items []string, width int) string {
	const glue = "\x00" // for a space inside an item
	whole := make([]string, len(items))
	for i, item := range items {
		whole[i] = strings.ReplaceAll(item, " ", glue)
	}
	lines := strings.Split(wrap(strings.Join(whole, "  "), width), "\n")
	for i, line := range lines {
		if line = strings.ReplaceAll(line, glue, " "); utf8.RuneCountInString(line) > width { // an item that is wider than a line
			line = wrap(line, width)
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}
