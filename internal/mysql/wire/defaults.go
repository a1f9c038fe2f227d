package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// maxDefaultsBytes bounds an option file; real ones have a few hundred bytes.
const maxDefaultsBytes = 64 << 10

// option is one option of an option file, the last one of its name.
type option struct {
	value string
	// set says that it had a value ("key=" has one, "key" has none).
	set  bool
	line int
}

// defaultsGroups are the groups that are read, those of every client. [mysql]
// belongs to the interactive client alone, as its manual says.
var defaultsGroups = map[string]bool{"client": true, "client-server": true, "client-mariadb": true}

// readDefaults reads the option file at path, if it may be trusted.
func readDefaults(path string) (map[string]option, error) {
	// O_NONBLOCK: opening a FIFO must not hang.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot read the defaults file: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read the defaults file: %w", err)
	}
	if err := CheckTrust(info); err != nil {
		return nil, fmt.Errorf("cannot use the defaults file %s: %w", path, err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxDefaultsBytes+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the defaults file %s: %w", path, err)
	}
	options, err := parseDefaults(data)
	if err != nil {
		return nil, fmt.Errorf("cannot use the defaults file %s: %w", path, err)
	}
	return options, nil
}

// CheckTrust refuses a file that someone other than root and the running user
// could have written. It looks at the open file, not at the path.
func CheckTrust(info os.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("its owner is unknown")
	}
	if uid := os.Geteuid(); stat.Uid != 0 && int64(stat.Uid) != int64(uid) {
		return fmt.Errorf("it belongs to user %d: it must belong to root or to the user who runs stillpoint (%d)", stat.Uid, uid)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("its mode is %04o: it must not be writable by group or others (chmod go-w)", mode)
	}
	return nil
}

// parseDefaults reads an option file the way that the clients do (mysys,
// my_default.cc search_default_file_with_ext): comments begin with # or ; at the
// start of a line, or with an unquoted # anywhere; a value may stand in single
// or double quotes; \b \t \n \r \\ \s \' \" are escapes; - and _ are the same in
// names; later options win. No error contains a value, which may be a password.
//
// !include and !includedir are refused, so that who may change the password's
// file is a question about one file.
func parseDefaults(data []byte) (map[string]option, error) {
	if len(data) > maxDefaultsBytes {
		return nil, fmt.Errorf("it is larger than %d bytes", maxDefaultsBytes)
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return nil, errors.New("it contains a NUL byte")
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	options := map[string]option{}
	group, grouped := "", false
	for i, text := range strings.Split(string(data), "\n") {
		line := i + 1
		text = strings.TrimSpace(text)
		switch {
		case text == "" || text[0] == '#' || text[0] == ';':
			continue
		case text[0] == '!':
			return nil, fmt.Errorf("line %d: !include and !includedir are not followed: write the [client] section into this file", line)
		case text[0] == '[':
			end := strings.IndexByte(text, ']')
			if end < 0 {
				return nil, fmt.Errorf("line %d: the group's name has no closing bracket", line)
			}
			group, grouped = strings.TrimSpace(text[1:end]), true
			continue
		case !grouped:
			return nil, fmt.Errorf("line %d: an option stands before the first [group]", line)
		}
		if !defaultsGroups[group] {
			continue
		}
		name, o, err := parseOption(stripComment(text))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		o.line = line
		options[name] = o
	}
	return options, nil
}

// stripComment cuts a line at its first # outside quotes.
func stripComment(s string) string {
	var quote byte
	escaped := false
	for i := range len(s) {
		c := s[i]
		switch {
		case (c == '\'' || c == '"') && !escaped:
			switch quote {
			case 0:
				quote = c
			case c:
				quote = 0
			}
		case c == '#' && quote == 0:
			return s[:i]
		}
		escaped = quote != 0 && c == '\\' && !escaped
	}
	return s
}

// parseOption splits one line; its errors do not repeat the value.
func parseOption(text string) (string, option, error) {
	name, value, set := strings.Cut(text, "=")
	name = strings.ReplaceAll(strings.TrimSpace(name), "_", "-")
	name = strings.TrimPrefix(name, "loose-")
	if name == "" {
		return "", option{}, errors.New("an option has no name")
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			// The name is not repeated: a forgotten = would make a password of it.
			return "", option{}, errors.New("an option's name has a character other than a-z, 0-9, - and _")
		}
	}
	if !set {
		return name, option{}, nil
	}
	value = strings.TrimSpace(value)
	if value != "" && (value[0] == '\'' || value[0] == '"') {
		if len(value) < 2 || value[len(value)-1] != value[0] {
			return "", option{}, fmt.Errorf("the value of %s has no closing quote", name)
		}
		value = value[1 : len(value)-1]
	}
	return name, option{value: unescape(value), set: true}, nil
}

// unescape resolves the escapes of option files; an unknown one stays as it is.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case 'b':
			b.WriteByte('\b')
		case 's':
			b.WriteByte(' ')
		case '"', '\'', '\\':
			b.WriteByte(s[i])
		default:
			b.WriteByte('\\')
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
