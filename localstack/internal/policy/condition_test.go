package policy_test

import (
	"testing"

	"stillpoint/localstack/internal/policy"
)

func TestConditions(t *testing.T) {
	const (
		someARN = "arn:aws:someservice:us-east-2:111122223333:finance/document.txt"
		// The example where StringLike matches and ArnLike does not.
		crossing = "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt"
		pattern  = `"arn:aws:someservice:*:111122223333:finance/*"`
	)
	for _, c := range []struct {
		source, operator, values string
		request                  []string // nil: the key is not there
		want                     bool
	}{
		{iamConditions, "StringEquals", `"a"`, []string{"a"}, true},
		{iamConditions, "StringEquals", `"a"`, []string{"A"}, false},
		{iamConditions, "StringEquals", `"a*"`, []string{"ab"}, false},
		{iamConditions, "StringEquals", `["a","b"]`, []string{"b"}, true},
		{iamConditions, "StringEquals", `5`, []string{"5"}, true},
		{iamConditions, "StringEquals", `"a"`, nil, false},
		{iamConditions, "StringNotEquals", `"a"`, []string{"b"}, true},
		{iamConditions, "StringNotEquals", `"a"`, []string{"a"}, false},
		{iamLogicMulti, "StringNotEquals", `["a","b"]`, []string{"b"}, false}, // NOR
		{iamConditions, "StringNotEquals", `"a"`, nil, true},
		{iamConditions, "StringEqualsIgnoreCase", `"a"`, []string{"A"}, true},
		{iamConditions, "StringNotEqualsIgnoreCase", `"a"`, []string{"A"}, false},
		{iamConditions, "StringNotEqualsIgnoreCase", `"a"`, []string{"b"}, true},
		{iamConditions, "StringLike", `["","home/","home/?*"]`, []string{"home/x"}, true},
		{iamConditions, "StringLike", `["","home/","home/?*"]`, []string{""}, true},
		{iamConditions, "StringLike", `"home/?*"`, []string{"Home/x"}, false},
		{iamConditions, "StringLike", `"a?c"`, []string{"aéc"}, true},
		{iamConditions, "StringNotLike", `"a*"`, []string{"abc"}, false},
		{iamConditions, "StringNotLike", `"a*"`, []string{"b"}, true},
		{iamConditions, "StringNotLike", `"a*"`, nil, true},

		{iamConditions, "ArnLike", pattern, []string{someARN}, true},
		{iamConditions, "ArnEquals", pattern, []string{someARN}, true},
		{iamConditions, "StringLike", pattern, []string{crossing}, true},
		{iamConditions, "ArnLike", pattern, []string{crossing}, false},
		{iamConditions, "ArnLike", pattern, []string{"finance"}, false},
		{iamConditions, "ArnLike", `"arn:aws:logs:*:*:group:*"`, []string{"arn:aws:logs:us-east-1:1:group:a:b"}, true},
		{iamConditions, "ArnNotEquals", pattern, []string{someARN}, false},
		{iamConditions, "ArnNotLike", pattern, []string{crossing}, true},
		{iamConditions, "ArnNotLike", pattern, nil, true},

		{iamConditions, "NumericEquals", `"10"`, []string{"10.0"}, true},
		{iamConditions, "NumericEquals", `1e1`, []string{"10"}, true},
		{iamConditions, "NumericEquals", `10`, []string{"ten"}, false},
		{iamConditions, "NumericNotEquals", `10`, []string{"10"}, false},
		{iamConditions, "NumericNotEquals", `10`, []string{"11"}, true},
		{iamConditions, "NumericLessThan", `10`, []string{"9.99"}, true},
		{iamConditions, "NumericLessThan", `10`, []string{"10"}, false},
		{iamConditions, "NumericLessThanEquals", `"10"`, []string{"10"}, true},
		{iamConditions, "NumericLessThanEquals", `"10"`, []string{"10.1"}, false},
		{iamConditions, "NumericGreaterThan", `10`, []string{"10.1"}, true},
		{iamConditions, "NumericGreaterThan", `10`, []string{"9"}, false},
		{iamConditions, "NumericGreaterThanEquals", `10`, []string{"10"}, true},
		{iamConditions, "NumericGreaterThanEquals", `0.30000000000000001`, []string{"0.3"}, false},

		{iamConditions, "DateEquals", `"2020-01-01T00:00:00Z"`, []string{"1577836800"}, true},
		{iamConditions, "DateEquals", `"2020"`, []string{"2020-01-01T01:00+01:00"}, true},
		{iamConditions, "DateNotEquals", `"2020-01-01"`, []string{"2020-01-01T00:00:00.0Z"}, false},
		{iamConditions, "DateLessThan", `"2020-02"`, []string{"2020-01-31T23:59:59Z"}, true},
		{iamConditions, "DateLessThanEquals", `"2020-02-01"`, []string{"2020-02-01T00:00:00Z"}, true},
		{iamConditions, "DateGreaterThan", `"2020-01-01T00:00:01Z"`, []string{"2020-01-01T00:00:01Z"}, false},
		{iamConditions, "DateGreaterThan", `1577836800`, []string{"2020-01-01T00:00:01Z"}, true},
		{iamConditions, "DateGreaterThanEquals", `"2020-01-01T00:00:01Z"`, []string{"2020-01-01T00:00:01Z"}, true},
		{iamConditions, "DateLessThan", `"2020"`, []string{"never"}, false},

		{iamConditions, "Bool", `"false"`, []string{"false"}, true},
		{iamConditions, "Bool", `false`, []string{"true"}, false},
		{iamConditions, "Bool", `"True"`, []string{"true"}, true},
		{iamConditions, "Bool", `"false"`, nil, false},
		{iamConditions, "BinaryEquals", `"QmluYXJ5VmFsdWVJbkJhc2U2NA=="`, []string{"QmluYXJ5VmFsdWVJbkJhc2U2NA=="}, true},
		{iamConditions, "BinaryEquals", `"QmluYXJ5VmFsdWVJbkJhc2U2NA=="`, []string{"QQ=="}, false},

		{iamConditions, "IpAddress", `"203.0.113.0/24"`, []string{"203.0.113.255"}, true},
		{iamConditions, "IpAddress", `"203.0.113.0/24"`, []string{"203.0.114.0"}, false},
		{iamConditions, "IpAddress", `"203.0.113.5"`, []string{"203.0.113.5"}, true},
		{iamConditions, "IpAddress", `"203.0.113.5"`, []string{"203.0.113.6"}, false},
		{iamConditions, "IpAddress", `["203.0.113.0/24","2001:DB8:1234:5678::/64"]`, []string{"2001:db8:1234:5678::9"}, true},
		{iamConditions, "IpAddress", `"203.0.113.0/24"`, []string{"here"}, false},
		{iamConditions, "NotIpAddress", `"203.0.113.0/24"`, []string{"203.0.113.255"}, false},
		{iamConditions, "NotIpAddress", `"203.0.113.0/24"`, []string{"198.51.100.1"}, true},
		{iamConditions, "NotIpAddress", `"203.0.113.0/24"`, nil, true},

		{iamConditions, "Null", `"true"`, nil, true},
		{iamConditions, "Null", `"true"`, []string{}, true},
		{iamConditions, "Null", `true`, []string{"x"}, false},
		{iamConditions, "Null", `"false"`, []string{"x"}, true},
		{iamConditions, "Null", `"false"`, nil, false},

		{iamConditions, "StringEqualsIfExists", `"a"`, nil, true},
		{iamConditions, "StringEqualsIfExists", `"a"`, []string{"a"}, true},
		{iamConditions, "StringEqualsIfExists", `"a"`, []string{"b"}, false},
		{iamConditions, "StringNotEqualsIfExists", `"a"`, nil, true},
		{iamConditions, "NumericLessThanIfExists", `1`, nil, true},

		{iamSets, "ForAllValues:StringLike", `["PostDateTime","Message","Tag*"]`, []string{"PostDateTime", "Tags"}, true},
		{iamSets, "ForAllValues:StringLike", `["PostDateTime","Message","Tag*"]`, []string{"PostDateTime", "UserName"}, false},
		{iamSets, "ForAllValues:StringEquals", `"a"`, nil, true},
		{iamSets, "ForAllValues:StringEquals", `"a"`, []string{""}, true},
		{iamSets, "ForAllValues:StringNotEquals", `["a","b"]`, []string{"c", "d"}, true},
		{iamSets, "ForAllValues:StringNotEquals", `["a","b"]`, []string{"c", "a"}, false},
		{iamSets, "ForAnyValue:StringEquals", `["ID","PostDateTime"]`, []string{"UserName", "Message", "PostDateTime"}, true},
		{iamSets, "ForAnyValue:StringEquals", `["ID","PostDateTime"]`, []string{"UserName"}, false},
		{iamSets, "ForAnyValue:StringEquals", `"a"`, nil, false},
		{iamSets, "ForAnyValue:StringEquals", `""`, []string{""}, false},
		{iamSets, "ForAnyValue:StringNotEquals", `"a"`, []string{"a", "b"}, true},
		{iamSets, "ForAnyValue:StringNotEquals", `"a"`, []string{"a"}, false},
		{iamSets, "ForAnyValue:StringNotEquals", `"a"`, nil, false},
		{iamConditions, "ForAnyValue:StringEqualsIfExists", `"a"`, nil, true},

		// Variables: the caller is bob, a session of the instance i-1, and has no aws:userid.
		{iamVariables, "StringLike", `"${aws:username}/*"`, []string{"bob/x"}, true},
		{iamVariables, "StringEquals", `"${aws:username}"`, []string{"bob"}, true},
		{iamVariables, "StringEquals", `"${*}"`, []string{"*"}, true},
		{iamVariables, "StringEquals", `"$${aws:username}"`, []string{"$bob"}, true},
		{iamVariables, "StringEqualsIgnoreCase", `"${aws:userid, 'No One'}"`, []string{"no one"}, true},
		{iamVariables, "ArnEquals", `"${ec2:SourceInstanceARN}"`, []string{"arn:aws:ec2:us-east-1:111122223333:instance/i-1"}, true},
		{iamVariables, "ArnEquals", `"${ec2:SourceInstanceARN}"`, []string{"arn:aws:ec2:us-east-1:111122223333:instance/i-2"}, false},
		{iamVariables, "ArnLike", `"arn:aws:ec2:*:*:${aws:PrincipalTag/Kind}/*"`, []string{"arn:aws:ec2:us-east-1:111122223333:instance/i-2"}, true},
		{iamVariables, "StringEquals", `"${aws:userid}"`, []string{""}, false},
		{iamVariables, "StringNotEquals", `"${aws:userid}"`, []string{"x"}, false}, // the statement is invalid
		{iamVariables, "StringEquals", `["${aws:userid}","x"]`, []string{"x"}, true},
	} {
		keys := map[string][]string{
			"aws:username": {"bob"}, "ec2:SourceInstanceARN": {"arn:aws:ec2:us-east-1:111122223333:instance/i-1"},
			"aws:principaltag/kind": {"instance"},
		}
		if c.request != nil {
			keys["My:KEY"] = c.request // names of keys are not case-sensitive
		}
		doc := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*",
			"Condition":{"` + c.operator + `":{"mY:key":` + c.values + `}}}}`
		if got := decide(t, doc, send(policy.Principal{}, keys)); (got.Outcome == policy.Allow) != c.want {
			t.Errorf("%s %s for %q: %v, but see %s", c.operator, c.values, c.request, got.Outcome, c.source)
		}
	}
}

// "multiple condition operators, or multiple context keys attached to a single
// condition operator, [...] are evaluated using a logical AND".
func TestAllConditionsHaveToHold(t *testing.T) { // iamLogicMulti
	const doc = `{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Condition":{
		"StringEquals":{"a":["1","2"],"b":"1"},"NumericLessThan":{"c":5}}}}`
	for _, c := range []struct {
		a, b, c string
		want    policy.Outcome
	}{
		{"2", "1", "4", policy.Allow},
		{"3", "1", "4", policy.ImplicitDeny},
		{"1", "2", "4", policy.ImplicitDeny},
		{"1", "1", "5", policy.ImplicitDeny},
	} {
		got := decide(t, doc, send(policy.Principal{}, map[string][]string{"a": {c.a}, "b": {c.b}, "c": {c.c}}))
		if got.Outcome != c.want {
			t.Errorf("%+v: %v, but see %s", c, got.Outcome, iamLogicMulti)
		}
	}
}
