package sns

import (
	"fmt"
	"mime"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The limits of a delivery policy. "The total policy retry time for an HTTP/S endpoint cannot be greater than 3,600 seconds."
// https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
const (
	maxRetries = 100
	maxDelay   = 3600
	maxTotal   = 3600 * time.Second
)

const defaultContentType = "text/plain; charset=UTF-8"

// throttle is how many deliveries a subscription gets in a second. Request is how a request to a web hook looks.
type (
	throttlePolicy struct {
		MaxReceivesPerSecond int `json:"maxReceivesPerSecond"`
	}
	requestPolicy struct {
		HeaderContentType string `json:"headerContentType"`
	}
)

// topicPolicy is the attribute DeliveryPolicy of a topic.
type topicPolicy struct {
	HTTP topicHTTP `json:"http"`
}

type topicHTTP struct {
	Retries         *retries        `json:"defaultHealthyRetryPolicy,omitempty"`
	DisableOverride bool            `json:"disableSubscriptionOverrides"`
	Throttle        *throttlePolicy `json:"defaultThrottlePolicy,omitempty"`
	Request         *requestPolicy  `json:"defaultRequestPolicy,omitempty"`
}

// subPolicy is the attribute DeliveryPolicy of a subscription. AWS shows the members that are not there as null (recorded).
type subPolicy struct {
	Retries    *retries        `json:"healthyRetryPolicy"`
	Sickly     *jsontext.Value `json:"sicklyRetryPolicy"`
	Throttle   *throttlePolicy `json:"throttlePolicy"`
	Request    *requestPolicy  `json:"requestPolicy"`
	Guaranteed bool            `json:"guaranteed"`
}

// Content types of messages in envelopes, and of raw ones besides.
// https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html#creating-delivery-policy
var (
	contentTypes    = []string{"application/json", "text/plain"}
	rawContentTypes = []string{
		"text/css", "text/csv", "text/html", "text/xml", "application/atom+xml", "application/octet-stream", "application/soap+xml",
		"application/x-www-form-urlencoded", "application/xhtml+xml", "application/xml",
	}
)

// parseTopicPolicy reads the attribute of a topic and returns it as it is shown, empty for none. why is what is wrong with it.
func parseTopicPolicy(text string) (p topicPolicy, shown, why string) {
	if text == "" {
		return p, "", ""
	}
	if err := json.Unmarshal([]byte(text), &p, json.RejectUnknownMembers(true)); err != nil {
		return topicPolicy{}, "", "failed to parse JSON. (localstack: " + err.Error() + ")"
	}
	var raw struct {
		HTTP struct {
			Retries map[string]jsontext.Value `json:"defaultHealthyRetryPolicy"`
		} `json:"http"`
	}
	_ = json.Unmarshal([]byte(text), &raw) // it was read before
	if why := p.HTTP.Retries.wrong("http.defaultHealthyRetryPolicy", raw.HTTP.Retries); why != "" {
		return topicPolicy{}, "", why
	}
	if why := checkRest("http.default", p.HTTP.Throttle, p.HTTP.Request, false); why != "" {
		return topicPolicy{}, "", why
	}
	return p, marshal(p), ""
}

// parseSubPolicy reads that of a subscription. raw tells whether its messages are delivered raw.
func parseSubPolicy(text string, isRaw bool) (p subPolicy, why string) {
	if err := json.Unmarshal([]byte(text), &p, json.RejectUnknownMembers(true)); err != nil {
		return subPolicy{}, "failed to parse JSON. (localstack: " + err.Error() + ")"
	}
	var raw struct {
		Retries map[string]jsontext.Value `json:"healthyRetryPolicy"`
	}
	_ = json.Unmarshal([]byte(text), &raw) // it was read before
	switch {
	case p.Sickly != nil && p.Sickly.Kind() != 'n':
		return subPolicy{}, "localstack has no sicklyRetryPolicy, which AWS does not document"
	case p.Guaranteed:
		return subPolicy{}, "localstack has no guaranteed, which AWS does not document"
	}
	p.Sickly = nil
	if why := p.Retries.wrong("healthyRetryPolicy", raw.Retries); why != "" {
		return subPolicy{}, why
	}
	return p, checkRest("", p.Throttle, p.Request, isRaw)
}

// wrong says what is wrong with a retry policy whose members are given. Minimum, maximum and number have to be there
// (https://github.com/aws/aws-cdk/pull/30830, https://github.com/triggermesh/aws-event-sources/pull/220); the rest gets its defaults.
// The wordings are those of AWS in https://github.com/awsdocs/amazon-sns-developer-guide/pull/5 and
// https://github.com/ballerina-platform/module-ballerinax-aws.sns, where they are known; that of the total is a guess.
func (r *retries) wrong(path string, given map[string]jsontext.Value) string {
	if r == nil {
		return ""
	}
	for _, name := range []string{"minDelayTarget", "maxDelayTarget", "numRetries"} {
		if _, ok := given[name]; !ok {
			return fmt.Sprintf("%s.%s must be specified", path, name)
		}
	}
	if r.BackoffFunction == "" {
		r.BackoffFunction = "linear"
	}
	for _, x := range []struct {
		name       string
		n, low, up int
	}{
		{"minDelayTarget", r.MinDelayTarget, 1, maxDelay},
		{"maxDelayTarget", r.MaxDelayTarget, 1, maxDelay},
		{"numRetries", r.NumRetries, 0, maxRetries},
		{"numNoDelayRetries", r.NumNoDelayRetries, 0, maxRetries},
		{"numMinDelayRetries", r.NumMinDelayRetries, 0, maxRetries},
		{"numMaxDelayRetries", r.NumMaxDelayRetries, 0, maxRetries},
	} {
		switch {
		case x.n < x.low:
			return fmt.Sprintf("%s.%s must be greater than or equal to %d", path, x.name, x.low)
		case x.n > x.up:
			return fmt.Sprintf("%s.%s must be less than or equal to %d", path, x.name, x.up)
		}
	}
	switch {
	case r.MinDelayTarget > r.MaxDelayTarget:
		return fmt.Sprintf("%s.maxDelayTarget must be greater than or equal to minDelayTarget", path)
	case r.backoffs() < 0:
		return fmt.Sprintf("%s.numRetries must be greater than or equal to total of numMinDelayRetries, numNoDelayRetries and numMaxDelayRetries", path)
	case !slices.Contains([]string{"linear", "arithmetic", "geometric", "exponential"}, r.BackoffFunction):
		return fmt.Sprintf("%s.backoffFunction must be one of linear, arithmetic, geometric, exponential", path)
	case r.total() > maxTotal:
		return fmt.Sprintf("%s: the total retry time must be less than or equal to 3600 seconds", path)
	}
	return ""
}

func checkRest(path string, t *throttlePolicy, r *requestPolicy, isRaw bool) string {
	if t != nil && t.MaxReceivesPerSecond < 1 {
		return path + "throttlePolicy.maxReceivesPerSecond must be greater than or equal to 1"
	}
	if r == nil {
		return ""
	}
	media, _, err := mime.ParseMediaType(r.HeaderContentType)
	known := slices.Contains(contentTypes, media) || isRaw && slices.Contains(rawContentTypes, media)
	if err != nil || !known {
		return fmt.Sprintf("%srequestPolicy.headerContentType: %q is not supported here", path, r.HeaderContentType)
	}
	return ""
}

// effective is what the topic's policy comes to, as it is shown.
func (p topicPolicy) effective() string {
	out := p
	if out.HTTP.Retries == nil {
		out.HTTP.Retries = &defaultRetries
	}
	if out.HTTP.Request == nil {
		out.HTTP.Request = &requestPolicy{defaultContentType}
	}
	return marshal(out)
}

// effective is what a subscription's policy comes to under that of its topic: member by member (recorded).
func (p *subPolicy) effective(t topicPolicy) subPolicy {
	var out subPolicy
	if p != nil && !t.HTTP.DisableOverride {
		out = *p
	}
	if out.Retries == nil {
		out.Retries = t.HTTP.Retries
	}
	if out.Retries == nil {
		out.Retries = &defaultRetries
	}
	if out.Throttle == nil {
		out.Throttle = t.HTTP.Throttle
	}
	if out.Request == nil {
		out.Request = t.HTTP.Request
	}
	if out.Request == nil {
		out.Request = &requestPolicy{defaultContentType}
	}
	return out
}

// marshal writes what cannot fail to be written.
func marshal(v any) string {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return ""
	}
	return string(text)
}
