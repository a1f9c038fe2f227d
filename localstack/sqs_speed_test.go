package localstack_test

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"stillpoint/localstack"
)

// Ten thousand messages go through a queue over HTTP, each once, and leave nothing behind in memory. How long it took is in the log
// of the test; nothing is asserted about it.
func TestTenThousandMessages(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: 10,000 messages are left out")
	}
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", map[string]string{"VisibilityTimeout": "600"})
	heapUse := func() uint64 {
		var m runtime.MemStats
		for range 3 {
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const n = 10_000
	t.Logf("10,000 messages, sent one by one, received and deleted in batches: %v", c.through(t, url, n, c.sendOneByOne))
	before := heapUse() // with a log of calls that is full
	t.Logf("10,000 messages, sent in batches, too: %v", c.through(t, url, n, c.sendInBatches))
	after := heapUse()
	t.Logf("heap: %d KiB before, %d KiB after another 10,000 messages", before>>10, after>>10)
	if after > before+4<<20 {
		t.Errorf("the heap grew from %d KiB to %d KiB", before>>10, after>>10)
	}
	for _, of := range []string{"", "NotVisible", "Delayed"} {
		if got := c.attribute(t, url, "ApproximateNumberOfMessages"+of); got != "0" {
			t.Errorf("ApproximateNumberOfMessages%s is %s", of, got)
		}
	}
}

// through has four consumers take n messages from the queue while send sends them, and tells how long it all took.
func (c *cloud) through(t *testing.T, url string, n int, send func(t *testing.T, url string, n int)) time.Duration {
	t.Helper()
	began := time.Now()
	var left, took atomic.Int64
	left.Store(int64(n))
	var seen sync.Map
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for left.Load() > 0 {
				// No poll is cut off: it would stay in the queue, and hide messages of the next round.
				got, err := c.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
				if err != nil {
					t.Error(err)
					return
				}
				var handles []types.DeleteMessageBatchRequestEntry
				for _, m := range got.Messages {
					if _, twice := seen.LoadOrStore(*m.MessageId, true); twice {
						t.Errorf("message %s came twice", *m.MessageId)
					}
					handles = append(handles, types.DeleteMessageBatchRequestEntry{Id: m.MessageId, ReceiptHandle: m.ReceiptHandle})
				}
				if len(handles) == 0 {
					continue
				}
				if _, err := c.sqs.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: handles}); err != nil {
					t.Error(err)
					return
				}
				if left.Add(-int64(len(handles))) == 0 {
					took.Store(int64(time.Since(began)))
				}
			}
		})
	}
	send(t, url, n)
	wg.Wait()
	if left.Load() != 0 {
		t.Fatalf("%d messages did not come", left.Load())
	}
	return time.Duration(took.Load())
}

func (c *cloud) sendOneByOne(t *testing.T, url string, n int) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range n / 4 {
				if _, err := c.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String(strconv.Itoa(i))}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func (c *cloud) sendInBatches(t *testing.T, url string, n int) {
	for range n / 10 {
		in := sqs.SendMessageBatchInput{QueueUrl: &url}
		for i := range 10 {
			in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String("x")})
		}
		if _, err := c.sqs.SendMessageBatch(t.Context(), &in); err != nil {
			t.Error(err)
			return
		}
	}
}

// BenchmarkMessage is a message that is sent, received and deleted over HTTP by the SDK, each alone, one after the other.
func BenchmarkMessage(b *testing.B) {
	s, err := localstack.Start(b.Context(), localstack.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	client := sqs.New(sqs.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(s.URL()),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		}),
	})
	made, err := client.CreateQueue(b.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q")})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := client.SendMessage(b.Context(), &sqs.SendMessageInput{QueueUrl: made.QueueUrl, MessageBody: aws.String("x")}); err != nil {
			b.Fatal(err)
		}
		got, err := client.ReceiveMessage(b.Context(), &sqs.ReceiveMessageInput{QueueUrl: made.QueueUrl})
		if err != nil || len(got.Messages) != 1 {
			b.Fatal(got, err)
		}
		if _, err := client.DeleteMessage(b.Context(), &sqs.DeleteMessageInput{QueueUrl: made.QueueUrl, ReceiptHandle: got.Messages[0].ReceiptHandle}); err != nil {
			b.Fatal(err)
		}
	}
}
