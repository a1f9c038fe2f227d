package messages_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stillpoint/messages"
	"stillpoint/messages/messagestest"
)

// derived says that a sender could not have chosen this id.
func derived(id string) bool {
	return strings.HasPrefix(id, "eb:") || strings.HasPrefix(id, "sns:") || strings.HasPrefix(id, "sqs:")
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/envelopes/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, m := range messagestest.Hostile() {
		if len(m.Body) < 1000 {
			f.Add([]byte(m.Body))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m := meta
		m.AllowSources = []string{"com.example.deploy"}
		d, err := messages.Decode(body, m)
		if d.Source == "" || d.RequestedAt.IsZero() || d.Request.RequestID == "" || d.RequestedAt.After(now.Add(messages.MaxClockSkew)) {
			t.Errorf("the delivery is not complete: %+v", d)
		}
		if err != nil {
			checkInvalid(t, err)
			return
		}
		r := d.Request
		if len(r.RequestID) > messages.MaxRequestID || r.Action != messages.ActionSnapshot {
			t.Errorf("accepted: %+v", r)
		}
		if derived(r.RequestID) {
			r.RequestID = ""
		}
		if err := r.Validate(now); err != nil {
			t.Errorf("accepted, but not valid: %v", err)
		}
		again := roundTrip(t, r)
		if r.RequestID == "" {
			again.RequestID = ""
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Errorf("%s", diff)
		}
	})
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func roundTrip(t fataler, r messages.Request) messages.Request {
	t.Helper()
	b, err := messages.Encode(r)
	if err != nil {
		t.Fatalf("cannot encode %+v: %v", r, err)
	}
	d, err := messages.Decode(b, meta)
	if err != nil {
		t.Fatalf("%s is rejected: %v", b, err)
	}
	if b2, err := messages.Encode(r); err != nil || string(b2) != string(b) {
		t.Fatalf("not the same bytes again: %s, %v", b2, err)
	}
	return d.Request
}

func TestRoundTrip(t *testing.T) {
	requests := rapid.Custom(func(t *rapid.T) messages.Request {
		r := messages.Request{
			SchemaVersion: messages.SchemaVersion,
			Action:        messages.ActionSnapshot,
			RequestID:     rapid.StringMatching(`[A-Za-z0-9._/+=@-][A-Za-z0-9._:/+=@-]{0,200}`).Filter(func(s string) bool { return !derived(s) }).Draw(t, "id"),
			Plan:          rapid.StringMatching(`([A-Za-z0-9][A-Za-z0-9._-]{0,63})?`).Draw(t, "plan"),
			InstanceID:    rapid.SampledFrom([]string{"", "i-01234567", "i-0123456789abcdef0"}).Draw(t, "instance"),
			MaxAge:        messages.Duration(rapid.Int64Range(0, int64(24*365*time.Hour)).Draw(t, "maxAge")),
			Description:   rapid.StringMatching(`[\pL\pN\pP\pS ]{0,255}`).Filter(func(s string) bool { return messages.CheckDescription(s) == nil }).Draw(t, "description"),
			DryRun:        rapid.Bool().Draw(t, "dryRun"),
		}
		if rapid.Bool().Draw(t, "due") {
			r.ScheduledTime = time.Unix(rapid.Int64Range(0, now.Unix()).Draw(t, "sec"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).UTC()
		}
		tags := rapid.MapOfN(rapid.StringMatching(`[\pL\pN _.:/=+@-]{1,40}`).Filter(func(s string) bool { return messages.CheckTagKey(s) == nil }),
			rapid.StringMatching(`[\pL\pN _.:/=+@-]{0,40}`), 0, 5).Draw(t, "tags")
		if len(tags) > 0 {
			r.Tags = tags
		}
		return r
	})
	rapid.Check(t, func(t *rapid.T) {
		r := requests.Draw(t, "request")
		if err := r.Validate(now); err != nil {
			t.Fatalf("not valid: %v", err)
		}
		if diff := cmp.Diff(r, roundTrip(t, r)); diff != "" {
			t.Fatalf("%s", diff)
		}
	})
}

func TestValidateHasTheDecodersRules(t *testing.T) {
	for name, r := range map[string]messages.Request{
		"schemaVersion": {SchemaVersion: "2"},
		"action":        {Action: "restore"},
		"requestId":     {RequestID: "sqs:1"},
		"plan":          {Plan: "a b"},
		"instanceId":    {InstanceID: "db1"},
		"scheduledTime": {ScheduledTime: now.Add(time.Hour)},
		"maxAge":        {MaxAge: -1},
		"description":   {Description: "a\nb"},
		"tags":          {Tags: map[string]string{"aws:x": "1"}},
	} {
		err := r.Validate(now)
		checkInvalid(t, err)
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (messages.Request{}).Validate(time.Time{}); err != nil {
		t.Error(err)
	}
	if _, err := messages.Encode(messages.Request{Description: "\xff"}); err == nil {
		t.Error("invalid UTF-8 was encoded")
	}
}
