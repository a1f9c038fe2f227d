package sqs

import (
	"context"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/rs/zerolog"

	"stillpoint/localstack/internal/calls"
	"stillpoint/localstack/internal/clock"
	"stillpoint/localstack/internal/host"
	"stillpoint/localstack/internal/wire"
)

const (
	account = "111122223333"
	region  = "eu-west-1"
	server  = "http://127.0.0.1:4566"
)

var owner = wire.Caller{Principal: "arn:aws:iam::" + account + ":user/a", Account: account, Region: region}

func newService(t testing.TB) *Service {
	t.Helper()
	c := clock.New()
	s := New(host.Host{URL: server, Region: region, Account: account, Clock: c, Log: zerolog.Nop(), Life: t.Context()})
	t.Cleanup(func() { c.End(); s.Close() })
	return s
}

// do calls an operation as the owner of the account, and reads its answer into out, which may be nil.
func do(t testing.TB, s *Service, wrong, action string, in, out any) *wire.Error {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var log calls.Log
	reply, apiErr := s.Operation(action, body).Do(context.Background(), &wire.Call{Caller: owner, Record: log.Begin(calls.Call{}), Wrong: wrong})
	if apiErr == nil && out != nil {
		if err := json.Unmarshal(reply.Body, out); err != nil {
			t.Fatal(err)
		}
	}
	return apiErr
}

// must is do for a call that succeeds.
func must(t testing.TB, s *Service, action string, in, out any) {
	t.Helper()
	if apiErr := do(t, s, "", action, in, out); apiErr != nil {
		t.Fatalf("%s: %s: %s", action, apiErr.Code, apiErr.Message)
	}
}

type (
	object = map[string]any
	text   = map[string]string
)

func makeQueue(t testing.TB, s *Service, name string, attributes text) string {
	t.Helper()
	var out queueURLOutput
	must(t, s, "CreateQueue", object{"QueueName": name, "Attributes": attributes}, &out)
	return out.QueueUrl
}

func receive(t testing.TB, s *Service, queue string) []receivedMessage {
	t.Helper()
	var out receiveOutput
	must(t, s, "ReceiveMessage", object{"QueueUrl": queue, "MaxNumberOfMessages": 10, "AttributeNames": []string{"All"}}, &out)
	return out.Messages
}

func wantCode(t testing.TB, apiErr *wire.Error, code string) {
	t.Helper()
	if apiErr == nil || apiErr.Code != code {
		t.Fatalf("got the error %v, want one with the code %s", apiErr, code)
	}
}
