package pattern_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"stillpoint/localstack/internal/pattern"
)

func TestParseEventRefuses(t *testing.T) {
	deep := `{"a":[1],"$or":[{"b":[1]},{"c":[1]}]}`
	or := func(n int) string {
		return `"$or":[` + strings.TrimSuffix(strings.Repeat(`{"a":[1]},`, n), ",") + `]`
	}
	many := func(a, b, c int) string {
		return fmt.Sprintf(`{%s,"x":{%s},"y":{%s}}`, or(a), or(b), or(c))
	}
	for _, ok := range []string{deep, many(10, 10, 10)} {
		if _, err := pattern.ParseEvent([]byte(ok)); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct{ pattern, path, reason string }{
		{``, "", "not JSON"},
		{`{`, "", "not JSON"},
		{`{"a":[1]} {}`, "", "more after the JSON value"},
		{`{"a":[1],"a":[2]}`, "", "duplicate"},
		{"{\"a\":[\"\xff\"]}", "", "UTF-8"},
		{`[]`, "", "Filter is not an object"},
		{`"x"`, "", "Filter is not an object"},
		{`{}`, "", "Empty objects are not allowed"},
		{`{"detail":{}}`, "detail", "Empty objects are not allowed"},
		{`{"detail":{"state":"x"}}`, "detail.state", `"state" must be an object or an array`},
		{`{"a":[]}`, "a", "Empty arrays are not allowed"},
		{`{"a":[["x"]]}`, "a", "Match value must be String, number, true, false, or null"},
		{`{"a":[{}]}`, "a", "Match expression name not found"},
		{`{"a":[{"prefix":"x","suffix":"y"}]}`, "a", "Only one key allowed in match expression"},
		{`{"detail":{"a":[{"contains":"x"}]}}`, "detail.a", "Unrecognized match type contains"},
		{`{"a":[{"prefix":1}]}`, "a", "prefix match pattern must be a string"},
		{`{"a":[{"prefix":{"suffix":"x"}}]}`, "a", "Unsupported prefix pattern: suffix"},
		{`{"a":[{"prefix":{}}]}`, "a", "Only one key"},
		{`{"a":[{"prefix":{"equals-ignore-case":1}}]}`, "a", "equals-ignore-case match pattern must be a string"},
		{`{"a":[{"suffix":["x"]}]}`, "a", "suffix match pattern must be a string"},
		{`{"a":[{"equals-ignore-case":["x"]}]}`, "a", "equals-ignore-case match pattern must be a string"},
		{`{"a":[{"wildcard":1}]}`, "a", "wildcard match pattern must be a string"},
		{`{"a":[{"wildcard":"a**"}]}`, "a", "Consecutive wildcard characters at pos 2"},
		{`{"a":[{"wildcard":"a\\b"}]}`, "a", "Invalid escape character at pos 1"},
		{`{"a":[{"wildcard":"a\\"}]}`, "a", "Invalid escape character at pos 1"},
		{`{"a":[{"exists":"true"}]}`, "a", "exists match pattern must be either true or false."},
		{`{"a":[{"cidr":1}]}`, "a", "cidr match pattern must be a string"},
		{`{"a":[{"cidr":"10.0.0.0"}]}`, "a", "Malformed CIDR, one '/' required"},
		{`{"a":[{"cidr":"10.0.0.0/x"}]}`, "a", "mask bits must be an integer"},
		{`{"a":[{"cidr":"10.0.0/8"}]}`, "a", "Nonstandard IP address: 10.0.0/8"},
		{`{"a":[{"cidr":"10.0.0.0/33"}]}`, "a", "Nonstandard IP address"},
		{`{"a":[{"numeric":1}]}`, "a", "Value of numeric must be an array."},
		{`{"a":[{"numeric":[]}]}`, "a", "Invalid member in numeric match: ]"},
		{`{"a":[{"numeric":[1]}]}`, "a", "Invalid member in numeric match: 1"},
		{`{"a":[{"numeric":["!",1]}]}`, "a", "Unrecognized numeric range operator: !"},
		{`{"a":[{"numeric":["<"]}]}`, "a", "Value of < must be numeric"},
		{`{"a":[{"numeric":["<","1"]}]}`, "a", "Value of < must be numeric"},
		{`{"a":[{"numeric":["<",5,">",1]}]}`, "a", "Too many elements in numeric expression"},
		{`{"a":[{"numeric":["=",5,"<",6]}]}`, "a", "Too many elements in numeric expression"},
		{`{"a":[{"numeric":[">",5,"=",6]}]}`, "a", "Bad numeric range operator: ="},
		{`{"a":[{"numeric":[">",5,"<",5]}]}`, "a", "Bottom must be less than top"},
		{`{"a":[{"numeric":[">",5,"<",6,"<",7]}]}`, "a", "Too many elements"},
		{`{"a":[{"numeric":["<",5000000001]}]}`, "a", "Value must be between -5000000000 and 5000000000"},
		{`{"a":[{"anything-but":[]}]}`, "a", "Empty arrays are not allowed"},
		{`{"a":[{"anything-but":["x",1]}]}`, "a", "mixed type is not supported"},
		{`{"a":[{"anything-but":null}]}`, "a", "null|boolean is not supported"},
		{`{"a":[{"anything-but":[true]}]}`, "a", "null|boolean is not supported"},
		{`{"a":[{"anything-but":6e9}]}`, "a", "Value must be between"},
		{`{"a":[{"anything-but":{"numeric":["<",1]}}]}`, "a", "Unsupported anything-but pattern: numeric"},
		{`{"a":[{"anything-but":{}}]}`, "a", "Only one key"},
		{`{"a":[{"anything-but":{"prefix":""}}]}`, "a", "Null prefix/suffix not allowed"},
		{`{"a":[{"anything-but":{"prefix":[]}}]}`, "a", "Empty arrays are not allowed"},
		{`{"a":[{"anything-but":{"prefix":[1]}}]}`, "a", "prefix match pattern must be a string"},
		{`{"$or":[{"a":[1]}]}`, "$or", "Unrecognized match type a"},
		{`{"$or":[{"numeric":123},{"prefix":"abc"}]}`, "$or", "Value of numeric must be an array."},
		{`{"$or":[{"a":[1]},{}]}`, "$or", "Empty objects are not allowed"},
		{`{"$or":[{"a":[1]},{"b":1}]}`, "$or.b", "must be an object or an array"},
		{many(10, 10, 11), "", "over 1000 rule combinations"},
		{`{"a":["` + strings.Repeat("x", pattern.MaxEventPattern) + `"]}`, "", "4106 characters and may have 4096"},
	} {
		_, err := pattern.ParseEvent([]byte(c.pattern))
		var syntax *pattern.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%.60s: %v", c.pattern, err)
			continue
		}
		if syntax.Path != c.path || !strings.Contains(syntax.Reason, c.reason) || !strings.HasPrefix(err.Error(), "cannot parse the event pattern") {
			t.Errorf("%.60s: at %q: %v", c.pattern, syntax.Path, err)
		}
	}
}
