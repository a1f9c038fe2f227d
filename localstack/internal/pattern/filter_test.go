package pattern_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"stillpoint/localstack/internal/pattern"
)

const (
	snsPolicies = "https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html"
	snsLimits   = "https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html"
	snsStrings  = "https://docs.aws.amazon.com/sns/latest/dg/string-value-matching.html"
	snsNumbers  = "https://docs.aws.amazon.com/sns/latest/dg/numeric-value-matching.html"
	snsKeys     = "https://docs.aws.amazon.com/sns/latest/dg/attribute-key-matching.html"
	snsOr       = "https://docs.aws.amazon.com/sns/latest/dg/and-or-logic.html"
)

type attributes = map[string]pattern.Attribute

func str(s string) pattern.Attribute    { return pattern.Attribute{Type: "String", Value: s} }
func number(s string) pattern.Attribute { return pattern.Attribute{Type: "Number", Value: s} }
func array(s string) pattern.Attribute  { return pattern.Attribute{Type: "String.Array", Value: s} }

func TestMatchAttributes(t *testing.T) {
	other := pattern.Attribute{Type: "String", Value: "other"}
	for _, c := range []struct {
		name, source, policy string
		yes, no              []attributes
	}{
		{"exact", snsStrings, `{"i":["rugby","tennis"]}`,
			[]attributes{{"i": str("rugby")}, {"i": str("tennis")}, {"i": array(`["rugby","tennis"]`)}, {"i": str("rugby"), "x": other}},
			[]attributes{{"i": str("baseball")}, {"i": str("Rugby")}, {"i": array(`["baseball"]`)}, {"x": other}, {}, {"i": array(`no JSON`)}}},
		{"anything-but", snsStrings, `{"i":[{"anything-but":["rugby","tennis"]}]}`,
			[]attributes{{"i": str("baseball")}, {"i": array(`["rugby","baseball"]`)}},
			[]attributes{{"i": str("rugby")}, {"i": array(`["rugby"]`)}, {"x": other}}},
		{"anything-but prefix", snsStrings, `{"event":[{"anything-but":{"prefix":"order-"}}]}`,
			[]attributes{{"event": str("data-entry")}, {"event": str("order_number")}}, []attributes{{"event": str("order-cancelled")}}},
		{"anything-but or absent", snsStrings, `{"i":[{"anything-but":"rugby"},{"exists":false}]}`,
			[]attributes{{"i": str("x")}, {"x": other}}, []attributes{{"i": str("rugby")}}},
		{"equals-ignore-case", snsStrings, `{"i":[{"equals-ignore-case":"tennis"}]}`,
			[]attributes{{"i": str("TENNIS")}, {"i": str("Tennis")}}, []attributes{{"i": str("rugby")}}},
		{"cidr", snsStrings, `{"source_ip":[{"cidr":"10.0.0.0/24"}]}`,
			[]attributes{{"source_ip": str("10.0.0.0")}, {"source_ip": str("10.0.0.255")}}, []attributes{{"source_ip": str("10.1.1.0")}}},
		{"prefix", snsStrings, `{"i":[{"prefix":"bas"}]}`,
			[]attributes{{"i": str("baseball")}, {"i": str("basketball")}}, []attributes{{"i": str("rugby")}}},
		{"suffix", snsStrings, `{"i":[{"suffix":"ball"}]}`,
			[]attributes{{"i": str("baseball")}}, []attributes{{"i": str("rugby")}}},

		{"numeric equality", snsNumbers, `{"price_usd":[{"numeric":["=",301.5]}]}`,
			[]attributes{{"price_usd": number("301.5")}, {"price_usd": number("3.015e2")}},
			[]attributes{{"price_usd": number("301.50001")}, {"price_usd": str("301.5")}, {"price_usd": number("many")}}},
		{"five digits", snsLimits, `{"price_usd":[{"numeric":["=",301.5]}]}`,
			[]attributes{{"price_usd": number("301.500001")}}, []attributes{{"price_usd": number("301.50001")}}},
		{"up to a thousand million", snsLimits, `{"n":[{"numeric":[">=",1000000000]}]}`,
			[]attributes{{"n": number("1e9")}}, []attributes{{"n": number("1000000001")}}},
		{"a bare number", snsLimits, `{"n":[300]}`,
			[]attributes{{"n": number("300")}, {"n": number("300.0")}, {"n": array(`["x",300]`)}}, []attributes{{"n": str("300")}, {"n": number("301")}}},
		{"numeric anything-but", snsNumbers, `{"price":[{"anything-but":[100,500]}]}`,
			[]attributes{{"price": number("101")}, {"price": number("100.1")}, {"price": {Type: "Number.Array", Value: "[100, 50]"}}},
			[]attributes{{"price": number("100")}}},
		{"negative", snsNumbers, `{"price_usd":[{"numeric":["<",0]}]}`,
			[]attributes{{"price_usd": number("-1")}}, []attributes{{"price_usd": number("0")}}},
		{"range", snsNumbers, `{"price_usd":[{"numeric":[">",0,"<=",150]}]}`,
			[]attributes{{"price_usd": number("150")}}, []attributes{{"price_usd": number("150.1")}, {"price_usd": number("0")}}},

		{"keywords in an array", snsLimits, `{"i":[true,null]}`,
			[]attributes{{"i": array(`["x",null]`)}, {"i": array(`[true]`)}}, []attributes{{"i": str("true")}, {"i": array(`[false]`)}}},
		{"other types are ignored", snsLimits, `{"i":[{"exists":true}]}`,
			[]attributes{{"i": str("x")}}, []attributes{{"i": {Type: "Binary", Value: "eA=="}}}},

		{"exists", snsKeys, `{"store":[{"exists":true}]}`,
			[]attributes{{"store": str("fans"), "x": other}}, []attributes{{"x": other}, {"store": str("")}, {"store": array(`[]`)}, {"store": array(`[null]`)}}},
		{"exists false", snsKeys, `{"store":[{"exists":false}]}`,
			[]attributes{{"x": other}}, []attributes{{"store": str("fans")}, {}, nil}},

		{"and", snsOr, `{"customer_interests":["rugby"],"price_usd":[{"numeric":[">",100]}]}`,
			[]attributes{{"customer_interests": str("rugby"), "price_usd": number("101")}},
			[]attributes{{"customer_interests": str("rugby"), "price_usd": number("100")}, {"price_usd": number("101")}}},
		{"or", snsOr, `{"source":["aws.cloudwatch"],"$or":[{"metricName":["CPUUtilization"]},{"namespace":["AWS/EC2"]}]}`,
			[]attributes{{"source": str("aws.cloudwatch"), "metricName": str("CPUUtilization")}, {"source": str("aws.cloudwatch"), "namespace": str("AWS/EC2")}},
			[]attributes{{"source": str("aws.cloudwatch")}, {"namespace": str("AWS/EC2")}}},
		{"no conditions", snsPolicies, `{}`, []attributes{{}, nil, {"x": other}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := pattern.ParseFilter([]byte(c.policy), "")
			if err != nil {
				t.Fatal(err)
			}
			if f.Scope() != pattern.MessageAttributes {
				t.Error("the scope is", f.Scope())
			}
			for i, a := range append(c.yes, c.no...) {
				if got := f.MatchAttributes(a); got != (i < len(c.yes)) {
					t.Errorf("%s against %v: %v, but see %s", c.policy, a, got, c.source)
				}
			}
		})
	}
}

