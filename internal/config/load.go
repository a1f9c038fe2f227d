package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxBytes bounds the file.
const maxBytes = 1 << 20

// Load reads the file after looking at its owner, see checkOwner. Errors
// about the content are *Error, joined.
func Load(path string) (*File, error) {
	// O_NONBLOCK: a pipe of that name would otherwise wait for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	if err := checkOwner(path, info); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	return Parse(data, path)
}

// Parse reads the text of a file; name is what errors call it. Errors are *Error, joined.
func Parse(data []byte, name string) (*File, error) {
	f := &findings{file: name, at: map[string]*token.Token{}}
	if len(data) > maxBytes {
		f.report(nil, fmt.Sprintf("the file has more than %d bytes", maxBytes))
		return nil, f.err()
	}
	// The parser counts a CRLF as two lines.
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		var at yaml.Error
		if errors.As(err, &at) {
			f.report(at.GetToken(), hinted(at.GetMessage()))
		} else {
			f.report(nil, err.Error())
		}
		return nil, f.err()
	}
	file := Default()
	r := reader{findings: f}
	switch {
	case len(tree.Docs) > 1:
		f.report(tree.Docs[1].Start, "there is a second document: write everything into one")
	case len(tree.Docs) == 1 && tree.Docs[0].Body != nil:
		r.file(tree.Docs[0].Body, file)
	}
	if len(f.errs) > 0 {
		return nil, f.err()
	}
	file.check(f)
	if err := f.err(); err != nil {
		return nil, err
	}
	return file, nil
}

// hinted adds to the parser's sentence what is usually the matter.
func hinted(sentence string) string {
	if sentence == "unexpected key name" {
		return sentence + ": look for a missing colon or a wrong indent, in this line and the next"
	}
	return sentence
}
