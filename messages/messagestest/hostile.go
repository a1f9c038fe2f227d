// Package messagestest is what tests of more than one package need of messages:
// a table of broken and hostile bodies that no worker may carry out.
package messagestest

import (
	"strings"
	"unicode/utf8"
)

// Message is the body of one message under a name for the test.
type Message struct {
	Name, Body string
}

// Sendable says whether SQS takes the body of a message at all: it refuses an
// empty one, invalid UTF-8 and what XML 1.0 cannot carry.
func (m Message) Sendable() bool {
	return m.Body != "" && utf8.ValidString(m.Body) && !strings.ContainsFunc(m.Body, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
	})
}

// Hostile are bodies that messages.Decode rejects with any Meta that allows no
// event sources beside AWS's own.
func Hostile() []Message {
	long := func(n int) string { return strings.Repeat("x", n) }
	tags := func(n int) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`"t` + strings.Repeat("i", i+1) + `":""`)
		}
		return b.String()
	}
	return []Message{
		// Not one JSON object.
		{"empty", ``},
		{"white space", " \n\t "},
		{"text", `please snapshot`},
		{"shell", `$(rm -rf /)`},
		{"null", `null`},
		{"number", `42`},
		{"string", `"{}"`},
		{"array", `[{"plan":"nightly"}]`},
		{"cut off", `{"plan":"nightly"`},
		{"cut off in a string", `{"plan":"night`},
		{"trailing comma", `{"plan":"nightly",}`},
		{"comment", `{"plan":"nightly"/* now */}`},
		{"single quotes", `{'plan':'nightly'}`},
		{"byte order mark", "\ufeff{}"},
		{"trailing data", `{"plan":"nightly"} x`},
		{"second object", `{"plan":"nightly"}{"plan":"nightly"}`},
		{"NUL after", "{}\x00"},
		{"invalid UTF-8 in a value", "{\"description\":\"\xff\xfe\"}"},
		{"invalid UTF-8 in a key", "{\"pl\xffan\":\"nightly\"}"},
		{"lone surrogate", `{"description":"\ud800"}`},
		{"deep", strings.Repeat(`{"plan":`, 5000) + `1` + strings.Repeat(`}`, 5000)},
		{"deep arrays", `{"tags":` + strings.Repeat(`[`, 20000) + strings.Repeat(`]`, 20000) + `}`},
		{"too long", `{"description":"` + long(70000) + `"}`},
		{"too long with spaces", `{}` + strings.Repeat(" ", 70000)},

		// Keys.
		{"duplicate key", `{"plan":"nightly","plan":"weekly"}`},
		{"duplicate key escaped", `{"plan":"nightly","pl\u0061n":"weekly"}`},
		{"duplicate tag", `{"tags":{"a":"1","a":"2"}}`},
		{"unknown key", `{"plan":"nightly","priority":1}`},
		{"unknown long key", `{"` + long(5000) + `":1}`},
		{"unknown key with controls", `{"\u001b[31m\u0000\u202e":1}`},
		{"wrong case", `{"Plan":"nightly"}`},
		{"snake case", `{"request_id":"a"}`},
		{"empty key", `{"":"nightly"}`},
		{"command", `{"plan":"nightly","command":"/bin/sh"}`},
		{"hook", `{"pre_freeze":["/bin/sh","-c","id"]}`},
		{"mount point", `{"freeze":["/"]}`},
		{"volumes", `{"volumes":["vol-0123456789abcdef0"]}`},
		{"host", `{"mysql":{"host":"evil.example"}}`},
		{"account", `{"topicArn":"arn:aws:sns:eu-west-1:999999999999:evil"}`},
		{"prototype", `{"__proto__":{"dryRun":false}}`},

		// Types and null.
		{"plan null", `{"plan":null}`},
		{"plan number", `{"plan":1}`},
		{"plan array", `{"plan":["nightly"]}`},
		{"dryRun string", `{"dryRun":"true"}`},
		{"dryRun number", `{"dryRun":1}`},
		{"dryRun null", `{"dryRun":null}`},
		{"tags array", `{"tags":["a=b"]}`},
		{"tags null", `{"tags":null}`},
		{"tag number", `{"tags":{"a":1}}`},
		{"tag null", `{"tags":{"a":null}}`},
		{"tag object", `{"tags":{"a":{"b":"c"}}}`},
		{"maxAge number", `{"maxAge":300}`},
		{"scheduledTime number", `{"scheduledTime":1767225600}`},
		{"schemaVersion number", `{"schemaVersion":1}`},

		// Values.
		{"schemaVersion of the future", `{"schemaVersion":"2"}`},
		{"action of the future", `{"action":"restore"}`},
		{"action in capitals", `{"action":"Snapshot"}`},
		{"plan empty", `{"plan":""}`},
		{"plan is a path", `{"plan":"../../etc/passwd"}`},
		{"plan with a newline", `{"plan":"nightly\nOK"}`},
		{"plan with a trailing newline", `{"plan":"nightly\n"}`},
		{"plan too long", `{"plan":"` + long(65) + `"}`},
		{"requestId empty", `{"requestId":""}`},
		{"requestId with a space", `{"requestId":"a b"}`},
		{"requestId with a newline", `{"requestId":"a\nb"}`},
		{"requestId not ASCII", `{"requestId":"nächtlich"}`},
		{"requestId too long", `{"requestId":"` + long(257) + `"}`},
		{"requestId reserved for sqs", `{"requestId":"sqs:0001"}`},
		{"requestId reserved for sns", `{"requestId":"sns:0001"}`},
		{"requestId reserved for eb", `{"requestId":"eb:aws.events/1"}`},
		{"unreplaced placeholder", `{"requestId":"<aws.scheduler.schedule-arn>"}`},
		{"instanceId of nothing", `{"instanceId":"i-"}`},
		{"instanceId in capitals", `{"instanceId":"i-0123456789ABCDEF0"}`},
		{"instanceId of another kind", `{"instanceId":"vol-0123456789abcdef0"}`},
		{"scheduledTime far ahead", `{"scheduledTime":"9999-12-31T23:59:59Z"}`},
		{"scheduledTime before time", `{"scheduledTime":"0001-01-01T00:00:00Z"}`},
		{"scheduledTime without offset", `{"scheduledTime":"2026-01-31T03:00:00"}`},
		{"scheduledTime without such a day", `{"scheduledTime":"2026-02-30T03:00:00Z"}`},
		{"scheduledTime a date", `{"scheduledTime":"2026-01-31"}`},
		{"maxAge without unit", `{"maxAge":"300"}`},
		{"maxAge negative", `{"maxAge":"-1h"}`},
		{"maxAge zero", `{"maxAge":"0s"}`},
		{"maxAge beyond numbers", `{"maxAge":"99999999999999999999h"}`},
		{"maxAge in days", `{"maxAge":"1d"}`},
		{"description with a newline", `{"description":"a\nb"}`},
		{"description with escape codes", `{"description":"\u001b[2J"}`},
		{"description from right to left", `{"description":"\u202egnp.exe"}`},
		{"description too long", `{"description":"` + long(256) + `"}`},
		{"tag of AWS", `{"tags":{"aws:backup":"x"}}`},
		{"tag of AWS in capitals", `{"tags":{"AWS:backup":"x"}}`},
		{"tag of Stillpoint", `{"tags":{"stillpoint:status":"succeeded"}}`},
		{"tag key empty", `{"tags":{"":"x"}}`},
		{"tag key too long", `{"tags":{"` + long(129) + `":"x"}}`},
		{"tag value too long", `{"tags":{"a":"` + long(257) + `"}}`},
		{"tag key outside the alphabet", `{"tags":{"a;b":"x"}}`},
		{"tag value outside the alphabet", `{"tags":{"a":"$(id)"}}`},
		{"tag value with a newline", `{"tags":{"a":"x\ny"}}`},
		{"too many tags", `{"tags":{` + tags(31) + `}}`},

		// Envelopes.
		{"SNS without Message", `{"Type":"Notification","TopicArn":"arn:aws:sns:eu-west-1:111122223333:t"}`},
		{"SNS Message an object", `{"Type":"Notification","TopicArn":"arn:aws:sns:eu-west-1:111122223333:t","Message":{}}`},
		{"SNS Message text", sns(`hello`)},
		{"SNS without TopicArn", `{"Type":"Notification","Message":"{}"}`},
		{"SNS confirmation", `{"Type":"SubscriptionConfirmation","TopicArn":"arn:aws:sns:eu-west-1:111122223333:t","Message":"{}","SubscribeURL":"http://169.254.169.254/"}`},
		{"SNS MessageId with a newline", `{"Type":"Notification","TopicArn":"t","MessageId":"a\nb","Message":"{}"}`},
		{"SNS Timestamp far ahead", `{"Type":"Notification","TopicArn":"t","Timestamp":"9999-12-31T23:59:59Z","Message":"{}"}`},
		{"SNS with a bad request", sns(`{"plan":1}`)},
		{"four envelopes", sns(sns(sns(sns(`{}`))))},
		{"event of a foreign source", `{"version":"0","id":"1","source":"com.evil","detail-type":"x","detail":{"plan":"nightly"}}`},
		{"event of a foreign source without detail", `{"version":"0","id":"1","source":"com.evil","detail-type":"x","detail":{}}`},
		{"event of a source in capitals", `{"version":"0","id":"1","source":"AWS.Events","detail-type":"x","detail":{}}`},
		{"event without source", `{"id":"1","detail-type":"Scheduled Event","detail":{}}`},
		{"event without detail", `{"id":"1","detail-type":"Scheduled Event","source":"aws.events"}`},
		{"event without type", `{"id":"1","source":"aws.events","detail":{}}`},
		{"event with detail null", `{"id":"1","detail-type":"Scheduled Event","source":"aws.events","detail":null}`},
		{"event with detail text", `{"id":"1","detail-type":"Scheduled Event","source":"aws.events","detail":"nightly"}`},
		{"event with a foreign detail", `{"id":"1","detail-type":"EC2 Instance State-change Notification","source":"aws.ec2","detail":{"instance-id":"i-0123456789abcdef0","state":"stopped"}}`},
		{"event with resources text", `{"id":"1","detail-type":"Scheduled Event","source":"aws.events","resources":"arn","detail":{}}`},
		{"event with hostile resource", `{"id":"1","detail-type":"Scheduled Event","source":"aws.events","time":"2026-01-01T00:00:00Z","resources":["a b\u0000"],"detail":{}}`},
		{"event with time text", `{"id":"1","detail-type":"Scheduled Event","source":"aws.events","time":"midnight","detail":{}}`},
		{"event in an event", `{"id":"1","detail-type":"x","source":"aws.events","detail":{"id":"2","detail-type":"x","source":"aws.events","detail":{}}}`},
		{"S3 test event", `{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}`},
		{"lifecycle hook", `{"LifecycleHookName":"h","AutoScalingGroupName":"g","EC2InstanceId":"i-0123456789abcdef0"}`},
	}
}

// RefusedByWorker are requests that Decode accepts and the worker rejects, in
// the setting that each name tells: the plan is not there, the tag is not
// permitted, the instance is another one's.
func RefusedByWorker() []Message {
	return []Message{
		{"unknown_plan", `{"requestId":"refused-1","plan":"no-such-plan"}`},
		{"not_permitted", `{"requestId":"refused-2","tags":{"NotInRequestTags":"x"}}`},
		{"misrouted", `{"requestId":"refused-3","instanceId":"i-0fffffffffffffff0"}`},
		{"unknown_plan", sns(`{"requestId":"refused-4","plan":"nightly2"}`)},
	}
}

// sns wraps a text in an SNS notification.
func sns(message string) string {
	return `{"Type":"Notification","MessageId":"22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324","TopicArn":"arn:aws:sns:eu-west-1:111122223333:requests",` +
		`"Message":` + quote(message) + `,"Timestamp":"2026-01-31T03:00:01.123Z","SignatureVersion":"1","Signature":"none"}`
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