func TestMatchBody(t *testing.T) {
	for _, c := range []struct {
		name, source, policy string
		yes, no              []string
	}{
		{"exact", snsStrings, `{"i":["rugby","tennis"]}`, []string{`{"i":"rugby"}`, `{"i":["x","tennis"]}`}, []string{`{"i":"baseball"}`, `rugby`, ``, `["rugby"]`}},
		{"anything-but", snsStrings, `{"i":[{"anything-but":["rugby","tennis"]}]}`, []string{`{"i":["rugby","baseball"]}`}, []string{`{"i":["rugby"]}`}},
		{"numbers are equal by value", snsNumbers, `{"price_usd":[{"numeric":["=",301.5]}]}`, []string{`{"price_usd":301.5}`, `{"price_usd":3.015e2}`}, []string{`{"price_usd":"301.5"}`}},
		{"nested", snsPolicies, `{"a":{"b":["x"]},"n":[5]}`, []string{`{"a":{"b":"x"},"n":5.0}`, `{"a":[{"b":"y"},{"b":"x"}],"n":5}`}, []string{`{"a":"x","n":5}`, `{"a":{"b":"x"}}`}},
		{"exists", snsKeys, `{"store":[{"exists":true}]}`, []string{`{"store":"fans"}`, `{"store":0}`, `{"store":false}`}, []string{`{"i":1}`, `{"store":null}`, `{"store":""}`}},
		{"exists false", snsKeys, `{"store":[{"exists":false}]}`, []string{`{"i":1}`}, []string{`{"store":"fans"}`, `{"store":null}`}},
		{"no conditions", snsPolicies, `{}`, []string{``, `x`, `{}`}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := pattern.ParseFilter([]byte(c.policy), pattern.MessageBody)
			if err != nil {
				t.Fatal(err)
			}
			for i, body := range append(c.yes, c.no...) {
				if got := f.MatchBody([]byte(body)); got != (i < len(c.yes)) {
					t.Errorf("%s against %s: %v, but see %s", c.policy, body, got, c.source)
				}
			}
		})
	}
}

