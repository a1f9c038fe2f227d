package config

import "testing"

func TestQueueURL(t *testing.T) {
	for url, want := range map[string][2]string{
		"https://sqs.eu-west-1.amazonaws.com/1/q":     {"eu-west-1", "arn:aws:sqs:eu-west-1:1:q"},
		"https://sqs.cn-north-1.amazonaws.com.cn/1/q": {"cn-north-1", "arn:aws-cn:sqs:cn-north-1:1:q"},
		"https://sqs.us-gov-west-1.amazonaws.com/1/q": {"us-gov-west-1", "arn:aws-us-gov:sqs:us-gov-west-1:1:q"},
		"https://sqs.eu-west-1.amazonaws.com/1":       {"eu-west-1", ""},
		"https://queue.amazonaws.com/1/q":             {"", ""},
		"http://127.0.0.1:4566/1/q":                   {"", ""},
		"arn:aws:sqs:eu-west-1:1:q":                   {"", ""},
		"":                                            {"", ""},
	} {
		if region, arn := QueueRegion(url), QueueARN(url); region != want[0] || arn != want[1] {
			t.Errorf("%s: %q, %q", url, region, arn)
		}
	}
}
