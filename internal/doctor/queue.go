package doctor

import (
	"fmt"
	"strings"
	"time"
)

// Queue is what SQS says of a queue.
type Queue struct {
	ARN string
	// Visibility is for how long whoever does not say so hides a message.
	Visibility, Retention, Delay time.Duration
	MaxBytes                     int
	// Visible are the messages that wait, InFlight those that somebody has.
	Visible, InFlight int
	// Key is the KMS key; "" where there is none. Encrypted says that it is encrypted at all.
	Key       string
	Encrypted bool
	Policy    string
	// DeadLetters is the ARN of the dead-letter queue; "" where there is none.
	DeadLetters string
	MaxReceives int
}

// Use is what the file and this instance want of the queue.
type Use struct {
	// Region is where the program asks, Home where the metadata say that the instance
	// is, Account whose it is; "" where not known.
	Region, Home, Account string
	// MaxAge is the longest of the plans'.
	MaxAge time.Duration
	// MaxRequest is the longest body that a request may have, in bytes.
	MaxRequest int
	// Lease is for how long the worker hides what it takes.
	Lease time.Duration
}

// The bounds of the queue's settings. Every receive counts, also that of a worker
// that is stopped (Amazon SQS Developer Guide, dead-letter queues).
const (
	fewReceives    = 5
	shortestHidden = 30 * time.Second // SQS's default
	manyWait       = 10
)

// JudgeQueue judges the settings of the queue for requests.
func JudgeQueue(q Queue, use Use) []Finding {
	return []Finding{
		named("queue.exists", queuePlace(q, use)),
		named("queue.visibility", queueVisibility(q, use)),
		named("queue.redrive", queueRedrive(q)),
		named("queue.retention", queueRetention(q, use)),
		named("queue.delivery", queueDelivery(q, use)),
		named("queue.policy", judgePolicy(q.Policy, "send requests or take them away")),
		named("queue.encryption", queueEncryption(q)),
		named("queue.waiting", queueWaiting(q)),
	}
}

func named(check string, f Finding) Finding {
	f.Check = check
	return f
}

func place(arn string) (region, account, name string) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return "", "", arn
	}
	return parts[3], parts[4], parts[5]
}

func queuePlace(q Queue, use Use) Finding {
	region, account, name := place(q.ARN)
	switch {
	case region != "" && region == use.Home && region != use.Region: // and that is said there
		return Good(fmt.Sprintf("%s in %s, as this instance is", name, region))
	case use.Region != "" && region != "" && region != use.Region:
		return Poor(fmt.Sprintf("%s is in %s, and this instance in %s", name, region, use.Region), "use a queue of this region: an outage of the other one, or of the way there, would be one here")
	case use.Account != "" && account != "" && account != use.Account:
		return Poor(fmt.Sprintf("%s belongs to account %s, and this instance to %s", name, account, use.Account), "use a queue of this account, or see that its policy lets the instance's role receive and delete")
	}
	return Good(fmt.Sprintf("%s in %s", name, region))
}

// queueVisibility: the worker gives its own with each receive, so the queue's is
// that of everybody else who takes a message.
func queueVisibility(q Queue, use Use) Finding {
	switch {
	case q.Visibility < shortestHidden:
		return Poor(fmt.Sprintf("what somebody else receives is hidden for %s only, after which it is received once more, and counts towards the dead-letter queue", long(q.Visibility)),
			fmt.Sprintf("set VisibilityTimeout to %d (the worker's own, with each receive, is %s)", int(use.Lease.Seconds()), long(use.Lease)))
	case use.MaxAge > 0 && q.Visibility >= use.MaxAge:
		return Poor(fmt.Sprintf("a request that somebody looks at by hand is hidden from the worker for %s, and stale by then (max_age is %s)", long(q.Visibility), long(use.MaxAge)),
			fmt.Sprintf("set VisibilityTimeout to %d", int(use.Lease.Seconds())))
	}
	return Good(fmt.Sprintf("%s; the worker hides what it takes for %s, and goes on while it works", long(q.Visibility), long(use.Lease)))
}

func queueRedrive(q Queue) Finding {
	const fix = "set maxReceiveCount to 10"
	switch {
	case q.DeadLetters == "":
		return Poor("there is no dead-letter queue: a request that crashes the worker comes back until the queue forgets it, and what cannot be understood is kept nowhere",
			"make one, and give the queue a RedrivePolicy with maxReceiveCount 10 (instance.yaml does)")
	case q.MaxReceives < 2:
		return Bad(fmt.Sprintf("maxReceiveCount is %d: a request that the worker was stopped with goes to the dead-letter queue instead of coming back", q.MaxReceives), fix)
	case q.MaxReceives < fewReceives:
		return Poor(fmt.Sprintf("maxReceiveCount is %d, and every receive counts: those of a worker that is stopped, and each look by hand", q.MaxReceives), fix)
	}
	_, _, name := place(q.DeadLetters)
	return Good(fmt.Sprintf("to %s after %d receives", name, q.MaxReceives))
}

func queueRetention(q Queue, use Use) Finding {
	if q.Retention < use.MaxAge {
		return Poor(fmt.Sprintf("the queue forgets a request after %s, without a result, and max_age is %s", long(q.Retention), long(use.MaxAge)),
			"set MessageRetentionPeriod to 345600: then the worker says of what is too old that it was skipped")
	}
	return Good(fmt.Sprintf("requests are kept for %s", long(q.Retention)))
}

