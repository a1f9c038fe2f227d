package visit

import (
	"cmp"
	"context"
	"errors"

	"stillpoint/internal/config"
	"stillpoint/internal/doctor"
	"stillpoint/internal/notify"
	"stillpoint/internal/queue"
	"stillpoint/internal/snapshot"
	"stillpoint/messages"
	"stillpoint/worker"
)

func (v *visit) queue() *queue.Queue {
	return queue.New(v.aws.cfg, queue.Config{URL: v.file.QueueURL, DeadLetterURL: v.file.DeadLetterQueueURL})
}

// lookAtQueue reads what SQS says of the queue and of its dead-letter queue.
func (v *visit) lookAtQueue(ctx context.Context) []doctor.Finding {
	use := doctor.Use{Region: v.id.Region, Home: v.aws.home, Account: v.aws.account, MaxRequest: messages.MaxRequestBytes, Lease: worker.DefaultVisibility}
	for _, p := range v.file.Plans {
		use.MaxAge = max(use.MaxAge, p.MaxAge)
	}
	q := v.queue()
	seen, err := q.Look(ctx)
	if err != nil {
		return []doctor.Finding{awsTrouble("sqs:GetQueueAttributes", cmp.Or(config.QueueARN(v.file.QueueURL), v.file.QueueURL), err).Finding()}
	}
	v.aws.queueARN = seen.ARN
	if seen.Key != "" {
		v.notAsked = append(v.notAsked, "kms:Decrypt with "+seen.Key)
	}
	found := doctor.JudgeQueue(queueSeen(seen), use)
	return append(found, v.lookAtDeadLetters(ctx, q, seen)...)
}

func (v *visit) lookAtDeadLetters(ctx context.Context, q *queue.Queue, of queue.Attributes) []doctor.Finding {
	url, seen, err := q.LookAtDeadLetters(ctx)
	named := func(f doctor.Finding) []doctor.Finding {
		f.Check = "dead_letters.exists"
		return []doctor.Finding{f}
	}
	resource := of.DeadLetters
	if resource == "" {
		resource = url
	}
	switch {
	case errors.Is(err, worker.ErrNoDeadLetterQueue): // queue.redrive says it
		return nil
	case err != nil && url == "":
		t := awsTrouble("sqs:GetQueueUrl", resource, err)
		f := t.Finding()
		if t.Kind == doctor.Gone && v.file.DeadLetterQueueURL == "" {
			f.Fix = "make it again (deploy instance.yaml), or correct the RedrivePolicy of the queue, which names it"
		}
		return named(f)
	case err != nil:
		t := awsTrouble("sqs:GetQueueAttributes", resource, err)
		if t.Kind == doctor.Denied { // the worker sends there, and does not look
			return named(t.Minor())
		}
		return named(t.Finding())
	}
	v.notAsked = append(v.notAsked, "sqs:SendMessage to "+seen.ARN)
	return doctor.JudgeDeadLetters(doctor.DeadLetters{
		Queue: queueSeen(seen), URL: url, Of: of.ARN, Target: of.DeadLetters, FromFile: v.file.DeadLetterQueueURL != "",
	}, of.Retention)
}

func queueSeen(a queue.Attributes) doctor.Queue {
	return doctor.Queue{
		ARN: a.ARN, Visibility: a.Visibility, Retention: a.Retention, Delay: a.Delay, MaxBytes: a.MaxBytes,
		Visible: a.Visible, InFlight: a.InFlight, Key: a.Key, Encrypted: a.Encrypted, Policy: a.Policy,
		DeadLetters: a.DeadLetters, MaxReceives: a.MaxReceives,
	}
}

// lookAtOwner reads the queue's tag. The worker goes on where it may not.
func (v *visit) lookAtOwner(ctx context.Context) []doctor.Finding {
	owner, err := v.queue().Owner(ctx)
	if err != nil {
		return []doctor.Finding{awsTrouble("sqs:ListQueueTags", v.aws.queueARN, err).Minor()}
	}
	return []doctor.Finding{doctor.JudgeOwner(owner, v.id.InstanceID)}
}

// tryQueue asks for what a worker does with a message, with a handle of none.
// To receive cannot be asked for so: it would take a message, and count as one
// of its receives.
func (v *visit) tryQueue(ctx context.Context) []doctor.Finding {
	v.notAsked = append(v.notAsked, "sqs:ReceiveMessage")
	var taken []string
	var not []doctor.Trouble
	q := v.queue()
	for _, try := range []struct {
		action string
		do     func(context.Context) error
	}{{"sqs:ChangeMessageVisibility", q.TryExtend}, {"sqs:DeleteMessage", q.TryDelete}} {
		err := try.do(ctx)
		if errors.As(err, new(*snapshot.LeaseLostError)) { // the handle is what is wrong
			taken = append(taken, try.action)
			continue
		}
		if err == nil {
			err = errors.New("SQS took the handle of no message for a good one: this endpoint cannot be trusted with requests")
		}
		not = append(not, awsTrouble(try.action, v.aws.queueARN, err))
	}
	return doctor.JudgeQueueCalls(taken, not)
}

func (v *visit) lookAtTopic(ctx context.Context) []doctor.Finding {
	topic, err := notify.New(v.aws.cfg, v.file.TopicARN)
	if err != nil {
		return []doctor.Finding{doctor.Bad(err.Error(), "correct topic_arn in the file")}
	}
	v.notAsked = append(v.notAsked, "sns:Publish")
	seen, err := topic.Look(ctx)
	if err != nil {
		t := awsTrouble("sns:GetTopicAttributes", v.file.TopicARN, err)
		if t.Kind == doctor.Denied { // the worker publishes there, and does not look
			return []doctor.Finding{t.Minor()}
		}
		return []doctor.Finding{t.Finding()}
	}
	if seen.Key != "" {
		v.notAsked = append(v.notAsked, "kms:GenerateDataKey with "+seen.Key)
	}
	return doctor.JudgeTopic(doctor.Topic{ARN: seen.ARN, Confirmed: seen.Confirmed, Pending: seen.Pending, Key: seen.Key, Policy: seen.Policy})
}
