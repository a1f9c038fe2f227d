package pattern_test

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"stillpoint/localstack/internal/pattern"
)

func event(t interface{ Fatal(...any) }, text, doc string) bool {
	p, err := pattern.ParseEvent([]byte(text))
	if err != nil {
		t.Fatal(text, err)
	}
	ok, err := p.MatchEvent([]byte(doc))
	if err != nil {
		t.Fatal(doc, err)
	}
	return ok
}

func quote(t *rapid.T, s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A wildcard is the regular expression it stands for.
func TestWildcardIsARegularExpression(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.StringMatching(`[ab]{1,3}`), 0, 4).Draw(t, "parts")
		text := strings.Join(parts, "*")
		if rapid.Bool().Draw(t, "begins") {
			text = "*" + text
		}
		if !strings.HasSuffix(text, "*") && rapid.Bool().Draw(t, "ends") {
			text += "*"
		}
		s := rapid.StringMatching(`[ab]{0,8}`).Draw(t, "s")
		want := regexp.MustCompile("^" + strings.ReplaceAll(text, "*", ".*") + "$").MatchString(s)
		if got := event(t, fmt.Sprintf(`{"a":[{"wildcard":%q}]}`, text), fmt.Sprintf(`{"a":%q}`, s)); got != want {
			t.Fatalf("%q against %q: %v", text, s, got)
		}
	})
}

// A leaf matches a value, or anything but it, and never both.
func TestAnythingButIsTheOpposite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, got := rapid.String().Draw(t, "want"), rapid.String().Draw(t, "got")
		if rapid.Bool().Draw(t, "same") {
			got = want
		}
		doc := fmt.Sprintf(`{"a":%s}`, quote(t, got))
		is := event(t, fmt.Sprintf(`{"a":[%s]}`, quote(t, want)), doc)
		but := event(t, fmt.Sprintf(`{"a":[{"anything-but":%s}]}`, quote(t, want)), doc)
		if is == but || is != (want == got) {
			t.Fatalf("%q against %q: %v and %v", want, got, is, but)
		}
	})
}

// Comparisons are those of rational numbers, whatever the notation.
func TestNumbersCompareExactly(t *testing.T) {
	draw := func(t *rapid.T, name string) (string, *big.Rat) {
		units := rapid.Int64Range(-5e15, 5e15).Draw(t, name)
		if rapid.Bool().Draw(t, name+" is small") {
			units %= 1000
		}
		exponent := rapid.IntRange(-3, 3).Draw(t, name+"'s exponent")
		r := new(big.Rat).SetFrac64(units, 1e6)
		shifted := new(big.Rat).Mul(r, new(big.Rat).SetFrac64(1e3, 1))
		for range exponent + 3 {
			shifted.Quo(shifted, new(big.Rat).SetInt64(10))
		}
		return fmt.Sprintf("%se%+d", shifted.FloatString(12), exponent), r
	}
	rapid.Check(t, func(t *rapid.T) {
		a, x := draw(t, "a")
		b, y := draw(t, "b")
		doc := fmt.Sprintf(`{"n":%s}`, a)
		for op, want := range map[string]bool{"=": x.Cmp(y) == 0, "<": x.Cmp(y) < 0, "<=": x.Cmp(y) <= 0, ">": x.Cmp(y) > 0, ">=": x.Cmp(y) >= 0} {
			if got := event(t, fmt.Sprintf(`{"n":[{"numeric":[%q,%s]}]}`, op, b), doc); got != want {
				t.Fatalf("%s %s %s: %v", a, op, b, got)
			}
		}
		if !event(t, fmt.Sprintf(`{"n":[{"numeric":["=",%s]}]}`, x.FloatString(6)), doc) {
			t.Fatalf("%s is not %s", a, x.FloatString(6))
		}
	})
}
