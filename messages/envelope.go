package messages

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The EventBridge sources whose events are schedules' own.
var scheduleSources = []string{"aws.events", "aws.scheduler"}

// looksLikeSNS says that an object is meant as an SNS notification, be it a
// broken one: a request has none of these keys.
func looksLikeSNS(o object) bool {
	return o.has("TopicArn") || o.has("Type") && o.has("Message")
}

// looksLikeEvent says the same of an EventBridge event.
func looksLikeEvent(o object) bool {
	return o.has("detail-type") || o.has("source") && o.has("detail")
}

// notification opens an SNS notification and returns its Message. Keys that
// SNS may add are not looked at.
func (d *decoding) notification(o object) (string, error) {
	d.out.Source = SourceSNS
	field := func(name string) (string, error) {
		v, ok := o.get(name)
		if !ok {
			return "", fmt.Errorf("the SNS notification has no %s: expected a string", name)
		}
		return stringOf("the SNS notification's "+name, v)
	}
	kind, err := field("Type")
	if err != nil {
		return "", err
	}
	if kind != "Notification" {
		return "", fmt.Errorf("the SNS message's Type must be \"Notification\", not %s", quote(kind))
	}
	if _, err := field("TopicArn"); err != nil {
		return "", err
	}
	if o.has("MessageId") {
		id, err := field("MessageId")
		if err != nil {
			return "", err
		}
		if err := d.derive(prefixSNS+id, "the SNS notification's MessageId"); err != nil {
			return "", err
		}
	}
	if v, ok := o.get("Timestamp"); ok {
		if err := d.asOf("the SNS notification's Timestamp", v); err != nil {
			return "", err
		}
	}
	return field("Message")
}

// event opens an EventBridge event and reads the request in its detail.
func (d *decoding) event(o object) error {
	d.out.Source = SourceEventBridge
	e, err := readEvent(o)
	if err != nil {
		return err
	}
	if v, ok := o.get("time"); ok {
		if err := d.asOf("the EventBridge event's time", v); err != nil {
			return err
		}
		e.time = d.out.RequestedAt
	}
	// A rule that fires twice for one tick sends two event ids with one time.
	switch {
	case e.detailType == "Scheduled Event" && slices.Contains(scheduleSources, e.source) && e.resource != "" && !e.time.IsZero():
		err = d.derive(prefixEventBridge+e.resource+"/"+e.time.Format(time.RFC3339Nano), "the EventBridge event's first resource")
	case e.id != "":
		err = d.derive(prefixEventBridge+e.source+"/"+e.id, "the EventBridge event's source and id")
	}
	if err != nil {
		return err
	}
	scheduled := slices.Contains(scheduleSources, e.source)
	if !scheduled && !slices.Contains(d.meta.AllowSources, e.source) {
		return fmt.Errorf("the EventBridge source %s is not allowed: expected aws.events, aws.scheduler or one that stands in allow_event_sources", quote(e.source))
	}
	const where = "the EventBridge event's detail"
	detail, err := readObject(e.detail)
	if err != nil {
		return inPlace(where, err)
	}
	if len(detail) == 0 && !scheduled {
		return fmt.Errorf("%s is empty: expected a request, since only a schedule's event may ask for the default plan so", where)
	}
	return inPlace(where, d.request(detail))
}

// event is what is needed of an EventBridge event.
type event struct {
	source, detailType, id string
	resource               string    // the first of them; "" none
	time                   time.Time // set by the caller; zero: none
	detail                 []byte    // the text of a JSON object
}

func readEvent(o object) (e event, err error) {
	name := func(key string) string { return "the EventBridge event's " + key }
	for _, f := range []struct {
		key      string
		to       *string
		required bool
	}{{"source", &e.source, true}, {"detail-type", &e.detailType, true}, {"id", &e.id, false}} {
		v, ok := o.get(f.key)
		if !ok && f.required {
			return e, fmt.Errorf("the EventBridge event has no %s: expected a string", f.key)
		}
		if !ok {
			continue
		}
		if *f.to, err = stringOf(name(f.key), v); err != nil {
			return e, err
		}
	}
	if v, ok := o.get("resources"); ok {
		if e.resource, err = firstResource(name("resources"), v); err != nil {
			return e, err
		}
	}
	v, ok := o.get("detail")
	switch {
	case !ok:
		return e, fmt.Errorf("the EventBridge event has no detail: expected an object")
	case v.Kind() == '{':
		e.detail = v
	case v.Kind() == '"':
		s, err := stringOf(name("detail"), v)
		if err != nil {
			return e, err
		}
		e.detail = []byte(s)
		if strings.TrimSpace(s) == "" {
			e.detail = []byte("{}")
		}
	default:
		return e, fmt.Errorf("%s must be an object or a string that holds one, not %s", name("detail"), kindName(v.Kind()))
	}
	return e, nil
}

// firstResource reads an array of strings and returns its first; "" where it is empty.
func firstResource(name string, v jsontext.Value) (string, error) {
	if v.Kind() != '[' {
		return "", fmt.Errorf("%s must be an array of strings, not %s", name, kindName(v.Kind()))
	}
	var list []jsontext.Value
	if err := json.Unmarshal(v, &list); err != nil {
		return "", fmt.Errorf("%s must be an array of strings", name)
	}
	first := ""
	for i, el := range list {
		s, err := stringOf("each of "+name, el)
		if err != nil {
			return "", err
		}
		if i == 0 {
			first = s
		}
	}
	return first, nil
}

// asOf takes an envelope's time as what the age counts from. One that lies
// ahead is refused like a scheduledTime: it would keep a request from growing old.
func (d *decoding) asOf(name string, v jsontext.Value) error {
	t, err := timeOf(name, v)
	if err != nil {
		return err
	}
	if err := checkDue(t, d.now); err != nil {
		return named(name, err)
	}
	d.out.RequestedAt = t
	return nil
}

// derive sets the id that the request has where it names none itself. One that
// is too long for a tag is replaced by its digest: a rule's ARN may have 300 characters and more.
func (d *decoding) derive(id, from string) error {
	if prefix, rest, _ := strings.Cut(id, ":"); len(id) > MaxRequestID {
		sum := sha256.Sum256([]byte(rest))
		id = prefix + ":sha256:" + hex.EncodeToString(sum[:])
	}
	if !requestIDPattern.MatchString(id) {
		return fmt.Errorf("%s must make a request id, and %s is not %s", from, quote(id), requestIDSyntax)
	}
	d.out.Request.RequestID = id
	return nil
}
