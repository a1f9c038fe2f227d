package faults

import (
	"fmt"
	"time"

	"stillpoint/localstack"
)

// What a call's failure comes to where nothing is held yet.
var (
	plain       = is(succeeded, oneGood, askedOnce, once)
	nextTime    = is(succeeded, oneGood, askedOnce, twice)
	refused     = is("failed preflight_failed", none, neverAsked, once)
	rejected    = is("rejected unknown_plan", none, neverAsked, once, "dead letter unknown_plan")
	rejectedTwo = is("rejected unknown_plan", none, neverAsked, twice, "dead letter unknown_plan")
)

const (
	whyAgain   = "out of reach in preflight: comes back, with another attempt"
	whyRefused = "a refusal is final: trying again without a change by someone is of no use"
)

// preflight are the calls without which a run does not begin.
func preflight(row, operation string, skip int, short ...string) calls {
	return calls{
		row: row, operation: operation, skip: skip, short: short,
		want: map[string][]string{"": {nextTime}, denied: {refused}, late: {plain}},
		why:  map[string]string{"": whyAgain, denied: whyRefused, late: " "},
	}
}

// callRows are the rows of all calls but the create call.
func callRows() (out []*cell) {
	for _, c := range []calls{
		tagsRow, receiveRow, attributesRow,
		preflight("DescribeSnapshots (the first look-up)", "ec2:DescribeSnapshots", 0, denied),
		preflight("DescribeInstances", "ec2:DescribeInstances", 0, cut),
		preflight("CreateSnapshots (dry run)", "ec2:CreateSnapshots", 0),
		{
			row: "DescribeVolumes (copy_tags)", operation: "ec2:DescribeVolumes",
			want: map[string][]string{"": {plain}}, why: map[string]string{"": "the volumes' own tags are not worth a backup: a warning"},
		},
		{
			row: "ChangeMessageVisibility (over the window)", operation: "sqs:ChangeMessageVisibility", effect: true, short: []string{denied},
			want: map[string][]string{"": {nextTime}, late: {plain}, cut: {plain}},
			why:  map[string]string{"": "nothing is locked for a message that may be somebody else's: comes back", cut: "the half that came says all that there is to say", late: " "},
		},
		preflight("DescribeSnapshots (the warm-up)", "ec2:DescribeSnapshots", 1),
		heldRow,
		{
			row: "CreateTags (the verdict)", operation: "ec2:CreateTags", effect: true, short: []string{denied},
			want: map[string][]string{"": {plain}}, why: map[string]string{"": "the set is good: the tags are owed, and written later"},
		},
		{
			row: "DeleteMessage", operation: "sqs:DeleteMessage", effect: true, short: []string{denied},
			want: map[string][]string{"": {nextTime}, failsAfter: {plain}, resetAfter: {plain}, cut: {plain}, late: {plain}},
			why:  map[string]string{"": "delivered again, and the same result published again"},
		},
		{
			row: "Publish", operation: "sns:Publish", effect: true, short: []string{resetAfter},
			want: map[string][]string{"": {plain}}, why: map[string]string{"": "the result waits in the outbox; the same eventId may arrive twice"},
		},
		deadLetterRow("GetQueueUrl (of the dead-letter queue)", "sqs:GetQueueUrl", false),
		deadLetterRow("SendMessage (a rejected request)", "sqs:SendMessage", true, fails),
	} {
		out = append(out, c.cells()...)
	}
	return append(out, &cell{
		row: "DescribeSnapshots (every look-up after a lost answer)", fault: fails,
		want:   []string{is("failed snapshot_ambiguous then inconsistent snapshot_ambiguous (crash)", oneBad, askedOnce, twice)},
		why:    "snapshot_ambiguous with nothing found is the one result that a redelivery opens again; found then: a new eventId",
		again:  true,
		faults: []localstack.Fault{lostCreate, {Operation: "ec2:DescribeSnapshots", Skip: 2, Code: "InternalError", Status: 500}},
	})
}

// lostCreate is a create call whose answer is lost, after the dry run.
var lostCreate = localstack.Fault{Operation: "ec2:CreateSnapshots", Skip: 1, Times: 1, Drop: true, After: true}

// heldRow is the one look-up under hold after an ambiguous answer; the SDK
// tries up to three times in its 2 s, and later look-ups are spared.
var heldRow = calls{
	row: "DescribeSnapshots (under hold, after a lost answer)", operation: "ec2:DescribeSnapshots", skip: 2, times: 3, hangTimes: 1,
	more: []localstack.Fault{lostCreate}, short: []string{hangs},
	want: map[string][]string{
		"":    {is("inconsistent snapshot_ambiguous (crash)", oneBad, askedOnce, once)},
		late:  {plain},
		fails: {is("inconsistent snapshot_ambiguous (crash)", oneBad, askedOnce, once)},
	},
	why: map[string]string{"": "only a look-up that shows the whole set while everything is held is a success", late: "within its 2 s"},
}

