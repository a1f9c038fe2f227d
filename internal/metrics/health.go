package metrics

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"stillpoint/worker"
)

// pollWithin is how recent the queue's last answer must be for /readyz.
const pollWithin = 2 * time.Minute

// outboxWithin is how long a result may wait for SNS before /readyz says so.
const outboxWithin = 15 * time.Minute

// unready says what keeps the worker from doing its work, and what to do about
// each; nothing: it is ready.
func unready(s worker.Status, now time.Time) []string {
	why := s.Stalled(now)
	if s.NotPolling != "" {
		why = append(why, s.NotPolling)
	} else if s.Handling == "" && now.Sub(later(s.LastPoll, s.HandledAt)) > pollWithin {
		why = append(why, silent(s))
	}
	if s.JournalError != "" {
		why = append(why, fmt.Sprintf("the journal cannot be used: %s: look at the disk that holds state_dir", s.JournalError))
	}
	if s.Outbox > 0 && now.Sub(s.OutboxOldest) > outboxWithin {
		why = append(why, fmt.Sprintf("%d of the results wait for SNS, the oldest since %s: check topic_arn, sns:Publish in the instance's role and the network to SNS; they are kept and tried again",
			s.Outbox, s.OutboxOldest.UTC().Format(time.RFC3339)))
	}
	return why
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// silent is about a queue that does not answer.
func silent(s worker.Status) string {
	text := "the queue has not answered for two minutes"
	if s.LastPoll.IsZero() {
		text = "the queue has not answered a poll yet"
	}
	if s.PollError == "" {
		return text + ": wait for the poll under way, or look at the network to SQS"
	}
	return fmt.Sprintf("%s: %s (%s): %s", text, s.PollError, s.PollDetail, advice(s.PollError))
}

// advice is what to do about a poll's error. The codes are SQS's, of its query
// and its JSON protocol, and IAM's common ones.
func advice(code string) string {
	switch code {
	case "timeout", "unreachable":
		return "check the network to SQS (route, security group, VPC endpoint) and that the instance's role gives credentials (metadata, hop limit)"
	case "AccessDenied", "AccessDeniedException":
		return "allow sqs:ReceiveMessage, sqs:DeleteMessage and sqs:ChangeMessageVisibility in the instance's role, and look at the queue's policy"
	case "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist":
		return "check queue_url in the file"
	case "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidSecurity":
		return "check the credentials and the clock of this host"
	default:
		return "it is tried again until it works"
	}
}

// answer is served from memory, so that it comes while file systems are frozen too.
func answer(w http.ResponseWriter, why []string, s worker.Status) {
	if why == nil {
		why = []string{}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	code := http.StatusOK
	if len(why) > 0 {
		code = http.StatusServiceUnavailable
	}
	w.WriteHeader(code)
	doing := map[string]string{}
	for loop, mark := range s.Loops {
		doing[loop] = mark.Doing
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"ok": len(why) == 0, "why": why, "handling": s.Handling, "doing": doing, "lastPoll": s.LastPoll, "outbox": s.Outbox,
	})
}
