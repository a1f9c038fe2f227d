package look

import (
	"strings"
)

// reads says that a statement for MariaDB only reads, which does not block
// FTWRL there. Tried with 10.11: SELECT (also with INTO OUTFILE and LOCK IN
// SHARE MODE), WITH ... SELECT, DO and SHOW let the lock through at once; SELECT
// ... FOR UPDATE, UPDATE, INSERT ... SELECT, an ALTER and LOCK TABLES ... WRITE
// do not. Whatever is not clearly a reader counts as a blocker. A SELECT that
// calls a function which writes is missed: then the lock's own bound is left.
func reads(statement string) bool {
	var head string
	for i, w := range words(statement) {
		if i == 0 {
			head = w
			switch head {
			case "SELECT", "WITH", "DO", "SHOW", "EXPLAIN", "DESC", "DESCRIBE", "VALUES":
			default:
				return false
			}
		}
		switch {
		case w == "UPDATE": // FOR UPDATE, or WITH ... UPDATE: reserved, so never a plain name
			return false
		case w == "DELETE" && head == "WITH":
			return false
		}
	}
	return head != ""
}

// changesNothing says that a statement leaves no change behind, whatever locks
// it takes: a reader, or SELECT ... FOR UPDATE.
func changesNothing(statement string) bool {
	w := words(statement)
	return reads(statement) || len(w) > 0 && w[0] == "SELECT"
}

// words splits a statement into words in capitals, without what stands in
// quotes and comments. The inside of an executable comment (/*! ... */) counts:
// mysqldump writes SELECT /*!40001 SQL_NO_CACHE */.
func words(s string) []string {
	var out []string
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case isWord(c):
			start := i
			for i < len(s) && isWord(s[i]) {
				i++
			}
			out = append(out, strings.ToUpper(s[start:i]))
		case c == '\'' || c == '"' || c == '`':
			i = skipQuoted(s, i)
		case c == '#' || c == '-' && isDashComment(s[i:]):
			if n := strings.IndexByte(s[i:], '\n'); n >= 0 {
				i += n
			} else {
				i = len(s)
			}
		case strings.HasPrefix(s[i:], "/*!"), strings.HasPrefix(s[i:], "/*M!"):
			i += strings.IndexByte(s[i:], '!') + 1
			for i < len(s) && s[i] >= '0' && s[i] <= '9' {
				i++
			}
		case strings.HasPrefix(s[i:], "/*"):
			if n := strings.Index(s[i+2:], "*/"); n >= 0 {
				i += 2 + n + 2
			} else {
				i = len(s)
			}
		default:
			i++
		}
	}
	return out
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// isDashComment says that "--" begins a comment here: a blank must follow it.
func isDashComment(s string) bool {
	return len(s) >= 2 && s[1] == '-' && (len(s) == 2 || s[2] <= ' ')
}

// skipQuoted returns the index behind the quoted text that begins at i. A
// backslash escapes in strings, not in backquotes; a doubled quote reads as two
// texts side by side, which comes to the same.
func skipQuoted(s string, i int) int {
	quote := s[i]
	for i++; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quote != '`':
			i++
		case s[i] == quote:
			return i + 1
		}
	}
	return len(s)
}
