package soak

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/internal/queue"
	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// auditDeadLetters takes what is on the dead-letter queue: a copy of each
// message that was rejected, with the reason, and nothing else.
func (s *soak) auditDeadLetters(ctx context.Context, r *Report) error {
	rejected := map[string]string{} // body by message id
	s.ledger.mu.Lock()
	for _, m := range s.ledger.sent {
		if m.expects == toReject {
			rejected[m.messageID] = m.body
		}
	}
	s.ledger.mu.Unlock()
	found := map[string]int{}
	r.deadLetters = map[string]int{}
	for {
		visible, _, err := s.Depth(ctx, s.DeadLetterURL)
		if err != nil {
			return err
		}
		if n, _ := strconv.Atoi(visible); n == 0 {
			break
		}
		d, err := s.NextDeadLetter(ctx)
		if err != nil {
			return err
		}
		id, reason := d.Attributes[queue.AttributeOriginalID], d.Attributes[queue.AttributeReason]
		switch body, known := rejected[id]; {
		case id == "" && reason == "":
			r.deadLetters["moved by SQS, received too often"]++
			r.wrong("SQS gave up on a message, which was received too often: %.100q", d.Body)
		case !known:
			r.wrong("on the dead-letter queue is a message that should not be: %s, %s: %.100q", id, reason, d.Body)
		case body != d.Body || reason == "":
			r.wrong("the copy of %s on the dead-letter queue has the reason %q and the body %.100q", id, reason, d.Body)
		}
		if found[id]++; found[id] == 1 && reason != "" {
			r.deadLetters[reason]++
		} else if reason != "" {
			r.deadTwice++
		}
	}
	for id, body := range rejected {
		if found[id] == 0 {
			r.wrong("a message was rejected and has no copy on the dead-letter queue: %s: %.100q", id, body)
		}
	}
	return nil
}

// auditSets holds what EC2 has against the results.
func (s *soak) auditSets(ctx context.Context, r *Report) error {
	byRequest := map[string]map[string][]types.Snapshot{} // then by attempt
	statuses := map[string]string{}                       // by snapshot
	for pages := ec2.NewDescribeSnapshotsPaginator(s.EC2, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, MaxResults: aws.Int32(500)}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("cannot list the snapshots: %w", err)
		}
		for _, snap := range page.Snapshots {
			id, attempt := tag(snap, snapshot.TagRequestID), tag(snap, snapshot.TagAttemptID)
			if byRequest[id] == nil {
				byRequest[id] = map[string][]types.Snapshot{}
			}
			byRequest[id][attempt] = append(byRequest[id][attempt], snap)
			statuses[aws.ToString(snap.SnapshotId)] = tag(snap, snapshot.TagStatus)
			r.snapshots++
		}
	}
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	for id, sets := range byRequest {
		r.sets += len(sets)
		if len(s.ledger.byID[id]) == 0 {
			r.wrong("a set without a request: %q", id)
		}
		good := 0
		for attempt, set := range sets {
			status := tag(set[0], snapshot.TagStatus)
			for _, snap := range set {
				switch got := tag(snap, snapshot.TagStatus); {
				case got != string(messages.Succeeded) && got != string(messages.Inconsistent):
					r.wrong("%s of %s (attempt %s) is tagged %q in the end", aws.ToString(snap.SnapshotId), id, attempt, got)
				case got != status:
					r.wrong("the set of %s (attempt %s) is tagged %s and %s", id, attempt, status, got)
				}
			}
			if status != string(messages.Inconsistent) {
				good++
			}
		}
		if good > 1 {
			r.wrong("%s has %d sets that are not tagged inconsistent", id, good)
		}
	}
	for id, results := range s.ledger.results {
		for _, x := range results {
			if usesID(x) {
				s.auditResult(r, x, byRequest[id], statuses)
			}
		}
	}
	return nil
}

// auditResult: what a result says of its set is what EC2 has.
func (s *soak) auditResult(r *Report, x *messages.Result, sets map[string][]types.Snapshot, statuses map[string]string) {
	for _, snap := range x.Snapshots {
		if got := statuses[snap.SnapshotID]; got != string(x.Status) {
			r.wrong("%s of %s, whose result is %s, is tagged %q", snap.SnapshotID, x.RequestID, x.Status, got)
		}
	}
	mine := sets[x.AttemptID]
	switch x.Status {
	case messages.Succeeded:
		if len(x.Snapshots) != len(s.Volumes) || len(mine) != len(s.Volumes) {
			r.wrong("%s succeeded with %d snapshots in the result and %d in EC2, of %d volumes", x.RequestID, len(x.Snapshots), len(mine), len(s.Volumes))
		}
		for _, v := range s.Volumes {
			if !slices.ContainsFunc(mine, func(snap types.Snapshot) bool { return aws.ToString(snap.VolumeId) == v.ID }) {
				r.wrong("%s succeeded and EC2 has no snapshot of %s for it", x.RequestID, v.ID)
			}
		}
	case messages.Inconsistent:
		if len(x.Snapshots) == 0 {
			r.wrong("%s is inconsistent and names no snapshots: %s", x.RequestID, x.Message)
		}
	case messages.Failed:
		if len(mine) > 0 && x.Reason != messages.ReasonSnapshotAmbiguous {
			r.wrong("%s failed (%s) and EC2 has %d snapshots of that attempt", x.RequestID, x.Reason, len(mine))
		}
	}
}

func tag(s types.Snapshot, key string) string {
	for _, t := range s.Tags {
		if aws.ToString(t.Key) == key {
			return aws.ToString(t.Value)
		}
	}
	return ""
}
