package policy_test

import (
	"strings"
	"testing"

	"stillpoint/localstack/internal/policy"
)

// resourceStatement makes a statement valid for a resource, but for the element in question.
func resourceStatement(element string) string {
	return `{"Statement":{"Effect":"Deny","Principal":"*","Action":"*",` + element + `}}`
}

func conditionOf(operators string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"*","Condition":` + operators + `}}`
}

func principalOf(element string) string {
	return `{"Statement":{"Effect":"Deny",` + element + `,"Action":"*"}}`
}

// The grammar: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ doc, says string }{
		{``, "EOF"},
		{`[]`, "unmarshal JSON"},
		{`{}`, "there is no Statement"},
		{`{"Statement":[]}`, "the list of statements is empty"},
		{`{"Statement":"*"}`, "there is no Statement"},
		{`{"Statement":[1]}`, "unmarshal JSON"},
		{`{"Version":"2015-10-17","Statement":{}}`, `version "2015-10-17"`},
		{`{"Version":"2012-10-17","Version":"2012-10-17","Statement":{}}`, "duplicate"},
		{`{"Version":"2012-10-17","Owner":"x","Statement":{}}`, `"Owner"`},
		{`{"Statement":{"Effect":"Allow","Principal":"*","Actions":"*"}}`, `"Actions"`},
		{`{"Statement":{"Principal":"*","Action":"*"}}`, `effect ""`},
		{`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*"},{"Sid":"x","Effect":"allow","Principal":"*","Action":"*"}]}`, `statement 2 (x): effect "allow"`},

		{`{"Statement":{"Effect":"Allow","Action":"*"}}`, "neither a Principal nor a NotPrincipal"},
		{`{"Statement":{"Effect":"Allow","NotPrincipal":"*","Action":"*"}}`, "NotPrincipal goes with the effect Deny alone"},
		{principalOf(`"Principal":"*","NotPrincipal":"*"`), "both Principal and NotPrincipal"},
		{principalOf(`"Principal":"` + bob + `"`), "is not *"},
		{principalOf(`"Principal":["*"]`), "unmarshal JSON"},
		{principalOf(`"Principal":{}`), "nobody is named"},
		{principalOf(`"Principal":null`), "nobody is named"},
		{principalOf(`"Principal":{"AWS":[]}`), "AWS: an empty list"},
		{principalOf(`"Principal":{"AWS":111122223333}`), "111122223333 where a string belongs"},
		{principalOf(`"Principal":{"AWS":"11112222333"}`), `"11112222333" is neither`},
		{principalOf(`"Principal":{"AWS":"arn:aws:iam::444455556666:user/*"}`), `user/*" is neither`},
		{principalOf(`"Principal":{"AWS":"arn:aws:iam::444455556666:group/x"}`), `group/x" is neither`},
		{principalOf(`"Principal":{"Service":"sns"}`), `"sns" is no service`},
		{principalOf(`"Principal":{"Service":"*"}`), `"*" is no service`},
		{principalOf(`"Principal":{"User":"x"}`), "User: there is no such kind of principal"},

		{`{"Statement":{"Effect":"Allow","Principal":"*"}}`, "neither an Action nor a NotAction"},
		{`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","NotAction":"*"}}`, "both Action and NotAction"},
		{`{"Statement":{"Effect":"Allow","Principal":"*","Action":[]}}`, "Action: an empty list"},
		{`{"Statement":{"Effect":"Allow","Principal":"*","Action":null}}`, "Action: null where a string belongs"},
		{`{"Statement":{"Effect":"Allow","Principal":"*","NotAction":"SendMessage"}}`, `action "SendMessage"`},
		{`{"Statement":{"Effect":"Allow","Principal":"*","Action":"sqs:Send Message"}}`, `action "sqs:Send Message"`},

		{resourceStatement(`"Resource":"*","NotResource":"*"`), "both Resource and NotResource"},
		{resourceStatement(`"Resource":true`), "Resource: true where a string belongs"},
		{resourceStatement(`"Resource":"jobs"`), `"jobs" is neither an ARN nor *`},
		{resourceStatement(`"Resource":"arn:aws:sqs:jobs"`), "an ARN of 4 parts"},
		{resourceStatement(`"Resource":"arn:aws:sqs:us-*3:jobs"`), "an ARN of 5 parts"},
		{conditionOf(`{},"Resource":"arn:aws:sqs:${aws:username}:1:jobs"`), "variable before the fifth colon"},
		{conditionOf(`{},"Resource":"arn:aws:s3:::x/${aws:username"`), "has no end"},
		{conditionOf(`{},"Resource":"arn:aws:s3:::x/${}"`), "is no variable"},
		{conditionOf(`{},"Resource":"arn:aws:s3:::x/${aws:username, nobody}"`), "is no variable"},

		{conditionOf(`[]`), "not an object"},
		{conditionOf(`{"StringEquals":"x"}`), "unmarshal JSON"},
		{conditionOf(`{"StringMatches":{"a":"x"}}`), `no condition operator "StringMatches"`},
		{conditionOf(`{"stringequals":{"a":"x"}}`), `no condition operator "stringequals"`},
		{conditionOf(`{"ForSomeValues:StringEquals":{"a":"x"}}`), `no condition operator "ForSomeValues:StringEquals"`},
		{conditionOf(`{"ForAnyValue:ForAllValues:StringEquals":{"a":"x"}}`), "no condition operator"},
		{conditionOf(`{"NullIfExists":{"a":"true"}}`), "Null takes no IfExists"},
		{conditionOf(`{"StringEquals":{"a":[]}}`), "StringEquals of a: an empty list"},
		{conditionOf(`{"StringEquals":{"a":null}}`), "StringEquals of a: null"},
		{conditionOf(`{"StringEquals":{"a":{"b":"c"}}}`), "where a string belongs"},
		{conditionOf(`{"StringEquals":{"a":"${b"}}`), "has no end"},
		{conditionOf(`{"ArnLike":{"a":"arn:aws:sns"}}`), `"arn:aws:sns" is no ARN`},
		{conditionOf(`{"ArnLike":{"a":"*"}}`), `"*" is no ARN`},
		{conditionOf(`{"Bool":{"a":"yes"}}`), `"yes" is neither true nor false`},
		{conditionOf(`{"Null":{"a":"x"}}`), `"x" is neither true nor false`},
		{conditionOf(`{"NumericEquals":{"a":"ten"}}`), `"ten" is no number`},
		{conditionOf(`{"NumericEquals":{"a":1e999}}`), `"1e999" is no number`},
		{conditionOf(`{"DateEquals":{"a":"2020-13-01"}}`), `"2020-13-01" is neither`},
		{conditionOf(`{"IpAddress":{"a":"10.0.0.0/33"}}`), `"10.0.0.0/33" is neither`},
		{conditionOf(`{"BinaryEquals":{"a":"?"}}`), `"?" is not base64`},
	} {
		d, err := policy.Parse([]byte(c.doc))
		if err == nil || d != nil || !strings.HasPrefix(err.Error(), "cannot parse the policy: ") || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, not %q", c.doc, err, c.says)
		}
	}
}

