package sns

import (
	"regexp"
	"strconv"
	"strings"

	"stillpoint/localstack/internal/wire"
)

// Sizes of a message in bytes, its attributes included. "Valid values are 1024 to 1048576 (1 MiB). The default is 262144
// (256 KiB)": https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html
const (
	minSize     = 1 << 10
	defaultSize = 256 << 10
	maxSize     = 1 << 20

	// maxLargeSubs is how many subscriptions a topic may have that takes more than the default.
	maxLargeSubs = 100
)

// maxDisplayName is in characters. https://docs.aws.amazon.com/sns/latest/dg/sns-create-topic.html
const maxDisplayName = 100

// feedback are the attributes of delivery logs, which SNS writes to CloudWatch Logs.
// https://docs.aws.amazon.com/sns/latest/dg/sns-topic-attributes.html
var feedback = regexp.MustCompile(`^(HTTP|Firehose|Lambda|Application|SQS)(SuccessFeedbackRoleArn|FailureFeedbackRoleArn|SuccessFeedbackSampleRate)$`)

// set changes an attribute. prefix is what the errors of CreateTopic have in front. The wordings that are not recorded are
// guesses; the codes are the model's.
func (t *topic) set(name, value, prefix string) *wire.Error {
	bad := func(why string) *wire.Error { return invalid("%s%s: %s", prefix, name, why) }
	store := func() {
		if value == "" {
			delete(t.attributes, name)
			return
		}
		t.attributes[name] = value
	}
	switch {
	case name == "Policy":
		doc, apiErr := readPolicy(value)
		if apiErr != nil {
			return apiErr
		}
		t.policyText, t.policy = value, doc
		return nil
	case name == "DeliveryPolicy":
		parsed, text, why := parseTopicPolicy(value)
		if why != "" {
			return bad(why)
		}
		t.delivery, value = parsed, text
	case name == "DisplayName":
		if len([]rune(value)) > maxDisplayName || strings.ContainsFunc(value, control) {
			return bad("it has more than 100 characters, or control characters")
		}
	case name == "SignatureVersion":
		if value != "1" && value != "2" {
			return bad("the value is neither 1 nor 2")
		}
		t.version = value
	case name == "TracingConfig":
		if value != "PassThrough" && value != "Active" {
			return bad("the value is neither PassThrough nor Active")
		}
	case name == "MaximumMessageSize":
		return t.setSize(value, bad)
	case name == "KmsMasterKeyId":
	case feedback.MatchString(name):
		if n, err := strconv.Atoi(value); strings.HasSuffix(name, "SampleRate") && (err != nil || n < 0 || n > 100) {
			return bad("value provided is not an integer between 0-100")
		}
	case prefix == "":
		return invalid("AttributeName")
	default:
		return invalid("%sUnknown attribute %s", prefix, name)
	}
	store()
	return nil
}

// setSize: "A topic with a MaximumMessageSize above 256 KiB must have 100 or fewer subscriptions, and each subscription must be an
// Amazon SQS, Amazon Data Firehose, or Lambda subscription": https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html
func (t *topic) setSize(value string, bad func(string) *wire.Error) *wire.Error {
	n, err := strconv.Atoi(value)
	if err != nil || n < minSize || n > maxSize {
		return bad("value provided is not an integer between 1024-1048576")
	}
	if n > defaultSize && !t.fitsLarge() {
		return bad("a topic with messages above 262144 bytes has 100 subscriptions at most, all of them of the protocol sqs")
	}
	t.attributes["MaximumMessageSize"], t.maxSize = strconv.Itoa(n), n
	return nil
}

// fitsLarge tells whether the topic may take messages above 256 KiB.
func (t *topic) fitsLarge() bool {
	for _, sub := range t.subs {
		if sub.protocol != protocolSQS {
			return false
		}
	}
	return len(t.subs) <= maxLargeSubs
}
