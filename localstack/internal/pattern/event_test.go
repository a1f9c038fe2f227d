package pattern_test

import (
	"testing"

	"stillpoint/localstack/internal/pattern"
)

const (
	ebPatterns  = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html"
	ebSyntax    = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern.html"
	ebNull      = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns-null-values.html"
	ebArrays    = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns-arrays.html"
	ebOperators = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html"
	ruler       = "https://github.com/aws/event-ruler"
)

// eventCases are rules of the documents: the address, a pattern, the events it
// matches and those it does not.
var eventCases = []struct {
	name, source, pattern string
	yes, no               []string
}{
	{"fields that are not named do not matter", ebPatterns,
		`{"source":["aws.ec2"],"detail-type":["EC2 Instance State-change Notification"],"detail":{"state":["terminated"]}}`,
		[]string{`{"version":"0","source":"aws.ec2","detail-type":"EC2 Instance State-change Notification","detail":{"instance-id":"i-1","state":"terminated"}}`},
		[]string{
			`{"source":"aws.ec2","detail-type":"EC2 Instance State-change Notification","detail":{"state":"running"}}`,
			`{"source":"aws.ec2","detail-type":"EC2 Instance State-change Notification","state":"terminated"}`,
			`{"source":"aws.ec2","detail-type":"EC2 Instance State-change Notification","detail":"terminated"}`,
		}},
	{"several values are alternatives", ebSyntax, `{"source":["aws.ec2","aws.fargate"]}`,
		[]string{`{"source":"aws.ec2"}`, `{"source":"aws.fargate"}`}, []string{`{"source":"aws.ecs"}`, `{}`}},
	{"strings match character by character", ebSyntax, `{"a":["Alice"]}`,
		[]string{`{"a":"Alice"}`, `{"a":"\u0041lice"}`}, []string{`{"a":"alice"}`, `{"a":" Alice"}`, `{"a":["x"]}`}},
	{"numbers match by their text", ebSyntax, `{"a":[300]}`,
		[]string{`{"a":300}`}, []string{`{"a":300.0}`, `{"a":3.0e2}`, `{"a":"300"}`}},
	{"a number too great for comparisons is a text, too", ebSyntax, `{"account":[123456789012]}`,
		[]string{`{"account":123456789012}`}, []string{`{"account":123456789013}`}},
	{"booleans", ebSyntax, `{"a":[true],"b":[false]}`,
		[]string{`{"a":true,"b":false}`}, []string{`{"a":"true","b":false}`, `{"a":false,"b":false}`}},
	{"null", ebNull, `{"detail":{"responseElements":[null]}}`,
		[]string{`{"detail":{"responseElements":null}}`},
		[]string{`{"detail":{"responseElements":""}}`, `{"detail":{}}`, `{"detail":{"responseElements":"null"}}`}},
	{"empty string", ebNull, `{"detail":{"eventVersion":[""]}}`,
		[]string{`{"detail":{"eventVersion":""}}`}, []string{`{"detail":{"eventVersion":null}}`, `{"detail":{}}`}},
	{"arrays intersect", ebArrays, `{"resources":["arn:a","arn:b"]}`,
		[]string{`{"resources":["arn:x","arn:b"]}`, `{"resources":[["arn:a"]]}`},
		[]string{`{"resources":["arn:x"]}`, `{"resources":[]}`}},
	{"fields below an array come from one element", ruler,
		`{"employees":{"firstName":["Anna"],"lastName":["Smith"]}}`,
		[]string{
			`{"employees":[{"firstName":"John","lastName":"Doe"},{"firstName":"Anna","lastName":"Smith"}]}`,
			`{"employees":[[{"firstName":"Anna","lastName":"Smith"}]]}`,
		},
		[]string{`{"employees":[{"firstName":"Anna","lastName":"Doe"},{"firstName":"John","lastName":"Smith"}]}`}},
	{"also those of a $or", ruler,
		`{"e":{"first":["Anna"]},"$or":[{"e":{"last":["Smith"]}},{"e":{"last":["Jones"]}}]}`,
		[]string{`{"e":[{"first":"John","last":"Doe"},{"first":"Anna","last":"Jones"}]}`},
		[]string{`{"e":[{"first":"John","last":"Jones"},{"first":"Anna","last":"Doe"}]}`}},

	{"prefix", ebOperators, `{"time":[{"prefix":"2017-10-02"}]}`,
		[]string{`{"time":"2017-10-02T18:43:48Z"}`, `{"time":"2017-10-02"}`},
		[]string{`{"time":"2017-10-03"}`, `{"time":"x2017-10-02"}`, `{"time":2017}`, `{}`}},
	{"an empty prefix takes every string", ebOperators, `{"source":[{"prefix":""}]}`,
		[]string{`{"source":"aws.ec2"}`, `{"source":""}`}, []string{`{"source":1}`, `{"source":null}`}},
	{"prefix without case", ebOperators, `{"service":[{"prefix":{"equals-ignore-case":"EventB"}}]}`,
		[]string{`{"service":"EVENTBRIDGE"}`, `{"service":"eventb"}`}, []string{`{"service":"event"}`, `{"service":"xeventb"}`}},
	{"suffix", ebOperators, `{"FileName":[{"suffix":".png"}]}`,
		[]string{`{"FileName":"a.png"}`, `{"FileName":".png"}`}, []string{`{"FileName":"a.PNG"}`, `{"FileName":"a.png2"}`}},
	{"suffix without case", ebOperators, `{"FileName":[{"suffix":{"equals-ignore-case":".png"}}]}`,
		[]string{`{"FileName":"a.PNG"}`}, []string{`{"FileName":"a.PNG2"}`, `{"FileName":"png"}`}},
	{"equals-ignore-case", ebOperators, `{"a":[{"equals-ignore-case":"alice"}]}`,
		[]string{`{"a":"ALICE"}`, `{"a":"alice"}`}, []string{`{"a":"alic"}`, `{"a":"alice "}`}},
	{"wildcard", ebOperators, `{"path":[{"wildcard":"dir/*.png"}]}`,
		[]string{`{"path":"dir/a.png"}`, `{"path":"dir/.png"}`, `{"path":"dir/b/c.png.png"}`},
		[]string{`{"path":"dir/a.jpg"}`, `{"path":"xdir/a.png"}`, `{"path":"dir/a.png2"}`}},
	{"several wildcards", ebOperators, `{"path":[{"wildcard":"*a*b*"}]}`,
		[]string{`{"path":"ab"}`, `{"path":"xaxbx"}`}, []string{`{"path":"ba"}`, `{"path":"a"}`}},
	{"parts of a wildcard do not overlap", ebOperators, `{"path":[{"wildcard":"ab*ba"}]}`,
		[]string{`{"path":"abba"}`, `{"path":"abxba"}`}, []string{`{"path":"aba"}`}},
	{"escaped wildcard", ebOperators, `{"a":[{"wildcard":"5\\*3\\\\*"}]}`,
		[]string{`{"a":"5*3\\"}`, `{"a":"5*3\\x"}`}, []string{`{"a":"5x3\\"}`, `{"a":"5*3"}`}},

	{"anything-but a string", ebOperators, `{"state":[{"anything-but":"initializing"}]}`,
		[]string{`{"state":"running"}`, `{"state":1}`, `{"state":["initializing","running"]}`},
		[]string{`{"state":"initializing"}`, `{}`, `{"state":[]}`}},
	{"anything-but a number", ebOperators, `{"x-limit":[{"anything-but":123}]}`,
		[]string{`{"x-limit":124}`, `{"x-limit":"123"}`}, []string{`{"x-limit":123}`, `{"x-limit":123.0}`}},
	{"anything-but strings", ebOperators, `{"state":[{"anything-but":["stopped","overloaded"]}]}`,
		[]string{`{"state":"running"}`}, []string{`{"state":"stopped"}`, `{"state":"overloaded"}`}},
	{"anything-but numbers", ebOperators, `{"x-limit":[{"anything-but":[100,200,300]}]}`,
		[]string{`{"x-limit":301}`, `{"x-limit":1e300}`}, []string{`{"x-limit":200}`}},
	{"anything-but prefix", ebOperators, `{"state":[{"anything-but":{"prefix":"init"}}]}`,
		[]string{`{"state":"running"}`}, []string{`{"state":"initializing"}`, `{}`}},
	{"anything-but prefixes", ebOperators, `{"state":[{"anything-but":{"prefix":["init","error"]}}]}`,
		[]string{`{"state":"running"}`}, []string{`{"state":"initializing"}`, `{"state":"errors"}`}},
	{"anything-but suffix", ebOperators, `{"FileName":[{"anything-but":{"suffix":".txt"}}]}`,
		[]string{`{"FileName":"a.png"}`}, []string{`{"FileName":"a.txt"}`}},
	{"anything-but without case", ebOperators, `{"state":[{"anything-but":{"equals-ignore-case":["initializing","stopped"]}}]}`,
		[]string{`{"state":"running"}`}, []string{`{"state":"INITIALIZING"}`, `{"state":"Stopped"}`}},
	{"anything-but wildcard", ebOperators, `{"FilePath":[{"anything-but":{"wildcard":"*/lib/*"}}]}`,
		[]string{`{"FilePath":"/usr/bin/x"}`}, []string{`{"FilePath":"/usr/lib/x"}`}},

	{"numeric range", ebOperators, `{"detail":{"c-count":[{"numeric":[">",0,"<=",5]}]}}`,
		[]string{`{"detail":{"c-count":5}}`, `{"detail":{"c-count":1e-6}}`},
		[]string{`{"detail":{"c-count":0}}`, `{"detail":{"c-count":5.000001}}`, `{"detail":{"c-count":"5"}}`}},
	{"numeric equality is by value", ebOperators, `{"x-limit":[{"numeric":["=",3.018e2]}]}`,
		[]string{`{"x-limit":301.8}`, `{"x-limit":3018E-1}`, `{"x-limit":301.80}`}, []string{`{"x-limit":301.9}`, `{"x-limit":-301.8}`}},
	{"six digits after the point", ebOperators, `{"a":[{"numeric":["=",0.1]}]}`,
		[]string{`{"a":0.1000000}`, `{"a":0.1000009}`}, []string{`{"a":0.100001}`}},
	{"up to five thousand million", ebOperators, `{"a":[{"numeric":[">=",-5e9]}]}`,
		[]string{`{"a":5000000000}`, `{"a":-5.0e9}`}, []string{`{"a":5000000001}`, `{"a":1e400}`, `{"a":1e99999999999999999999}`}},
	{"less", ebOperators, `{"a":[{"numeric":["<",10]}]}`, []string{`{"a":9.99}`, `{"a":-1}`, `{"a":1e-99999999999999999999}`}, []string{`{"a":10}`}},

	{"cidr", ebOperators, `{"ip":[{"cidr":"10.0.0.0/24"}]}`,
		[]string{`{"ip":"10.0.0.0"}`, `{"ip":"10.0.0.255"}`},
		[]string{`{"ip":"10.0.1.0"}`, `{"ip":"10.0.0"}`, `{"ip":"::1"}`, `{"ip":10}`}},
	{"cidr of IPv6", ebOperators, `{"ip":[{"cidr":"2001:db8::/32"}]}`,
		[]string{`{"ip":"2001:DB8::1"}`}, []string{`{"ip":"2001:db9::1"}`}},

	{"exists", ebOperators, `{"detail":{"c-count":[{"exists":true}]}}`,
		[]string{`{"detail":{"c-count":5}}`, `{"detail":{"c-count":null}}`, `{"detail":{"c-count":""}}`},
		[]string{`{"detail":{}}`, `{}`, `{"detail":{"c-count":{"c1":100}}}`}},
	{"exists false", ebOperators, `{"detail":{"c-count":[{"exists":false}]}}`,
		[]string{`{"detail":{"state":"x"}}`, `{"detail":{"c-count":{"c1":100}}}`, `{}`, `{"detail":"x"}`},
		[]string{`{"detail":{"c-count":5}}`, `{"detail":{"c-count":null}}`}},
	{"exists false looks at every element", ruler, `{"d":{"a":[{"exists":false}]}}`,
		[]string{`{"d":[{"b":1},{"c":2}]}`}, []string{`{"d":[{"b":1},{"a":2}]}`}},
	{"the same name at two levels", ebOperators, `{"c":[{"exists":false}],"a":{"c":[{"exists":false}]}}`,
		[]string{`{"a":{"b":1}}`}, []string{`{"a":{"c":1}}`, `{"c":1,"a":{}}`}},
	{"exists false beside a value", ebOperators, `{"a":[{"exists":false},"x"]}`,
		[]string{`{}`, `{"a":"x"}`}, []string{`{"a":"y"}`}},

	{"$or", ebOperators,
		`{"source":["aws.cloudwatch"],"$or":[{"metricName":["CPUUtilization","ReadLatency"]},{"metricType":["M"],"namespace":["AWS/EC2"]},{"scope":["Service"]}]}`,
		[]string{
			`{"source":"aws.cloudwatch","metricName":"ReadLatency"}`,
			`{"source":"aws.cloudwatch","metricType":"M","namespace":"AWS/EC2"}`,
			`{"source":"aws.cloudwatch","scope":"Service"}`,
		},
		[]string{
			`{"source":"aws.cloudwatch","metricType":"M"}`, `{"source":"aws.cloudwatch"}`,
			`{"source":"aws.ec2","scope":"Service"}`,
		}},
	{"$or in $or and below", ruler,
		`{"$or":[{"a":[1]},{"b":[1],"$or":[{"c":[1]},{"d":[1]}]}],"detail":{"$or":[{"x":[1]},{"y":[1]}]}}`,
		[]string{`{"a":1,"detail":{"x":1}}`, `{"b":1,"d":1,"detail":{"y":1}}`},
		[]string{`{"b":1,"detail":{"x":1}}`, `{"a":1,"detail":{"z":1}}`, `{"b":1,"d":1}`}},
	{"$or is a field where it is no list of objects", ruler, `{"$or":{"metricType":["M"]}}`,
		[]string{`{"$or":{"metricType":"M"}}`}, []string{`{"metricType":"M"}`}},
	{"all of several operators", ebOperators,
		`{"time":[{"prefix":"2017-10-02"}],"detail":{"state":[{"anything-but":"initializing"}],"c-count":[{"numeric":[">",0,"<=",5]}],"d-count":[{"numeric":["<",10]}],"x-limit":[{"anything-but":[100,200,300]}]}}`,
		[]string{`{"time":"2017-10-02T1","detail":{"state":"running","c-count":1,"d-count":9,"x-limit":150}}`},
		[]string{`{"time":"2017-10-02T1","detail":{"state":"running","c-count":1,"d-count":9,"x-limit":100}}`}},
}

func TestMatchEvent(t *testing.T) {
	for _, c := range eventCases {
		t.Run(c.name, func(t *testing.T) {
			p, err := pattern.ParseEvent([]byte(c.pattern))
			if err != nil {
				t.Fatal(err)
			}
			for i, event := range append(c.yes, c.no...) {
				got, err := p.MatchEvent([]byte(event))
				if err != nil {
					t.Fatal(event, err)
				}
				if want := i < len(c.yes); got != want {
					t.Errorf("%s against %s: %v, but see %s", c.pattern, event, got, c.source)
				}
			}
		})
	}
}

func TestMatchEventRefusesWhatIsNoObject(t *testing.T) {
	p, err := pattern.ParseEvent([]byte(`{"a":[{"exists":false}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range []string{``, `[]`, `"a"`, `{"b":1`, `{"b":1,"b":2}`} {
		if ok, err := p.MatchEvent([]byte(doc)); err == nil || ok {
			t.Errorf("%s: %v, %v", doc, ok, err)
		}
	}
}
