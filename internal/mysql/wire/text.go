package wire

import (
	"strings"
	"unicode"
)

// Printable keeps a name from the server short and on one line.
func Printable(s string) string {
	return CutRunes(OnePrintableLine(s), 64)
}

// OnePrintableLine keeps what the server says from breaking out of its line.
func OnePrintableLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

func CutRunes(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n])
	}
	return s
}
