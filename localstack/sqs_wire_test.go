package localstack_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"stillpoint/localstack"
)

// What an error looks like on the wire: its name in the body, and in a header the code that SDKs show.
func TestQueueErrorsOnTheWire(t *testing.T) {
	c := start(t, localstack.Config{})
	for target, want := range map[string]struct {
		body, header string
		status       int
	}{
		"GetQueueUrl":    {`{"__type":"com.amazon.coral.service#MissingRequiredParameterException","message":"The request must contain the parameter QueueName."}`, "MissingParameter;Sender", 400},
		"ReceiveMessage": {`{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}`, "AWS.SimpleQueueService.NonExistentQueue;Sender", 400},
		"Frobnicate":     {`{"__type":"com.amazon.coral.service#UnknownOperationException","message":"localstack has no SQS operation \"Frobnicate\""}`, "UnknownOperationException;Sender", 400},
	} {
		t.Run(target, func(t *testing.T) {
			r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL(), bytes.NewReader([]byte(`{"QueueUrl":"http://x/111122223333/none"}`))))(t)
			r.Header.Set("X-Amz-Target", "AmazonSQS."+target)
			r.Header.Set("Content-Type", "application/x-amz-json-1.0")
			r.Close = true
			answer := must(http.DefaultClient.Do(r))(t)
			defer answer.Body.Close()
			body := must(io.ReadAll(answer.Body))(t)
			if string(body) != want.body || answer.Header.Get("x-amzn-query-error") != want.header || answer.StatusCode != want.status {
				t.Errorf("%d, %q, %s", answer.StatusCode, answer.Header.Get("x-amzn-query-error"), body)
			}
		})
	}
}

// The protocol of old clients is refused with an error that says so.
func TestQueryProtocolIsRefused(t *testing.T) {
	c := start(t, localstack.Config{})
	r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL()+"/111122223333/q", strings.NewReader("Action=SendMessage&MessageBody=x&Version=2012-11-05")))(t)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Close = true
	answer := must(http.DefaultClient.Do(r))(t)
	defer answer.Body.Close()
	body := string(must(io.ReadAll(answer.Body))(t))
	if answer.StatusCode != http.StatusBadRequest || !strings.Contains(body, "<Code>AWS.SimpleQueueService.UnsupportedOperation</Code>") || !strings.Contains(body, "JSON protocol only") {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
}
