package conformance

import "strings"

// source is where AWS says so, or where it was seen.
type source struct {
	url  string
	note string // which part of it; may be empty
	read read
}

// read is how well a source was read when its row was written.
type read string

const (
	// model: the text of that page of the API reference, as the service models of botocore and of aws-sdk-go-v2 carry it.
	model read = "model"
	// guide: the page's text in the public repositories of AWS's guides, which may be older than the page.
	guide read = "guide"
	// page: a copy of the page.
	page read = "page"
	// recorded: answers of AWS, recorded by the tests of the LocalStack project. Taken where the documents are silent.
	recorded read = "recorded"
	// issue: a report of users or a change to a document, on GitHub.
	issue read = "issue"
	// code: the source of a client, which the behaviour follows from.
	code read = "code"
	// unread: it could not be read; the row rests on memory or on what others say about it.
	unread read = "unread"
)

// marks explains the marks, for the document.
var marks = []struct {
	read  read
	means string
}{
	{model, "read: the text of the page in the API reference, as the service models of botocore and aws-sdk-go-v2 carry it"},
	{guide, "read: the page's text in the public repositories of AWS's guides, which may be older than the page"},
	{page, "read: a copy of the page"},
	{recorded, "read: answers of AWS itself, recorded by the tests of the LocalStack project"},
	{issue, "read: a report of users or a change to a document or a program, on GitHub"},
	{code, "read: the source of a client, which it follows from"},
	{unread, "could not be read; it rests on memory or on what others say about the page"},
}

// references are the API references, by the name of the service in botocore.
var references = map[string]string{
	"sqs":       "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/",
	"sns":       "https://docs.aws.amazon.com/sns/latest/api/",
	"ec2":       "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/",
	"events":    "https://docs.aws.amazon.com/eventbridge/latest/APIReference/",
	"scheduler": "https://docs.aws.amazon.com/scheduler/latest/APIReference/",
	"sts":       "https://docs.aws.amazon.com/STS/latest/APIReference/",
}

// guides are the developer and user guides.
var guides = map[string]string{
	"sqs":       "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/",
	"sns":       "https://docs.aws.amazon.com/sns/latest/dg/",
	"ebs":       "https://docs.aws.amazon.com/ebs/latest/userguide/",
	"ec2":       "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/",
	"ec2-dev":   "https://docs.aws.amazon.com/ec2/latest/devguide/",
	"events":    "https://docs.aws.amazon.com/eventbridge/latest/userguide/",
	"scheduler": "https://docs.aws.amazon.com/scheduler/latest/UserGuide/",
	"cli":       "https://docs.aws.amazon.com/cli/latest/userguide/",
}

// api is the page of an operation in the API reference of a service.
func api(of, operation string) source {
	return source{url: references[of] + "API_" + operation + ".html", read: model}
}

// in is a page of a service's guide, without .html; it may have an anchor.
func in(of, name string, how read) source {
	name, anchor, ok := strings.Cut(name, "#")
	if ok {
		anchor = "#" + anchor
	}
	return source{url: guides[of] + name + ".html" + anchor, read: how}
}

// seen are recordings of AWS, and the tests of the LocalStack project that made them.
func seen(of, tests string) source {
	return source{url: "https://github.com/localstack/localstack/blob/main/tests/aws/services/" + of + "/test_" + of + ".snapshot.json", note: tests, read: recorded}
}

// at is any other address.
func at(url string, how read) source { return source{url: url, read: how} }

func from(s ...source) []source { return s }
