package config

import (
	"net/url"
	"strings"
)

// QueueRegion is the region that a queue URL of AWS's names
// (https://sqs.REGION.amazonaws.com/ACCOUNT/NAME, Amazon SQS Developer Guide, queue
// identifiers); "" for another URL.
func QueueRegion(queueURL string) string {
	u, err := url.Parse(queueURL)
	if err != nil {
		return ""
	}
	parts := strings.SplitN(u.Hostname(), ".", 3)
	if len(parts) == 3 && parts[0] == "sqs" && strings.HasPrefix(parts[2], "amazonaws.com") {
		return parts[1]
	}
	return ""
}

// QueueARN is the ARN of a queue by a URL of AWS's; "" for another URL.
func QueueARN(queueURL string) string {
	region := QueueRegion(queueURL)
	u, err := url.Parse(queueURL)
	if err != nil || region == "" {
		return ""
	}
	account, name, ok := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if !ok {
		return ""
	}
	partition := "aws"
	switch {
	case strings.HasPrefix(region, "cn-"):
		partition = "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		partition = "aws-us-gov"
	}
	return "arn:" + partition + ":sqs:" + region + ":" + account + ":" + name
}
