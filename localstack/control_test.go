package localstack_test

import (
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/go-json-experiment/json"

	"stillpoint/localstack"
)

// A message that was deleted comes back, as it may on AWS.
func TestDeliverAgain(t *testing.T) {
	c := start(t, localstack.Config{})
	q := c.queue(t, "q", nil)
	id := c.send(t, q, "once")
	got := must(c.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &q}))(t).Messages
	must(c.sqs.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &q, ReceiptHandle: got[0].ReceiptHandle}))(t)
	if status, body := c.request(t, "POST", "/_localstack/deliver-again", `{"queue":"q","messageId":"`+id+`"}`, nil); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	again := must(c.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &q}))(t).Messages
	if len(again) != 1 || *again[0].MessageId != id {
		t.Errorf("received %v", again)
	}
	if status, _ := c.request(t, "POST", "/_localstack/deliver-again", `{"queue":"p","messageId":"`+id+`"}`, nil); status != 400 {
		t.Errorf("a queue that is not there: %d", status)
	}
}

// Every endpoint that the list shows is there, and takes its own example.
func TestControlsAreAsListed(t *testing.T) {
	c := start(t, localstack.Config{})
	status, body := c.request(t, "GET", "/_localstack/", "", nil)
	var list []struct{ Request, Says, Body string }
	if err := json.Unmarshal([]byte(body), &list, json.MatchCaseInsensitiveNames(true)); err != nil || status != 200 || len(list) < 8 {
		t.Fatalf("the list is %d %s (%v)", status, body, err)
	}
	for _, x := range list {
		method, url, _ := strings.Cut(x.Request, " ")
		path, ok := strings.CutPrefix(url, c.URL())
		if !ok || x.Says == "" {
			t.Errorf("the list has %+v", x)
		}
		if strings.HasSuffix(path, "fail-snapshot") || strings.HasSuffix(path, "deliver-again") {
			continue // it is about something that there is not
		}
		if status, body := c.request(t, method, path, x.Body, nil); status != 200 {
			t.Errorf("%s with %s: %d %s", x.Request, x.Body, status, body)
		}
	}
}

func TestControlsSayWhatIsWrong(t *testing.T) {
	c := start(t, localstack.Config{})
	for _, x := range []struct{ method, path, body, want string }{
		{"PUT", "faults", `[{"operation":"a:b","latency":5}]`, "text with a unit"},
		{"PUT", "faults", `[{"operation":"a:b","latency":"5 minutes"}]`, "write it as 500ms"},
		{"PUT", "faults", `[{"operation":"a:b","latencie":"5s"}]`, "latencie"},
		{"PUT", "faults", `[{"code":"X"}]`, "no operation"},
		{"PUT", "seed", `{"seed":-1}`, "seed"},
		{"POST", "clock", `{"forward":"-1h"}`, "does not go back"},
		{"POST", "clock", `{"forward":"soon"}`, "soon"},
		{"PUT", "faults", `[{"operation":"ec2:CreateSnapshotz","drop":true}]`, "ec2:CreateSnapshots"},
		{"PUT", "faults", `[{"operation":"EC2:CreateSnapshots","drop":true}]`, "it is written ec2:CreateSnapshots"},
		{"PUT", "faults", `[{"operation":"s3:*","drop":true}]`, "the services are"},
		{"PUT", "faults", `[{"operation":"ec2:CreateSnapshots"}]`, "does nothing"},
		{"PUT", "faults", `{"operation":"ec2:CreateSnapshots"}`, "a list of objects with operation, principal"},
		{"PUT", "faults", `[{"operation":"ec2:CreateSnapshots","cod":"x"}]`, "it takes a list of objects with operation"},
		{"PUT", "faults", "", "the body is empty"},
		{"PUT", "seed", "{", "no JSON"},
		{"GET", "calls?op=x", "", `there is no parameter "op"`},
		{"GET", "calls?operation=ec2:Nothing", "", "ec2:CreateSnapshots"},
		{"PUT", "ec2", `{"failNext":-1}`, "below zero"},
		{"PUT", "ec2", `{"failnext":1}`, "failnext"},
		{"POST", "fail-snapshot", `{}`, "snap-"},
		{"POST", "fail-snapshot", `{"id":"snap-00000000000000000"}`, "there is none"},
		{"PUT", "imds", `{"role":"a/b"}`, "role"},
		{"PUT", "faults", `[{"operation":"ec2:CreateSnapshots","wrong":"right"}]`, "missing, foreign"},
		{"GET", "nothing", "", "lists what there is"},
	} {
		if status, body := c.request(t, x.method, "/_localstack/"+x.path, x.body, nil); status < 400 || !strings.Contains(body, x.want) {
			t.Errorf("%s %s %s: %d %s, want a complaint with %q", x.method, x.path, x.body, status, body, x.want)
		}
	}
}