// receiveRow: the request arrives while polls fail. A poll that took the
// message and did not bring it keeps it hidden for the visibility timeout.
var receiveRow = calls{
	row: "ReceiveMessage", operation: "sqs:ReceiveMessage", effect: true, hangTimes: 1, short: []string{resetAfter},
	template: cell{send: sendIntoFailingPoll},
	want:     map[string][]string{"": {plain}, failsAfter: {nextTime}, resetAfter: {nextTime}, cut: {nextTime}},
	why: map[string]string{
		failsAfter: "SQS hid what it handed over", resetAfter: "SQS hid what it handed over", cut: "SQS hid what it handed over",
	},
}

// sendIntoFailingPoll ends the poll under way by an ordinary request, so that
// the next one is what the faults are for, and sends when one has failed.
func sendIntoFailingPoll(b *bench, id string) (string, error) {
	before := id + "-before"
	if _, err := b.s.Send(b.ctx, ordinary(before)); err != nil {
		return "", err
	}
	if err := b.await(30*time.Second, "the request before", func() bool { return len(b.mail.distinct(before)) > 0 }); err != nil {
		return "", err
	}
	met := func() (n int) {
		for _, c := range b.ofWorker("sqs:ReceiveMessage") {
			if c.Fault != "" && c.Time.After(b.began) {
				n++
			}
		}
		return n
	}
	if err := b.await(30*time.Second, "a poll that fails", func() bool { return met() > 0 }); err != nil {
		return "", err
	}
	b.sent = time.Now()
	messageID, err := b.s.Send(b.ctx, ordinary(id))
	if err != nil {
		return "", err
	}
	// What takes effect takes this message; what does not is to fail once more.
	n := met()
	if err := b.await(60*time.Second, "the end of a poll that fails", func() bool {
		visible, _ := b.depth()
		return visible == "0" || met() > n+1
	}); err != nil {
		return "", err
	}
	return messageID, b.s.AWS.SetFaults()
}

// tagsRow: whose queue it is stands in its tags, and is asked before the first poll.
var tagsRow = calls{
	row: "ListQueueTags", operation: "sqs:ListQueueTags", hangTimes: 1,
	template: cell{fresh: true, unready: true, send: sendBeforeFirstPoll},
	want:     map[string][]string{"": {plain}},
	why: map[string]string{
		"": "nothing is polled before SQS has said whose queue it is", denied: "the tag is a safeguard that not everybody uses: polls all the same", late: " ",
	},
}

// sendBeforeFirstPoll sends while the worker does not poll yet, and ends the
// faults when it has asked in vain twice (once for what hangs) or polls all the same.
func sendBeforeFirstPoll(b *bench, id string) (string, error) {
	messageID, err := b.s.Send(b.ctx, ordinary(id))
	if err != nil {
		return "", err
	}
	taken := func() bool { visible, _ := b.depth(); return visible == "0" }
	if err := b.await(40*time.Second, "questions in vain", func() (enough bool) {
		n := 0
		for _, c := range b.ofWorker("sqs:ListQueueTags") {
			if c.Fault != "" && c.Time.After(b.began) {
				n++
				enough = c.Fault == "hang" && c.State == "done"
			}
		}
		return enough || n > 4 || taken() // one question may be three calls
	}); err != nil {
		return "", err
	}
	if err := b.s.AWS.SetFaults(); err != nil {
		return "", err
	}
	err = b.await(80*time.Second, "the poll that takes the request", taken)
	b.sent = time.Now()
	return messageID, err
}

// attributesRow needs a worker that has not read the redrive policy yet.
var attributesRow = calls{
	row: "GetQueueAttributes", operation: "sqs:GetQueueAttributes",
	template: cell{fresh: true},
	want:     map[string][]string{"": {plain}}, why: map[string]string{"": "a message is never held up for the redrive policy"},
}

// deadLetterRow: a request that is rejected leaves a copy on the dead-letter queue.
func deadLetterRow(row, operation string, effect bool, short ...string) calls {
	return calls{
		row: row, operation: operation, effect: effect, short: short,
		template: cell{
			fresh: operation == "sqs:GetQueueUrl", // asked for once
			send: func(b *bench, id string) (string, error) {
				return b.s.Send(b.ctx, fmt.Sprintf(`{"requestId":%q,"plan":"nothing-of-the-kind"}`, id))
			},
		},
		want: map[string][]string{"": {rejectedTwo}, late: {rejected}},
		why:  map[string]string{"": "the message stays until its copy is on the dead-letter queue; one result"},
	}
}
