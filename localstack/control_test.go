package localstack_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/go-json-experiment/json"

	"stillpoint/localstack"
)

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
		if method == "POST" && x.Body == "" {
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
		{"PUT", "faults", `[{"operation":"a:b","latencie":"5s"}]`, "latencie"},
		{"PUT", "faults", `[{"code":"X"}]`, "no operation"},
		{"PUT", "seed", `{"seed":-1}`, "seed"},
		{"POST", "clock", `{"forward":"-1h"}`, "does not go back"},
		{"POST", "clock", `{"forward":"soon"}`, "soon"},
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
