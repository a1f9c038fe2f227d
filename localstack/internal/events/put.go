package events

import (
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"stillpoint/localstack/internal/constraint"
	"stillpoint/localstack/internal/pattern"
	"stillpoint/localstack/internal/wire"
)

// maxPut bounds all entries of a request together, in bytes: "the total entry size must be less than 1MB", says PutEvents in
// aws-sdk-go-v2's eventbridge v1.55.9. Older documents say 256 KB.
const maxPut = 1 << 20

type putEventsInput struct {
	Entries    []entry
	EndpointId string
}

type entry struct {
	Time         *float64 // in seconds since 1970
	Source       string
	Resources    []string
	DetailType   string
	Detail       string
	EventBusName string
	TraceHeader  string
}

// size is as https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-putevent-size has it.
func (e *entry) size() int {
	n := len(e.Source) + len(e.DetailType) + len(e.Detail)
	if e.Time != nil {
		n += 14
	}
	for _, r := range e.Resources {
		n += len(r)
	}
	return n
}

type putResult struct {
	EventId      string `json:",omitempty"`
	ErrorCode    string `json:",omitempty"`
	ErrorMessage string `json:",omitempty"`
}

type putEventsOutput struct {
	FailedEntryCount int
	Entries          []putResult
}

// refuse says why an entry is not taken, with the codes that the API reference lists and the words that were recorded from AWS
// in https://github.com/localstack/localstack/blob/main/tests/aws/services/events/test_events.snapshot.json. There an entry
// alone in its request gets its error in a 200, although the reference says that such a request fails as a whole.
func (e *entry) refuse() (code, message string) {
	for _, m := range []struct{ name, value string }{{"Source", e.Source}, {"DetailType", e.DetailType}, {"Detail", e.Detail}} {
		if m.value == "" {
			return "InvalidArgument", "Parameter " + m.name + " is not valid. Reason: " + m.name + " is a required argument."
		}
	}
	if utf8.RuneCountInString(e.DetailType) > 128 {
		return "InvalidArgument", "Parameter DetailType is not valid. Reason: it has more than 128 characters."
	}
	if len(e.Source) >= 4 && e.Source[:4] == "aws." {
		return "NotAuthorizedForSourceException", "Not authorized for the source."
	}
	if _, ok := object(e.Detail); !ok {
		return "MalformedDetail", "Detail is malformed."
	}
	if e.TraceHeader != "" {
		return "InvalidArgument", "Parameter TraceHeader is not valid. Reason: localstack does not pass on trace headers."
	}
	return "", ""
}

// putEvents takes each entry for itself. One for a bus that does not exist is taken and comes to nothing, as recorded from AWS
// (test_put_events_nonexistent_event_bus, see entry.refuse).
func (s *Service) putEvents(c *wire.Call, in putEventsInput) (putEventsOutput, *wire.Error) {
	var checks constraint.Checks
	checks.Count("entries", len(in.Entries), 1, 10)
	total := 0
	for i := range in.Entries {
		total += in.Entries[i].size()
		for _, r := range in.Entries[i].Resources {
			checks.Text("entries.resources", r, 0, 2048, nil)
		}
	}
	if apiErr := checks.Err(); apiErr != nil {
		return putEventsOutput{}, apiErr
	}
	if in.EndpointId != "" {
		return putEventsOutput{}, invalid("localstack has no global endpoints: EndpointId is refused")
	}
	if total >= maxPut {
		return putEventsOutput{}, invalid("Total size of the entries in the request is over the limit.")
	}
	out := putEventsOutput{Entries: make([]putResult, len(in.Entries))}
	for i := range in.Entries {
		e := &in.Entries[i]
		if code, message := e.refuse(); code != "" {
			out.Entries[i] = putResult{ErrorCode: code, ErrorMessage: message}
			out.FailedEntryCount++
			continue
		}
		out.Entries[i] = putResult{EventId: s.take(c, e)}
	}
	return out, nil
}

// take makes an event of an entry, gives it to the rules that match it, and returns its id.
func (s *Service) take(c *wire.Call, in *entry) string {
	now := s.Clock.Now()
	at := now
	if in.Time != nil {
		at = time.Unix(int64(*in.Time), 0)
	}
	detail, _ := object(in.Detail)
	e := event{
		Version: "0", ID: uuid.NewString(), DetailType: in.DetailType, Source: in.Source, Account: s.Account,
		Time: stamp(at), Region: s.Region, Resources: append([]string{}, in.Resources...), Detail: detail,
	}
	s.mu.Lock()
	b, apiErr := s.bus(in.EventBusName)
	var matched []rule
	if apiErr == nil {
		c.About(s.busARN(b.name))
		matched = b.match(e.text())
	}
	s.mu.Unlock()
	if apiErr != nil {
		s.Log.Warn().Str("event_bus", in.EventBusName).Str("event_id", e.ID).Msg("event lost: its bus does not exist")
	}
	for i := range matched {
		s.fire(&matched[i], now, stamp(at), func() event { return e })
	}
	return e.ID
}

// match is a copy of each rule that an event triggers, in the order of their names. A rule that has a schedule and no pattern is
// triggered by none.
func (b *bus) match(text jsontext.Value) []rule {
	var out []rule
	for _, r := range b.sorted() {
		if r.pattern == nil || !r.on() {
			continue
		}
		if ok, err := r.pattern.MatchEvent(text); err == nil && ok {
			out = append(out, *r)
		}
	}
	return out
}

type testPatternInput struct {
	EventPattern string
	Event        string
}

type testPatternOutput struct{ Result bool }

// mandatory are the members that TestEventPattern wants in an event.
var mandatory = []string{"id", "account", "source", "time", "region", "resources", "detail-type"}

func (s *Service) testEventPattern(_ *wire.Call, in testPatternInput) (testPatternOutput, *wire.Error) {
	p, err := pattern.ParseEvent([]byte(in.EventPattern))
	if err != nil {
		return testPatternOutput{}, wire.Errorf("InvalidEventPatternException", "Event pattern is not valid. Reason: %v", err)
	}
	doc, ok := object(in.Event)
	if !ok {
		return testPatternOutput{}, invalid("Parameter Event is not valid. Reason: it is not a JSON object.")
	}
	for _, name := range mandatory {
		if len((step{name: name, index: -1}).from(doc)) == 0 {
			return testPatternOutput{}, invalid("Parameter Event is not valid. Reason: %s is missing.", name)
		}
	}
	matches, err := p.MatchEvent(doc)
	if err != nil {
		return testPatternOutput{}, invalid("Parameter Event is not valid. Reason: %v", err)
	}
	return testPatternOutput{matches}, nil
}
