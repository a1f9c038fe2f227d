package messages_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"stillpoint/messages"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got, go test -update writes it):\n%s", path, diff)
	}
}

func indented(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

func TestEnvelopes(t *testing.T) {
	files, err := filepath.Glob("testdata/envelopes/*.json")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	allow := meta
	allow.AllowSources = []string{"com.example.deploy"}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d, err := messages.Decode(body, allow)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "envelopes/"+name+".golden", indented(t, d))
		})
	}
}

func TestTwoDeliveriesOfOneTickAreOneRequest(t *testing.T) {
	tick, err := os.ReadFile("testdata/envelopes/eventbridge_rule.json")
	if err != nil {
		t.Fatal(err)
	}
	again := bytes.Replace(tick, []byte("53dc4d37"), []byte("00000000"), 1)
	other := bytes.Replace(tick, []byte("03:00:00"), []byte("03:01:00"), 1)
	id := func(body []byte, messageID string) string {
		d, err := messages.Decode(body, messages.Meta{MessageID: messageID, SentAt: now, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return d.Request.RequestID
	}
	if id(tick, "a") != id(again, "b") {
		t.Error("two deliveries of a tick have two ids")
	}
	if id(tick, "a") == id(other, "a") {
		t.Error("two ticks have one id")
	}
}

func TestARejectionKeepsWhatWasReadable(t *testing.T) {
	for _, test := range []struct {
		body, id, plan string
		source         messages.Source
	}{
		{`{"requestId":"mine","plan":"nightly","dryRun":true,"tags":1}`, "mine", "nightly", messages.SourceSQS},
		{`{"tags":1,"requestId":"mine"}`, "mine", "", messages.SourceSQS},
		{`{"requestId":"not mine","plan":"nightly"}`, "sqs:" + meta.MessageID, "nightly", messages.SourceSQS},
		{`{"requestId":"mine"`, "sqs:" + meta.MessageID, "", messages.SourceSQS},
		{`{"Type":"Notification","TopicArn":"t","MessageId":"m1","Message":"{\"plan\":1}"}`, "sns:m1", "", messages.SourceSNS},
		{`{"source":"com.evil","detail-type":"x","id":"7","detail":{}}`, "eb:com.evil/7", "", messages.SourceEventBridge},
	} {
		d, err := messages.Decode([]byte(test.body), meta)
		checkInvalid(t, err)
		if d.Request.RequestID != test.id || d.Request.Plan != test.plan || d.Source != test.source || !d.RequestedAt.Equal(meta.SentAt) {
			t.Errorf("%s: %+v", test.body, d)
		}
	}
	if d, err := messages.Decode([]byte(`{}`), messages.Meta{}); err == nil {
		t.Errorf("a request without any id was accepted: %+v", d)
	}
}

func TestAllowSources(t *testing.T) {
	body := func(source, detail string) []byte {
		return []byte(`{"id":"1","detail-type":"x","source":"` + source + `","detail":` + detail + `}`)
	}
	m := meta
	m.AllowSources = []string{"com.example"}
	for _, test := range []struct {
		source, detail string
		ok             bool
	}{
		{"aws.events", `{}`, true},
		{"aws.scheduler", `""`, true},
		{"aws.events", `{"plan":"p"}`, true},
		{"com.example", `{"plan":"p"}`, true},
		{"com.example", `{}`, false},
		{"com.example", `"{ }"`, false},
		{"com.example.more", `{"plan":"p"}`, false},
		{"", `{"plan":"p"}`, false},
	} {
		_, err := messages.Decode(body(test.source, test.detail), m)
		if (err == nil) != test.ok {
			t.Errorf("%s with %s: %v", test.source, test.detail, err)
		}
	}
}

func TestClockSkew(t *testing.T) {
	for ahead, ok := range map[time.Duration]bool{-time.Hour: true, 5 * time.Minute: true, 5*time.Minute + time.Second: false} {
		r := messages.Request{ScheduledTime: now.Add(ahead)}
		if err := r.Validate(now); (err == nil) != ok {
			t.Errorf("%s ahead: %v", ahead, err)
		}
	}
}
