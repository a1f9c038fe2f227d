package sqs

import (
	"testing"
	"time"
)

func TestWrongMD5(t *testing.T) {
	s := newService(t)
	q := makeQueue(t, s, "q", nil)
	var sent sendOutput
	send := object{"QueueUrl": q, "MessageBody": "x"}
	if apiErr := do(t, s, BadMD5, "SendMessage", send, &sent); apiErr != nil || sent.MD5OfMessageBody == md5Text("x") || len(sent.MD5OfMessageBody) != 32 {
		t.Errorf("SendMessage: %v, %v", sent, apiErr)
	}
	var batch batchOutput[sendOutput]
	entries := object{"QueueUrl": q, "Entries": []object{{"Id": "a", "MessageBody": "x"}}}
	if apiErr := do(t, s, BadMD5, "SendMessageBatch", entries, &batch); apiErr != nil || len(batch.Successful) != 1 || batch.Successful[0].MD5OfMessageBody == md5Text("x") {
		t.Errorf("SendMessageBatch: %v, %v", batch, apiErr)
	}
	var got receiveOutput
	all := object{"QueueUrl": q, "MaxNumberOfMessages": 10}
	if apiErr := do(t, s, BadMD5, "ReceiveMessage", all, &got); apiErr != nil || len(got.Messages) != 2 || got.Messages[0].MD5OfBody == md5Text("x") {
		t.Errorf("ReceiveMessage: %v, %v", got, apiErr)
	}
	wantCode(t, do(t, s, BadMD5, "PurgeQueue", object{"QueueUrl": q}, nil), "InternalFailure")
}

func TestReceiveTwiceAndNothing(t *testing.T) {
	s := newService(t)
	q := makeQueue(t, s, "q", nil)
	must(t, s, "SendMessage", object{"QueueUrl": q, "MessageBody": "x"}, nil)
	var first receiveOutput
	if apiErr := do(t, s, Empty, "ReceiveMessage", object{"QueueUrl": q}, &first); apiErr != nil || len(first.Messages) != 0 {
		t.Errorf("told to be empty: %v, %v", first, apiErr)
	}
	if apiErr := do(t, s, Twice, "ReceiveMessage", object{"QueueUrl": q}, &first); apiErr != nil || len(first.Messages) != 1 {
		t.Fatalf("the first time: %v, %v", first, apiErr)
	}
	second := receive(t, s, q)
	if len(second) != 1 || second[0].MessageId != first.Messages[0].MessageId || second[0].ReceiptHandle == first.Messages[0].ReceiptHandle {
		t.Fatalf("the second time: %v, after %v", second, first)
	}
	// Each has a lease of its own, and deletes its own copy.
	must(t, s, "ChangeMessageVisibility", object{"QueueUrl": q, "ReceiptHandle": first.Messages[0].ReceiptHandle, "VisibilityTimeout": 0}, nil)
	must(t, s, "DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": second[0].ReceiptHandle}, nil)
	if again := receive(t, s, q); len(again) != 1 {
		t.Errorf("after one copy was deleted: %v", again)
	}
}

func TestDeletedMessageComesAgain(t *testing.T) {
	s := newService(t)
	q := makeQueue(t, s, "q", text{"VisibilityTimeout": "10"})
	must(t, s, "SendMessage", object{"QueueUrl": q, "MessageBody": "x"}, nil)
	got := receive(t, s, q)
	gone := object{"QueueUrl": q, "ReceiptHandle": got[0].ReceiptHandle}
	if apiErr := do(t, s, NotDeleted, "DeleteMessage", gone, nil); apiErr != nil {
		t.Fatal(apiErr)
	}
	if again := receive(t, s, q); len(again) != 0 {
		t.Errorf("before its timeout: %v", again)
	}
	s.Clock.Move(11 * time.Second)
	again := receive(t, s, q)
	if len(again) != 1 || again[0].Attributes["ApproximateReceiveCount"] != "2" {
		t.Fatalf("after its timeout: %v", again)
	}
	must(t, s, "DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": again[0].ReceiptHandle}, nil)
	if rest := receive(t, s, q); len(rest) != 0 {
		t.Fatalf("after it was deleted: %v", rest)
	}
	if err := s.Duplicate("q", got[0].MessageId); err != nil {
		t.Fatal(err)
	}
	if last := receive(t, s, q); len(last) != 1 || last[0].MessageId != got[0].MessageId || last[0].Attributes["ApproximateReceiveCount"] != "3" {
		t.Errorf("told to deliver it once more: %v", last)
	}
	if s.Duplicate("q", "no such message") == nil || s.Duplicate("none", got[0].MessageId) == nil {
		t.Error("what is not there was delivered once more")
	}
	var out batchOutput[batchID]
	entries := object{"QueueUrl": q, "Entries": []object{{"Id": "a", "ReceiptHandle": "h"}, {"Id": "b", "ReceiptHandle": "h"}}}
	if apiErr := do(t, s, NotDeleted, "DeleteMessageBatch", entries, &out); apiErr != nil || len(out.Successful) != 2 || out.Successful[1].Id != "b" {
		t.Errorf("a batch: %v, %v", out, apiErr)
	}
}
