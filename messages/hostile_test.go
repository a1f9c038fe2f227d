package messages_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"stillpoint/messages"
	"stillpoint/messages/messagestest"
)

var (
	now  = time.Date(2026, 1, 31, 3, 5, 0, 0, time.UTC)
	meta = messages.Meta{
		MessageID: "059f36b4-87a3-44ab-83d2-661975830a7d",
		SentAt:    now.Add(-time.Minute),
		Now:       now,
	}
)

// What is no JSON must not be called the value that its first letter promises.
func TestTextThatIsNoJSONIsCalledThat(t *testing.T) {
	for body, want := range map[string]string{"nightly": "not text that is no JSON", "null": "not null", "[1]": "not an array"} {
		if _, err := messages.Decode([]byte(body), meta); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

func TestHostileMessagesAreRejectedWithASentence(t *testing.T) {
	list := messagestest.Hostile()
	if len(list) < 50 {
		t.Fatalf("there are only %d", len(list))
	}
	names := map[string]bool{}
	for _, m := range list {
		if names[m.Name] {
			t.Errorf("%s stands twice in the table", m.Name)
		}
		names[m.Name] = true
		t.Run(m.Name, func(t *testing.T) {
			for _, meta := range []messages.Meta{meta, {}} {
				d, err := messages.Decode([]byte(m.Body), meta)
				checkInvalid(t, err)
				if meta.MessageID != "" && d.Request.RequestID == "" || d.Source == "" || d.RequestedAt.IsZero() {
					t.Errorf("the rejection cannot name the request: %+v", d)
				}
			}
			_, err := messages.Decode([]byte(m.Body), meta)
			t.Log(err)
		})
	}
	for _, m := range messagestest.RefusedByWorker() {
		if _, err := messages.Decode([]byte(m.Body), meta); err != nil {
			t.Errorf("%s: only the worker can know: %v", m.Name, err)
		}
	}
}

// checkInvalid holds an error of Decode to what a person may be shown.
func checkInvalid(t *testing.T, err error) {
	t.Helper()
	var invalid *messages.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("not an InvalidError: %v", err)
	}
	s := invalid.Sentence
	switch {
	case invalid.Reason != messages.ReasonInvalidRequest:
		t.Errorf("reason is %q", invalid.Reason)
	case s == "", len(s) > messages.MaxSentence, !utf8.ValidString(s):
		t.Errorf("not a sentence of bounded, valid text: %q", s)
	case strings.ContainsFunc(s, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }):
		t.Errorf("the sentence has control characters: %q", s)
	case strings.Contains(s, strings.Repeat("x", 81)):
		t.Errorf("the sentence repeats too much: %q", s)
	}
}
