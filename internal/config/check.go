package config

import (
	"errors"
	"maps"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"stillpoint/messages"
)

// Check says whether a file that was built, and not read, makes sense. The
// errors are *Error, joined. Parse and Load have checked already.
func (f *File) Check() error {
	var found findings
	f.check(&found)
	return found.err()
}

// CheckWorker says whether what only the worker needs is there.
func (f *File) CheckWorker() error {
	var errs []error
	if f.QueueURL == "" {
		errs = append(errs, &Error{Sentence: "queue_url is missing: the worker needs the URL of its SQS queue"})
	}
	if f.TopicARN == "" {
		errs = append(errs, &Error{Sentence: "topic_arn is missing: the worker needs the ARN of the SNS topic for results"})
	}
	if len(f.Plans) == 0 {
		errs = append(errs, &Error{Sentence: "plans is missing: the worker needs at least one plan"})
	}
	return errors.Join(errs...)
}

var (
	topicPattern  = regexp.MustCompile(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$`)
	regionPattern = regexp.MustCompile(`^[a-z]{2,}(-[a-z0-9]+)+$`)
	volumePattern = regexp.MustCompile(`^vol-[0-9a-f]{8,17}$`)
)

func (f *File) check(found *findings) {
	at := func(key string) where { return where{key} }
	checkQueueURL(found, at("queue_url"), f.QueueURL)
	checkQueueURL(found, at("dead_letter_queue_url"), f.DeadLetterQueueURL)
	if f.DeadLetterQueueURL != "" && f.DeadLetterQueueURL == f.QueueURL {
		found.add(at("dead_letter_queue_url"), "must not be queue_url: what cannot be understood would come back at once, without end; leave it out to use the queue's own")
	}
	switch {
	case f.TopicARN == "":
	case strings.HasSuffix(f.TopicARN, ".fifo"):
		found.add(at("topic_arn"), "must name a standard topic: FIFO topics are not supported")
	case !topicPattern.MatchString(f.TopicARN):
		found.add(at("topic_arn"), "must be like arn:aws:sns:eu-west-1:111122223333:stillpoint-results, not %s", short(f.TopicARN))
	}
	if f.Region != "" && !regionPattern.MatchString(f.Region) {
		found.add(at("region"), "must be an AWS Region such as eu-west-1, not %s", short(f.Region))
	}
	if f.InstanceID != "" {
		addErr(found, at("instance_id"), messages.CheckInstanceID(f.InstanceID))
	}
	checkPath(found, at("state_dir"), f.StateDir)
	checkPath(found, at("runtime_dir"), f.RuntimeDir)
	if f.StateDir == f.RuntimeDir {
		found.add(at("runtime_dir"), "must not be the same directory as state_dir")
	}
	checkHTTPAddr(found, at("http_addr"), f.HTTPAddr)
	checkOnce(found, at("allow_event_sources"), f.AllowEventSources)
	for i, s := range f.AllowEventSources {
		if s == "" || len(s) > 256 || strings.ContainsFunc(s, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }) {
			found.add(at("allow_event_sources").item(i), "must be the source of EventBridge events, such as com.example.ops, not %s", short(s))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Plans)) {
		w := at("plans").to(name)
		if err := messages.CheckPlanName(name); err != nil {
			found.add(w, "cannot be a plan's name: it %v", err)
			continue
		}
		f.Plans[name].check(found, w)
	}
	if f.DefaultPlan != "" && f.Plans[f.DefaultPlan] == nil {
		fix := "there are no plans"
		if names := slices.Sorted(maps.Keys(f.Plans)); len(names) > 0 {
			fix = "there is " + strings.Join(names[:min(len(names), 10)], ", ")
		}
		found.add(at("default_plan"), "must name a plan of this file, not %s: %s", short(f.DefaultPlan), fix)
	}
}

func checkQueueURL(found *findings, w where, s string) {
	if s == "" {
		return
	}
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Host == "", u.User != nil,
		strings.Trim(u.Path, "/") == "", QueueRegion(s) != "" && QueueARN(s) == "", u.RawQuery != "", u.Fragment != "":
		found.add(w, "must be like https://sqs.eu-west-1.amazonaws.com/111122223333/stillpoint-db1, not %s", short(s))
	case strings.HasSuffix(u.Path, ".fifo"):
		found.add(w, "must name a standard queue: FIFO queues are not supported")
	}
}

func checkHTTPAddr(found *findings, w where, s string) {
	if s == "" {
		return
	}
	_, port, err := net.SplitHostPort(s)
	if n, nerr := strconv.ParseUint(port, 10, 16); err != nil || nerr != nil || n > 65535 {
		found.add(w, "must be host:port, such as 127.0.0.1:9180, or \"\" to turn it off, not %s", short(s))
	}
}

// checkPath wants an absolute path as the system itself would write it.
func checkPath(found *findings, w where, s string) {
	switch {
	case !strings.HasPrefix(s, "/"):
		found.add(w, "must be an absolute path, not %s", short(s))
	case strings.ContainsFunc(s, unicode.IsControl):
		found.add(w, "must not have control characters, as in %s", short(s))
	case path.Clean(s) != s:
		found.add(w, "must be a clean path: write %s, not %s", short(path.Clean(s)), short(s))
	}
}

// checkOnce wants every element of a list once.
func checkOnce(found *findings, w where, list []string) {
	for i, s := range list {
		if slices.Contains(list[:i], s) {
			found.add(w.item(i), "stands in the list twice: %s", short(s))
		}
	}
}

func addErr(found *findings, w where, err error) {
	if err != nil {
		found.add(w, "%v", err)
	}
}
