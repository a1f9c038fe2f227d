package sqs

import (
	"slices"
	"strconv"
	"time"

	"stillpoint/localstack/internal/policy"
	"stillpoint/localstack/internal/wire"
)

// settings are what can be set of a queue. The zero value of what is optional means that it is not set.
type settings struct {
	visibility time.Duration
	delay      time.Duration
	wait       time.Duration
	retention  time.Duration
	maxSize    int // of a message, in bytes

	redrive   redrivePolicy
	allow     redriveAllowPolicy
	allowText string // as it was set

	policy     *policy.Document
	policyText string // as it was set

	kmsKey   string
	kmsReuse string // in seconds
	noSSE    bool
}

// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
var defaults = settings{visibility: 30 * time.Second, retention: 4 * 24 * time.Hour, maxSize: maxSize}

// ownKey is AWS's own key for SQS. Its policy cannot be changed and lets the account's principals use it, and no service.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
const ownKey = "alias/aws/sqs"

// attributeNames are those that there are, for any kind of queue.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
var attributeNames = []string{
	"All", "Policy", "VisibilityTimeout", "MaximumMessageSize", "MessageRetentionPeriod", "ApproximateNumberOfMessages",
	"ApproximateNumberOfMessagesNotVisible", "CreatedTimestamp", "LastModifiedTimestamp", "QueueArn",
	"ApproximateNumberOfMessagesDelayed", "DelaySeconds", "ReceiveMessageWaitTimeSeconds", "RedrivePolicy", "FifoQueue",
	"ContentBasedDeduplication", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "DeduplicationScope", "FifoThroughputLimit",
	"RedriveAllowPolicy", "SqsManagedSseEnabled",
}

func unknownAttribute(name string) *wire.Error {
	return wire.Errorf(unknownName, "Unknown Attribute %s.", name)
}

func badValue(name string) *wire.Error {
	return wire.Errorf(badAttribute, "Invalid value for the parameter %s.", name)
}

// set returns st with the attributes of the queue named changed; all of them are valid, or nothing is.
func (s *Service) set(name string, st settings, attributes map[string]string) (settings, *wire.Error) {
	if attributes["KmsMasterKeyId"] != "" && attributes["SqsManagedSseEnabled"] == "true" {
		return st, wire.Errorf(unknownName, "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.")
	}
	for attribute, text := range attributes {
		if apiErr := s.setOne(name, &st, attribute, text); apiErr != nil {
			return st, apiErr
		}
	}
	switch {
	case attributes["SqsManagedSseEnabled"] == "true":
		st.kmsKey, st.kmsReuse = "", ""
	case st.kmsKey == "":
		st.kmsReuse = ""
	default:
		st.noSSE = true
		if st.kmsReuse == "" {
			st.kmsReuse = "300"
		}
	}
	return st, nil
}

func (s *Service) setOne(queueName string, st *settings, name, text string) *wire.Error {
	number := func(low, high int) (int, *wire.Error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < low || n > high {
			return 0, badValue(name)
		}
		return n, nil
	}
	seconds := func(to *time.Duration, low, high int) *wire.Error {
		n, apiErr := number(low, high)
		*to = time.Duration(n) * time.Second
		return apiErr
	}
	var apiErr *wire.Error
	switch name {
	case "VisibilityTimeout":
		apiErr = seconds(&st.visibility, 0, maxVisibility)
	case "DelaySeconds":
		apiErr = seconds(&st.delay, 0, 900)
	case "ReceiveMessageWaitTimeSeconds":
		apiErr = seconds(&st.wait, 0, 20)
	case "MessageRetentionPeriod":
		apiErr = seconds(&st.retention, 60, 1_209_600)
	case "MaximumMessageSize":
		st.maxSize, apiErr = number(1024, maxSize)
	case "RedrivePolicy":
		st.redrive, apiErr = s.readRedrivePolicy(queueName, text)
	case "RedriveAllowPolicy":
		st.allowText = text
		st.allow, apiErr = readRedriveAllowPolicy(text)
	case "Policy":
		st.policyText = text
		st.policy, apiErr = readPolicy(text)
	case "KmsMasterKeyId":
		st.kmsKey = text
	case "KmsDataKeyReusePeriodSeconds":
		st.kmsReuse = text
		_, apiErr = number(60, 86_400)
	case "SqsManagedSseEnabled":
		if text != "true" && text != "false" {
			return badValue(name)
		}
		st.noSSE = text == "false"
	default:
		return unknownAttribute(name)
	}
	return apiErr
}

// attributes are all that GetQueueAttributes tells of a queue.
func (s *Service) attributes(q *queue) map[string]string {
	s.pass(q)
	unix := func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
	out := q.shown()
	out["QueueArn"] = s.arn(q)
	out["CreatedTimestamp"], out["LastModifiedTimestamp"] = unix(q.created), unix(q.modified)
	out["ApproximateNumberOfMessages"] = strconv.Itoa(q.visible.Len())
	out["ApproximateNumberOfMessagesNotVisible"] = strconv.Itoa(q.inFlight())
	out["ApproximateNumberOfMessagesDelayed"] = strconv.Itoa(q.delayed)
	return out
}

// shown are those that can be set.
func (st settings) shown() map[string]string {
	seconds := func(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
	out := map[string]string{
		"VisibilityTimeout":             seconds(st.visibility),
		"DelaySeconds":                  seconds(st.delay),
		"ReceiveMessageWaitTimeSeconds": seconds(st.wait),
		"MessageRetentionPeriod":        seconds(st.retention),
		"MaximumMessageSize":            strconv.Itoa(st.maxSize),
		"SqsManagedSseEnabled":          strconv.FormatBool(!st.noSSE),
	}
	for name, text := range map[string]string{
		"RedrivePolicy": st.redrive.text(), "RedriveAllowPolicy": st.allowText, "Policy": st.policyText,
		"KmsMasterKeyId": st.kmsKey, "KmsDataKeyReusePeriodSeconds": st.kmsReuse,
	} {
		if text != "" {
			out[name] = text
		}
	}
	return out
}

// differing is the first attribute of those wanted that has another value in st, or "".
func (st settings) differing(wanted settings, names []string) string {
	have, want := st.shown(), wanted.shown()
	slices.Sort(names)
	for _, name := range names {
		if have[name] != want[name] {
			return name
		}
	}
	return ""
}
