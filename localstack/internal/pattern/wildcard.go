package pattern

import (
	"strconv"
	"strings"
)

// wildcard takes * for any run of characters, the empty one too. "\*" is an
// asterisk and "\\" a backslash; a backslash before anything else and two
// wildcards in a row are refused.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html#eb-filtering-wildcard-matching
//
// That some patterns are "too complex" to AWS is not reproduced: how it counts
// is not documented.
func wildcard(_ *dialect, name string, arg value) (test, string) {
	if arg.kind != '"' {
		return nil, mustBeString(name)
	}
	parts := []string{""} // the texts between the wildcards
	text := arg.text
	for i := 0; i < len(text); i++ {
		last := len(parts) - 1
		switch {
		case text[i] == '*' && last > 0 && parts[last] == "":
			return nil, "Consecutive wildcard characters at pos " + strconv.Itoa(i)
		case text[i] == '*':
			parts = append(parts, "")
		case text[i] == '\\' && (i+1 == len(text) || text[i+1] != '*' && text[i+1] != '\\'):
			return nil, "Invalid escape character at pos " + strconv.Itoa(i)
		case text[i] == '\\':
			i++
			parts[last] += text[i : i+1]
		default:
			parts[last] += text[i : i+1]
		}
	}
	return onString(func(s string) bool { return matchParts(parts, s) }), ""
}

// matchParts takes the first place for each part, which leaves the most for
// the next ones, and the last place for the last.
func matchParts(parts []string, s string) bool {
	s, ok := strings.CutPrefix(s, parts[0])
	if len(parts) == 1 {
		return ok && s == ""
	}
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(s, part)
		s, ok = after, ok && found
	}
	return ok && strings.HasSuffix(s, parts[len(parts)-1])
}