// Limits: https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
func TestParseFilterLimits(t *testing.T) {
	list := func(n int) string {
		values := make([]string, n)
		for i := range values {
			values[i] = strconv.Itoa(i)
		}
		return "[" + strings.Join(values, ",") + "]"
	}
	const tooComplex, tooMany = "Filter policy is too complex", "Filter policy can not have more than 5 keys"
	for _, c := range []struct {
		name, policy string
		scope        pattern.Scope
		reason       string // empty: it is valid
	}{
		{"150 values", `{"a":` + list(150) + `}`, "", ""},
		{"151 values", `{"a":` + list(151) + `}`, "", tooComplex},
		{"the document's 3 x 1 x 2", `{"key_a":["1","2","3"],"key_b":["1"],"key_c":["1","2"]}`, "", ""},
		{"15 x 10", `{"a":` + list(15) + `,"b":` + list(10) + `}`, "", ""},
		{"16 x 10", `{"a":` + list(16) + `,"b":` + list(10) + `}`, "", tooComplex},
		{"levels count: 3 x 4 x 2 x 3 = 72", `{"key_a":{"key_b":{"key_c":["1","2","3","4"]}},"key_d":{"key_e":["1","2","3"]}}`, pattern.MessageBody, ""},
		{"3 x 4 x 2 x 7 = 168", `{"key_a":{"key_b":{"key_c":["1","2","3","4"]}},"key_d":{"key_e":` + list(7) + `}}`, pattern.MessageBody, tooComplex},
		{"alternatives add up", `{"a":` + list(10) + `,"$or":[{"b":` + list(7) + `},{"c":` + list(8) + `}]}`, "", ""},
		{"to 160", `{"a":` + list(10) + `,"$or":[{"b":` + list(8) + `},{"c":` + list(8) + `}]}`, "", tooComplex},
		{"five names", `{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1]}`, "", ""},
		{"six names", `{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]}`, "", tooMany},
		{"five parents", `{"a":[1],"b":[1],"c":[1],"d":[1],"e":{"f":[1],"g":[1]}}`, pattern.MessageBody, ""},
		{"nested attributes", `{"a":{"b":[1]}}`, pattern.MessageAttributes, "does not support nested filter policy"},
		{"nested attributes in $or", `{"$or":[{"a":[1]},{"a":{"b":[1]}}]}`, "", "does not support nested filter policy"},
		{"size", `{"a":["` + strings.Repeat("x", 256<<10) + `"]}`, "", "may have 262144"},
		{"scope", `{"a":["x"]}`, "Body", `scope "Body" is neither`},
		{"numbers", `{"a":[{"numeric":["<",1000000001]}]}`, "", "Value must be between -1000000000 and 1000000000"},
		{"a bare number is not held to it", `{"a":[123456789012]}`, "", ""},
		{"no wildcard", `{"a":[{"wildcard":"x*"}]}`, "", "Unrecognized match type wildcard"},
		{"no anything-but suffix", `{"a":[{"anything-but":{"suffix":"x"}}]}`, "", "Unsupported anything-but pattern: suffix"},
		{"no list of prefixes", `{"a":[{"anything-but":{"prefix":["x"]}}]}`, "", "prefix match pattern must be a string"},
		{"no prefix without case", `{"a":[{"prefix":{"equals-ignore-case":"x"}}]}`, "", "prefix match pattern must be a string"},
		{"no array", `{"a":"x"}`, "", `"a" must be an object or an array`},
		{"an array in an array", `{"a":[["x"]]}`, "", "Match value must be String, number, true, false, or null"},
		{"no object", `[]`, "", "Filter is not an object"},
		{"no JSON", `{"a"}`, "", "not JSON"},
		{"an empty level", `{"a":{}}`, pattern.MessageBody, "Empty objects are not allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := pattern.ParseFilter([]byte(c.policy), c.scope)
			if c.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var syntax *pattern.SyntaxError
			if !errors.As(err, &syntax) || !strings.Contains(syntax.Reason, c.reason) || !strings.HasPrefix(err.Error(), "cannot parse the filter policy") {
				t.Errorf("%v, not %q", err, c.reason)
			}
		})
	}
}

// A body as large as a message can be is matched in little time.
func TestALargeBodyTakesLittleTime(t *testing.T) {
	f, err := pattern.ParseFilter([]byte(`{"a":{"b":{"c":[{"exists":false}],"d":[9]}}}`), pattern.MessageBody)
	if err != nil {
		t.Fatal(err)
	}
	element := `{"b":[{"c":1},{"d":2}]}`
	body := `{"a":[` + strings.Repeat(element+",", 10_000) + element + `]}`
	begin := time.Now()
	if f.MatchBody([]byte(body)) {
		t.Error("it matches")
	}
	if took := time.Since(begin); took > 10*time.Second { // where every element looks at all of them, minutes
		t.Error("it took", took)
	}
}
