package events

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// event is the envelope that a target gets: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html
type event struct {
	Version    string         `json:"version"`
	ID         string         `json:"id"`
	DetailType string         `json:"detail-type"`
	Source     string         `json:"source"`
	Account    string         `json:"account"`
	Time       string         `json:"time"`
	Region     string         `json:"region"`
	Resources  []string       `json:"resources"`
	Detail     jsontext.Value `json:"detail"`
}

// outline is an event as <aws.events.event> has it: without its detail, and with detailType for detail-type, which the documents
// do not say. Recorded from AWS in
// https://github.com/localstack/localstack/blob/main/tests/aws/services/events/test_events_inputs.snapshot.json
type outline struct {
	ID         string   `json:"id"`
	Account    string   `json:"account"`
	DetailType string   `json:"detailType"`
	Time       string   `json:"time"`
	Source     string   `json:"source"`
	Region     string   `json:"region"`
	Resources  []string `json:"resources"`
	Version    string   `json:"version"`
}

// stamp writes a time as events do: whole seconds, in UTC.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// scheduled is the event of a rule whose time has come, with an id of its own each time. The documents show it in
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html
func (s *Service) scheduled(ruleARN string, due time.Time) event {
	return event{
		Version: "0", ID: uuid.NewString(), DetailType: "Scheduled Event", Source: "aws.events", Account: s.Account,
		Time: stamp(due), Region: s.Region, Resources: []string{ruleARN}, Detail: jsontext.Value("{}"),
	}
}

// text is the event without white space. It cannot fail for the events that are made here: their detail was read before.
func (e event) text() jsontext.Value {
	text, err := json.Marshal(e)
	if err != nil {
		return jsontext.Value("{}")
	}
	return text
}

func (e event) outline() jsontext.Value {
	text, err := json.Marshal(outline{e.ID, e.Account, e.DetailType, e.Time, e.Source, e.Region, e.Resources, e.Version})
	if err != nil {
		return jsontext.Value("{}")
	}
	return text
}
