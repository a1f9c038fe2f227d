package policy_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"stillpoint/localstack/internal/policy"
)

func holds(t *rapid.T, operator, want string, got []string) bool {
	doc := fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Condition":{%q:{"k":%q}}}}`, operator, want)
	d, err := policy.Parse([]byte(doc))
	if err != nil {
		t.Fatal(doc, err)
	}
	return policy.Evaluate(d, send(policy.Principal{}, map[string][]string{"k": got})).Outcome == policy.Allow
}

var expression = strings.NewReplacer("*", ".*", "?", ".")

// Wildcards are the regular expressions they stand for, and in an ARN those of
// each part.
func TestWildcardsAreRegularExpressions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.StringMatching(`[ab:*?]{0,8}`).Draw(t, "pattern")
		got := rapid.StringMatching(`[ab:]{0,8}`).Draw(t, "value")
		like := regexp.MustCompile("^" + expression.Replace(want) + "$").MatchString(got)
		if holds(t, "StringLike", want, []string{got}) != like {
			t.Fatalf("StringLike %q %q", want, got)
		}
		if holds(t, "StringNotLike", want, []string{got}) == like {
			t.Fatalf("StringNotLike %q %q", want, got)
		}
		arn, value := "arn:a*:?::"+want+":::", "arn:aws:s::"+got+":::"
		parts, values := strings.SplitN(arn, ":", 6), strings.SplitN(value, ":", 6)
		like = true
		for i := range parts {
			like = like && regexp.MustCompile("^"+expression.Replace(parts[i])+"$").MatchString(values[i])
		}
		if holds(t, "ArnLike", arn, []string{value}) != like {
			t.Fatalf("ArnLike %q %q", arn, value)
		}
	})
}

// ForAllValues of an operator is false exactly where ForAnyValue of its
// opposite is true, if there are values.
func TestSetOperatorsAreOpposites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.StringMatching(`[abc]`).Draw(t, "want")
		got := rapid.SliceOfN(rapid.StringMatching(`[abc]`), 1, 4).Draw(t, "got")
		if holds(t, "ForAllValues:StringEquals", want, got) == holds(t, "ForAnyValue:StringNotEquals", want, got) {
			t.Fatalf("%q %q", want, got)
		}
		if holds(t, "ForAnyValue:StringEquals", want, got) == holds(t, "ForAllValues:StringNotEquals", want, got) {
			t.Fatalf("%q %q", want, got)
		}
	})
}

// A document never decides Allow where a statement denies, whatever the order.
func TestADenyWinsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		effects := rapid.SliceOfN(rapid.SampledFrom([]string{"Allow", "Deny"}), 1, 5).Draw(t, "effects")
		var statements []string
		deny, allow := false, false
		for _, effect := range effects {
			action := rapid.SampledFrom([]string{"sqs:SendMessage", "sqs:DeleteQueue", "sqs:*"}).Draw(t, "action")
			statements = append(statements, fmt.Sprintf(`{"Effect":%q,"Principal":"*","Action":%q}`, effect, action))
			if action != "sqs:DeleteQueue" {
				deny, allow = deny || effect == "Deny", allow || effect == "Allow"
			}
		}
		d, err := policy.Parse([]byte(`{"Statement":[` + strings.Join(statements, ",") + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		want := policy.ImplicitDeny
		if allow {
			want = policy.Allow
		}
		if deny {
			want = policy.ExplicitDeny
		}
		if got := policy.Evaluate(d, send(policy.Principal{}, nil)); got.Outcome != want {
			t.Fatalf("%v: %v", statements, got)
		}
	})
}