// What a policy of a role may not have is fine on a resource: an Id, any Sid, the same one twice, no Resource.
func TestParseTakes(t *testing.T) {
	for _, doc := range []string{
		`{"Id":"x","Statement":{"Sid":"a b","Effect":"Allow","Principal":"*","Action":"*"}}`,
		`{"Statement":[{"Sid":"a","Effect":"Allow","Principal":"*","Action":"*"},{"Sid":"a","Effect":"Allow","Principal":"*","Action":"*"}]}`,
	} {
		if _, err := policy.Parse([]byte(doc)); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(topicToQueue), queue, "aws:SourceArn", topic)
	f.Add([]byte(conditionOf(`{"ForAnyValue:StringNotLikeIfExists":{"a":["${b}x*?","${*}"]},"Null":{"b":true}}`)), queue, "b", "x")
	f.Add([]byte(conditionOf(`{"ArnLike":{"a":"arn:*:?:::${b, 'c'}"},"DateLessThan":{"c":"2020"},"IpAddress":{"d":"::/0"}}`)), queue, "b", "x")
	f.Add([]byte(resourceStatement(`"NotResource":["arn:aws:sqs:*","*"]`)), queue, "b", "x")
	f.Add([]byte(principalOf(`"NotPrincipal":{"AWS":["`+bob+`","111122223333"],"Service":"sns.amazonaws.com"}`)), bob, "b", "x")
	f.Fuzz(func(t *testing.T, text []byte, who, key, value string) {
		d, err := policy.Parse(text)
		if (d == nil) == (err == nil) {
			t.Errorf("%v and %v", d, err)
		}
		req := policy.Request{Principal: policy.Principal{ARN: who}, Action: "sqs:SendMessage", Resource: value, Context: map[string][]string{key: {value}}}
		got := policy.Evaluate(d, req)
		if again := policy.Evaluate(d, req); again != got {
			t.Errorf("%+v, then %+v", got, again)
		}
		if (got.Statement == 0) != (got.Outcome == policy.ImplicitDeny) {
			t.Errorf("%+v", got)
		}
	})
}