func TestClockMovesByControl(t *testing.T) {
	c := start(t, localstack.Config{})
	q := c.queue(t, "q", nil)
	before := c.Now()
	must(c.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &q, MessageBody: aws.String("later"), DelaySeconds: 600}))(t)
	if status, body := c.request(t, "POST", "/_localstack/clock", `{"forward":"10m"}`, nil); status != 200 || !strings.Contains(body, `"ahead": "10m`) {
		t.Fatalf("%d %s", status, body)
	}
	if d := c.Now().Sub(before); d < 10*time.Minute || d > 11*time.Minute {
		t.Errorf("the clock went %s", d)
	}
	if got := must(c.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &q}))(t).Messages; len(got) != 1 {
		t.Errorf("got %d messages after the delay", len(got))
	}
	// Clients tell by the Date of an answer how far their clock is off.
	out := must(c.sqs.ListQueues(t.Context(), &sqs.ListQueuesInput{}))(t)
	raw, _ := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response)
	if date, err := http.ParseTime(raw.Header.Get("Date")); err != nil || date.Sub(before) < 9*time.Minute {
		t.Errorf("the answer is of %s (%v), ten minutes after %s", date, err, before)
	}
}

func TestLogShowsWhatIsNoUTF8(t *testing.T) {
	c := start(t, localstack.Config{})
	if status, _ := c.request(t, "POST", "/?Action=DescribeVolumes&Version=2016-11-15&X=%ff", "", nil); status != 200 {
		t.Fatalf("status %d", status)
	}
	if status, body := c.request(t, "GET", "/_localstack/calls", "", nil); status != 200 || !strings.Contains(body, `"X": "`) || !strings.HasSuffix(strings.TrimSpace(body), "]") {
		t.Errorf("%d %s", status, body)
	}
}

// What is not named stays, and what is in force is shown.
func TestMetadataSettingsByControl(t *testing.T) {
	c := start(t, localstack.Config{})
	instance, _ := c.launch(t, 0)
	for _, x := range []struct{ body, want string }{
		{`{"role":"db1"}`, `"role": "db1"`},
		{`{"tags":true}`, `"role": "db1"`},
		{`{"httpTokens":"optional"}`, `"tags": true`},
		{`{}`, `"instance": "` + instance + `"`},
	} {
		if status, body := c.request(t, "PUT", "/_localstack/imds", x.body, nil); status != 200 || !strings.Contains(body, x.want) {
			t.Errorf("%s: %d %s, want %s", x.body, status, body, x.want)
		}
	}
	if _, body := c.request(t, "GET", "/_localstack/imds", "", nil); !strings.Contains(body, `"httpTokens": "optional"`) {
		t.Errorf("in force: %s", body)
	}
}

func TestNotesOfAStart(t *testing.T) {
	needRoot(t)
	dir := reflinkDir(t)
	c := start(t, localstack.Config{Dir: dir, Keep: true})
	c.launch(t, 1)
	c.MoveClock(90 * time.Minute)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(t, localstack.Config{Dir: dir})
	if notes := strings.Join(again.Notes(), "\n"); !strings.Contains(notes, "1 instances, 2 volumes, 0 snapshots") || !strings.Contains(notes, "1h30m0s ahead") || !strings.Contains(notes, "are deleted at the end") || strings.Contains(notes, "cannot clone") {
		t.Errorf("the notes are\n%s", notes)
	}
	plain := start(t, localstack.Config{Dir: t.TempDir()})
	if can := strings.Contains(strings.Join(plain.Notes(), "\n"), "cannot clone files"); !can {
		t.Log("the temporary folder is on a file system that clones files")
	}
	for _, bad := range []localstack.Config{{Keep: true}, {Dir: dir + "/a/b"}} {
		if s, err := localstack.Start(t.Context(), bad); err == nil {
			_ = s.Close()
			t.Errorf("%+v was taken", bad)
		}
	}
}

// The page for users names every member of a fault and every wrong answer.
func TestThePageOfFaultsIsWhole(t *testing.T) {
	page := string(must(os.ReadFile("../docs/local-aws.md"))(t))
	fault := reflect.TypeFor[localstack.Fault]()
	for i := range fault.NumField() {
		if name, _, _ := strings.Cut(fault.Field(i).Tag.Get("json"), ","); !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/local-aws.md does not explain %q", name)
		}
	}
	c := start(t, localstack.Config{})
	_, body := c.request(t, "PUT", "/_localstack/faults", `[{"operation":"sns:Publish","wrong":"x"}]`, nil)
	_, list, _ := strings.Cut(body, "these have: ")
	if len(strings.Split(list, ", ")) < 5 {
		t.Fatalf("the operations with wrong answers are %q", body)
	}
	for _, operation := range strings.Split(strings.TrimSpace(list), ", ") {
		if !strings.Contains(page, "`"+operation+"`") && !strings.HasSuffix(operation, "Batch") {
			t.Errorf("docs/local-aws.md does not explain what %s can answer wrongly", operation)
		}
	}
	_, example, _ := strings.Cut(page, "# a slow Tuesday")
	_, example, _ = strings.Cut(example, "-d '")
	example, _, _ = strings.Cut(example, "'")
	if status, body := c.request(t, "PUT", "/_localstack/faults", example, nil); status != 200 {
		t.Errorf("its example: %d %s", status, body)
	}
}
