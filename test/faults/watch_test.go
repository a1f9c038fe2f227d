package faults

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stillpoint/internal/snapshot"
	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/scene"
)

// workerPrincipal is who the worker is to the local AWS; the harness calls as somebody else, whom no fault meets.
const workerPrincipal = "*:user/localstack"

// mailbox collects the results that SNS delivers.
type mailbox struct {
	mu  sync.Mutex
	got map[string][]*messages.Result // by request id, in the order of their arrival
}

func collect(ctx context.Context, s *scene.Scene) *mailbox {
	m := &mailbox{got: map[string][]*messages.Result{}}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			d, err := s.NextResult(ctx)
			if err != nil {
				continue // the end of ctx, or a call that broke off
			}
			m.mu.Lock()
			m.got[d.Result.RequestID] = append(m.got[d.Result.RequestID], d.Result)
			m.mu.Unlock()
		}
	}()
	s.Defer("the mailbox", func(context.Context) error { cancel(); <-done; return nil })
	return m
}

// distinct are the results of a request, each event once.
func (m *mailbox) distinct(requestID string) (out []*messages.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := map[string]bool{}
	for _, r := range m.got[requestID] {
		if !seen[r.EventID] {
			seen[r.EventID] = true
			out = append(out, r)
		}
	}
	return out
}

// ofWorker are the calls of the worker to one operation.
func (b *bench) ofWorker(operation string) (out []call) {
	for _, c := range b.s.AWS.Calls() {
		if c.Operation == operation && b.byWorker(c) {
			out = append(out, c)
		}
	}
	return out
}

type call = localstack.Call

func (b *bench) byWorker(c call) bool {
	return strings.HasSuffix(c.Principal, strings.TrimPrefix(workerPrincipal, "*"))
}

// polls counts the polls of the worker so far, polling says whether one is under way.
func (b *bench) polls() int { return len(b.ofWorker("sqs:ReceiveMessage")) }

func (b *bench) polling() bool {
	p := b.ofWorker("sqs:ReceiveMessage")
	return len(p) > 0 && p[len(p)-1].State != "done"
}

// creates counts the create calls for a request that were no dry runs.
func (b *bench) creates(requestID string) (n int) {
	for _, op := range []string{"ec2:CreateSnapshots", "ec2:CreateSnapshot"} {
		for _, c := range b.ofWorker(op) {
			if c.Params["DryRun"] != "true" && slices.Contains(slices.Collect(maps.Values(c.Params)), requestID) {
				n++
			}
		}
	}
	return n
}

// depth is how many messages the worker's queue has, to be had and in flight.
func (b *bench) depth() (visible, inFlight string) {
	visible, inFlight, err := b.s.Depth(b.ctx, b.s.QueueURL)
	if err != nil {
		return err.Error(), ""
	}
	return visible, inFlight
}

// handled waits until the worker is done with what is on its queue: nothing is
// there to be had, and a poll is under way that began since and is in nobody's way.
func (b *bench) handled(since time.Time, limit time.Duration) error {
	return b.await(limit, "the end of the delivery", func() bool {
		visible, inFlight := b.depth()
		if visible != "0" {
			return false
		}
		p := b.ofWorker("sqs:ReceiveMessage")
		if len(p) == 0 || p[len(p)-1].State == "done" {
			return false
		}
		last := p[len(p)-1]
		return inFlight == "0" || last.Fault == "" && last.Time.After(since)
	})
}

// gone says whether the queue is empty.
func (b *bench) gone() bool {
	visible, inFlight := b.depth()
	return visible == "0" && inFlight == "0"
}

// snapshots are those of a request, by attempt.
func (b *bench) snapshots(requestID string) (map[string][]types.Snapshot, error) {
	out, err := b.s.EC2.DescribeSnapshots(b.ctx, &ec2.DescribeSnapshotsInput{
		OwnerIds: []string{"self"}, Filters: []types.Filter{{Name: aws.String("tag:" + snapshot.TagRequestID), Values: []string{requestID}}},
	})
	if err != nil {
		return nil, err
	}
	sets := map[string][]types.Snapshot{}
	for _, s := range out.Snapshots {
		id := tag(s, snapshot.TagAttemptID)
		sets[id] = append(sets[id], s)
	}
	return sets, nil
}

func tag(s types.Snapshot, key string) string {
	for _, t := range s.Tags {
		if aws.ToString(t.Key) == key {
			return aws.ToString(t.Value)
		}
	}
	return ""
}

// deadLetters takes what is on the dead-letter queue off it: the reasons, by the id of the original message.
func (b *bench) deadLetters() (map[string]string, error) {
	out := map[string]string{}
	for {
		got, err := b.s.SQS.ReceiveMessage(b.ctx, &sqs.ReceiveMessageInput{
			QueueUrl: aws.String(b.s.DeadLetterURL), MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"},
		})
		if err != nil {
			return nil, fmt.Errorf("cannot look at the dead-letter queue: %w", err)
		}
		if len(got.Messages) == 0 {
			return out, nil
		}
		for _, m := range got.Messages {
			attribute := func(name string) string { return aws.ToString(m.MessageAttributes[name].StringValue) }
			out[attribute("stillpoint-original-message-id")] = attribute("stillpoint-reason")
			if _, err := b.s.SQS.DeleteMessage(b.ctx, &sqs.DeleteMessageInput{QueueUrl: aws.String(b.s.DeadLetterURL), ReceiptHandle: m.ReceiptHandle}); err != nil {
				return nil, err
			}
		}
	}
}