func queueDelivery(q Queue, use Use) Finding {
	switch {
	case q.MaxBytes < use.MaxRequest:
		return Poor(fmt.Sprintf("the queue takes messages of up to %d bytes, and requests may have %d", q.MaxBytes, use.MaxRequest), fmt.Sprintf("set MaximumMessageSize to %d", use.MaxRequest))
	case q.Delay > 0:
		return Poor(fmt.Sprintf("the queue holds every request back for %s", long(q.Delay)), "set DelaySeconds to 0; start_within of the plan spreads a fleet")
	}
	return Good(fmt.Sprintf("at once, up to %d bytes", q.MaxBytes))
}

// ownQueueKey and ownTopicKey are AWS's own keys, whose policies let no service
// use them (SQS and SNS Developer Guides, key management).
const (
	ownQueueKey = "alias/aws/sqs"
	ownTopicKey = "alias/aws/sns"
)

func queueEncryption(q Queue) Finding {
	switch {
	case q.Key == ownQueueKey:
		return Poor("it is under "+ownQueueKey+", which EventBridge and SNS may not use: what they send is lost", "set SqsManagedSseEnabled, or a key of your own whose policy lets them use it")
	case q.Key != "":
		return Good("with the key " + q.Key)
	case !q.Encrypted:
		return Poor("messages are kept in the clear", "set SqsManagedSseEnabled to true: it costs nothing")
	}
	return Good("with a key of SQS's")
}

func queueWaiting(q Queue) Finding {
	said := fmt.Sprintf("%s, %d in hand", count(q.Visible, "request waits", "requests wait"), q.InFlight)
	switch {
	case q.Visible > manyWait, q.Visible > 0 && q.InFlight == 0:
		return Poor(said, "see worker.running; what is older than max_age will be skipped")
	}
	return Good(said)
}

func count(n int, single, several string) string {
	switch n {
	case 0:
		return "no " + single
	case 1:
		return "1 " + single
	}
	return fmt.Sprintf("%d %s", n, several)
}

// long writes a duration without what is zero: 2m, 4 days.
func long(d time.Duration) string {
	switch {
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

// DeadLetters is what is known of the dead-letter queue.
type DeadLetters struct {
	Queue
	// URL is its own; "" where it is not known.
	URL string
	// Of is the ARN of the queue for requests, Target the one in its redrive policy; FromFile says that the URL is the file's.
	Of       string
	Target   string
	FromFile bool
}

// JudgeDeadLetters judges the dead-letter queue of a queue that keeps messages for so long.
func JudgeDeadLetters(d DeadLetters, retention time.Duration) []Finding {
	_, _, name := place(d.ARN)
	exists := Good(name)
	switch {
	case d.ARN == d.Of:
		exists = Bad("the dead-letter queue is the queue itself: what cannot be understood comes back at once, without end", "take dead_letter_queue_url out of the file, or name another queue")
	case d.FromFile && d.Target != "" && d.Target != d.ARN:
		exists = Poor(fmt.Sprintf("dead_letter_queue_url in the file is %s, and the queue's redrive policy leads to %s", d.ARN, d.Target), "take dead_letter_queue_url out of the file: one queue is easier to watch than two")
	}
	kept := Good(fmt.Sprintf("dead letters are kept for %s, from when the request was sent", long(d.Retention)))
	if d.Retention <= retention {
		kept = Poor(fmt.Sprintf("dead letters are kept for %s, counted from when the request was sent, and the queue itself keeps requests for %s: some are gone before anybody sees them", long(d.Retention), long(retention)),
			"set its MessageRetentionPeriod to 1209600")
	}
	waiting := Good("there are none")
	if n := d.Visible + d.InFlight; n > 0 {
		waiting = Poor(count(n, "request could not be understood, or crashed the worker again and again", "requests could not be understood, or crashed the worker again and again"),
			"look at them: aws sqs receive-message --queue-url "+d.URL+" --message-attribute-names All --visibility-timeout 0 --max-number-of-messages 10 (stillpoint-reason and stillpoint-message say why); then send them again (the runbook has the command) or delete them: aws sqs purge-queue --queue-url "+d.URL)
	}
	return []Finding{named("dead_letters.exists", exists), named("dead_letters.retention", kept), named("dead_letters.waiting", waiting)}
}

// JudgeOwner holds the queue's tag against this instance; "" where it has none.
func JudgeOwner(owner, instanceID string) Finding {
	switch {
	case owner == "":
		return Good("the queue bears no tag stillpoint:instance-id: whichever instance has it in its file may use it")
	case instanceID == "":
		return Unchecked("the queue is "+owner+"'s, and it is not known which instance this is", "see identity.metadata")
	case owner != instanceID:
		return Bad(fmt.Sprintf("the queue is %s's, by its tag stillpoint:instance-id, and this is %s: the worker will not take requests from it", owner, instanceID), "set queue_url to this instance's own queue, or correct the tag")
	}
	return Good("the queue is this instance's, by its tag")
}

// JudgeQueueCalls judges the calls by which a message is held and deleted, tried
// with a handle of no message; taken are those of which SQS refused the handle
// and not the caller.
func JudgeQueueCalls(taken []string, trouble []Trouble) []Finding {
	if len(trouble) == 0 {
		return one(named("queue.permissions", Good(strings.Join(taken, " and ")+" are not denied: SQS refuses the handle of no message, and not who asks")))
	}
	var all []Finding
	for _, t := range trouble {
		all = append(all, named("queue.permissions", t.Finding()))
	}
	return all
}
