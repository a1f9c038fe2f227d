package messages

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// InvalidError says why a message is no request. Its Sentence is for the
// person who sent it: it names the key and what was expected, is at most
// MaxSentence bytes of UTF-8 without control characters, and repeats only a
// short, quoted piece of what was sent.
type InvalidError struct {
	// Reason is ReasonInvalidRequest.
	Reason   Reason
	Sentence string
}

func (e *InvalidError) Error() string { return e.Sentence }

// MaxSentence bounds the sentence of an InvalidError, in bytes.
const MaxSentence = 1000

// maxEcho bounds what a sentence repeats of what was sent, in characters.
const maxEcho = 80

func invalid(sentence string) *InvalidError {
	return &InvalidError{Reason: ReasonInvalidRequest, Sentence: clip(printable(sentence), MaxSentence)}
}

// quote repeats a piece of what was sent: quoted, printable, at most maxEcho characters.
func quote(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		q := strconv.QuoteRune(r)
		q = q[1 : len(q)-1]
		switch r {
		case '"':
			q = `\"`
		case '\'':
			q = `'`
		}
		if n += utf8.RuneCountInString(q); n > maxEcho-5 {
			return `"` + b.String() + `..."`
		}
		b.WriteString(q)
	}
	return `"` + b.String() + `"`
}

// printable replaces what must not stand on a person's screen: control and
// other invisible characters become spaces, invalid UTF-8 the replacement character.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// clip shortens s to at most n bytes, at a character's boundary, and shows that it did.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const mark = "..."
	if n < len(mark) {
		return ""
	}
	cut := n - len(mark)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + mark
}

// inPlace puts where something was found before the sentence about it; "" is the message itself.
func inPlace(where string, err error) error {
	if err == nil || where == "" {
		return err
	}
	return fmt.Errorf("in %s: %w", where, err)
}
