package hook

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

const (
	// keepEach is how many bytes are kept of the beginning of the output, and
	// how many of its end.
	keepEach = 4 << 10
	// lastLine is how many characters of the last line an error shows.
	lastLine = 200
)

// excerpt is the beginning and the end of what was written. It takes any
// amount, so that a talkative command never waits for us.
type excerpt struct {
	head, tail []byte
	cut        int // bytes left out between them
}

func (e *excerpt) readFrom(r io.Reader) {
	buf := make([]byte, keepEach)
	for {
		n, err := r.Read(buf)
		e.add(buf[:n])
		if err != nil {
			return
		}
	}
}

func (e *excerpt) add(p []byte) {
	n := min(len(p), keepEach-len(e.head))
	e.head = append(e.head, p[:n]...)
	e.tail = append(e.tail, p[n:]...)
	if over := len(e.tail) - keepEach; over > 0 {
		e.cut += over
		e.tail = append(e.tail[:0], e.tail[over:]...)
	}
}

// String is printable: control characters and what is no UTF-8 are replaced.
func (e *excerpt) String() string {
	s := string(e.head)
	if e.cut > 0 {
		s += fmt.Sprintf("\n[... %d bytes left out ...]\n", e.cut)
	}
	return printable(s + string(e.tail))
}

// last is the last line that says something, for a sentence; "" where none does.
func (e *excerpt) last() string {
	lines := strings.FieldsFunc(printable(string(e.head)+string(e.tail)), func(r rune) bool { return r == '\n' })
	for i := len(lines) - 1; i >= 0; i-- {
		if line := strings.TrimSpace(lines[i]); line != "" {
			if r := []rune(line); len(r) > lastLine {
				line = string(r[:lastLine]) + "..."
			}
			return line
		}
	}
	return ""
}

func printable(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "\uFFFD")))
}
