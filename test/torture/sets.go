package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/messages"
	"stillpoint/test/scene"
)

// made is one snapshot of a request, as EC2 shows it.
type made struct{ id, volume, attempt, status, consistency string }

// setsOf lists what EC2 has of a request.
func setsOf(ctx context.Context, sc *scene.Scene, id string) ([]made, error) {
	out, err := sc.EC2.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{
		Filters: []types.Filter{{Name: aws.String("tag:stillpoint:request-id"), Values: []string{id}}},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot look at the snapshots of %s: %w", id, err)
	}
	var all []made
	for _, s := range out.Snapshots {
		m := made{id: aws.ToString(s.SnapshotId), volume: aws.ToString(s.VolumeId)}
		for _, t := range s.Tags {
			switch aws.ToString(t.Key) {
			case "stillpoint:attempt-id":
				m.attempt = aws.ToString(t.Value)
			case "stillpoint:status":
				m.status = aws.ToString(t.Value)
			case "stillpoint:consistency":
				m.consistency = aws.ToString(t.Value)
			}
		}
		all = append(all, m)
	}
	return all, nil
}

// verdictless counts those that nobody has judged yet.
func verdictless(all []made) (n int) {
	for _, m := range all {
		if m.status != string(messages.Succeeded) && m.status != string(messages.Inconsistent) {
			n++
		}
	}
	return n
}

// judge holds the results of a request against what EC2 has: one final result,
// one set that it speaks of, and other sets only where they are tagged
// inconsistent.
func judge(results []*messages.Result, all []made, volumes int) (final *messages.Result, faults []string) {
	bad := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	switch {
	case len(results) == 0:
		bad("no result")
		return nil, faults
	case len(results) == 2 && results[0].Reason == messages.ReasonSnapshotAmbiguous && results[0].Status == messages.Failed && results[1].Status == messages.Inconsistent:
		// The one result that a redelivery opens again.
	case len(results) > 1:
		var words []string
		for _, r := range results {
			words = append(words, fmt.Sprintf("%s %s/%s of attempt %s", r.EventID, r.Status, r.Reason, r.AttemptID))
		}
		bad("%d different results: %s", len(results), strings.Join(words, "; "))
	}
	final = results[len(results)-1]
	attempts := map[string][]made{}
	for _, m := range all {
		attempts[m.attempt] = append(attempts[m.attempt], m)
		if m.status != string(messages.Succeeded) && m.status != string(messages.Inconsistent) {
			bad("%s of attempt %s is tagged %q at the end", m.id, m.attempt, m.status)
		}
	}
	own := attempts[final.AttemptID]
	for id, set := range attempts {
		for _, m := range set {
			if m.status == string(messages.Succeeded) && (id != final.AttemptID || final.Status != messages.Succeeded) {
				bad("%s of attempt %s is tagged succeeded, and the result is %s of attempt %s", m.id, id, final.Status, final.AttemptID)
			}
			if id == final.AttemptID && m.status != string(final.Status) {
				bad("%s is tagged %s and the result is %s", m.id, m.status, final.Status)
			}
			if id == final.AttemptID && m.consistency != string(final.Consistency) {
				bad("%s is tagged %s and the result says %s", m.id, m.consistency, final.Consistency)
			}
		}
	}
	var has, says, covers []string
	for _, m := range own {
		has = append(has, m.id)
		if !slices.Contains(covers, m.volume) {
			covers = append(covers, m.volume)
		}
	}
	for _, s := range final.Snapshots {
		says = append(says, s.SnapshotID)
	}
	slices.Sort(has)
	slices.Sort(says)
	switch final.Status {
	case messages.Succeeded:
		if final.Consistency != messages.ConsistencyApplication {
			bad("succeeded, and the consistency is %s", final.Consistency)
		}
		if len(covers) != volumes || len(own) != volumes {
			bad("succeeded with %d snapshots of %d volumes, and the set has %d", len(own), len(covers), volumes)
		}
		fallthrough
	case messages.Inconsistent:
		if !slices.Equal(has, says) {
			bad("the result names %v and EC2 has %v of the attempt", says, has)
		}
		if len(own) == 0 {
			bad("%s without a snapshot", final.Status)
		}
	case messages.Failed:
		if len(all) > 0 {
			bad("failed (%s), and EC2 has %d snapshots of the request", final.Reason, len(all))
		}
	default:
		bad("the result is %s/%s: %s", final.Status, final.Reason, final.Message)
	}
	return final, faults
}
