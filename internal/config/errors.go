package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/printer"
	"github.com/goccy/go-yaml/token"
)

// Error is one thing that is wrong with the file.
type Error struct {
	// File, Line and Column say where; "" and 0 where there is no file.
	File         string
	Line, Column int
	// Sentence names the key, what was expected and, where there is one, the fix.
	Sentence string
	// Source is the line and its neighbours with a pointer; "" where there is no file.
	Source string
}

func (e *Error) Error() string {
	s := e.Sentence
	switch {
	case e.File != "" && e.Line > 0:
		s = fmt.Sprintf("%s:%d: %s", e.File, e.Line, s)
	case e.File != "":
		s = fmt.Sprintf("%s: %s", e.File, s)
	}
	if e.Source != "" {
		s += "\n" + e.Source
	}
	return s
}

// secretLine is a line of the file whose key says that its value is nobody's
// business: no key of the file is one, but many a reader tries.
var secretLine = regexp.MustCompile(`(?mi)^([ >]*\d+ \|.*(?:passw|secret)\w*["']?:).*$`)

// maxErrors bounds how many errors are told at once.
const maxErrors = 10

// where is the way to a value: "plans", "nightly", "freeze", "[0]".
type where []string

func (w where) to(el string) where { return append(slices.Clip(w), el) }
func (w where) item(i int) where   { return w.to(fmt.Sprintf("[%d]", i)) }
func (w where) id() string         { return strings.Join(w, "\x00") }

func (w where) String() string {
	return strings.ReplaceAll(strings.Join(w, "."), ".[", "[")
}

// findings collects what is wrong, and knows where in the file each value stands.
type findings struct {
	file string
	at   map[string]*token.Token
	errs []*Error
}

// add notes that the value at w is wrong. The sentence begins with its key.
func (f *findings) add(w where, format string, args ...any) {
	sentence := fmt.Sprintf(format, args...)
	if len(w) > 0 {
		sentence = w.String() + " " + sentence
	}
	f.report(f.token(w), sentence)
}

// token is where the value stands, or else what it would stand in.
func (f *findings) token(w where) *token.Token {
	for n := len(w); n > 0; n-- {
		if tk := f.at[w[:n].id()]; tk != nil {
			return tk
		}
	}
	return nil
}

func (f *findings) report(tk *token.Token, sentence string) {
	e := &Error{File: f.file, Sentence: sentence}
	if tk != nil && tk.Position != nil {
		e.Line, e.Column = tk.Position.Line, tk.Position.Column
		var p printer.Printer
		e.Source = secretLine.ReplaceAllString(strings.TrimRight(p.PrintErrorToken(tk, false), " \n"), "$1 ...")
	}
	f.errs = append(f.errs, e)
}

// err joins what was found, in the order of the file; nil where nothing was.
func (f *findings) err() error {
	if len(f.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(f.errs, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	list := make([]error, 0, maxErrors+1)
	for i, e := range f.errs {
		if i == maxErrors {
			list = append(list, fmt.Errorf("and %d more", len(f.errs)-maxErrors))
			break
		}
		list = append(list, e)
	}
	return errors.Join(list...)
}
