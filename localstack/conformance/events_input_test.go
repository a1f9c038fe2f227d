package conformance

import (
	"encoding/json"
	"time"

	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// eventsInput is what a target gets of an event.
var eventsInput = []behaviour{
	{
		ID: "eb-input-constant", Service: theEventBridge, Needs: alone,
		Says:   "A target with Input gets that, and nothing of the event.",
		Source: from(api("events", "PutTargets")),
		Run: func(c *check) {
			r := c.reaction(func(t *ebtypes.Target) { t.Input = ptr(`{"plan":"nightly"}`) })
			c.put(anEvent(r.source))
			c.equal("body", *c.delivered("it is delivered", r.queue).Body, `{"plan":"nightly"}`)
		},
	},
	{
		ID: "eb-input-path", Service: theEventBridge, Needs: alone,
		Says:   "A target with InputPath gets that part of the event alone, as JSON: a text has its quotes.",
		Source: from(api("events", "PutTargets")),
		Run: func(c *check) {
			for path, want := range map[string]string{"$.detail": `{"a":{"b":1},"x":"y"}`, "$.detail.a": `{"b":1}`, "$.detail.x": `"y"`} {
				r := c.reaction(func(t *ebtypes.Target) { t.InputPath = &path })
				c.put(anEvent(r.source))
				c.equal("body with "+path, *c.delivered("it is delivered with "+path, r.queue).Body, want)
			}
		},
	},
	{
		ID: "eb-input-transformer-json", Service: theEventBridge, Needs: alone,
		Says:   "In a template that is JSON a variable is put in as JSON, a text with quotes, an object as it is; in quotes it is put in as text.",
		Source: from(in("events", "eb-transform-target-input", guide)),
		Run: func(c *check) {
			r := c.reaction(func(t *ebtypes.Target) {
				t.InputTransformer = &ebtypes.InputTransformer{
					InputPathsMap: map[string]string{"x": "$.detail.x", "a": "$.detail.a", "n": "$.detail.a.b"},
					InputTemplate: ptr(`{"text": <x>, "object": <a>, "number": <n>, "within": "is <x>"}`),
				}
			})
			c.put(anEvent(r.source))
			var got any
			body := *c.delivered("it is delivered", r.queue).Body
			c.need("it is JSON", json.Unmarshal([]byte(body), &got) == nil, body)
			c.equal("body", got, any(map[string]any{"text": "y", "object": map[string]any{"b": 1.0}, "number": 1.0, "within": "is y"}))
		},
	},
	{
		ID: "eb-input-transformer-string", Service: theEventBridge, Needs: alone,
		Says:   "A template that is a text in quotes gives that text, with its quotes.",
		Source: from(in("events", "eb-transform-target-input", guide)),
		Run: func(c *check) {
			r := c.reaction(func(t *ebtypes.Target) {
				t.InputTransformer = &ebtypes.InputTransformer{InputPathsMap: map[string]string{"x": "$.detail.x"}, InputTemplate: ptr(`"it is <x>"`)}
			})
			c.put(anEvent(r.source))
			c.equal("body", *c.delivered("it is delivered", r.queue).Body, `"it is y"`)
		},
	},
	{
		ID: "eb-input-transformer-reserved", Service: theEventBridge, Needs: alone,
		Says:   "The variables aws.events.rule-arn, .rule-name, .event.ingestion-time and .event.json are there without a path.",
		Source: from(in("events", "eb-transform-target-input", guide)),
		Run: func(c *check) {
			r := c.reaction(func(t *ebtypes.Target) {
				t.InputTransformer = &ebtypes.InputTransformer{InputTemplate: ptr(
					`{"arn":<aws.events.rule-arn>,"name":<aws.events.rule-name>,"at":<aws.events.event.ingestion-time>,"event":<aws.events.event.json>}`)}
			})
			id := c.put(anEvent(r.source))
			var got struct {
				Arn, Name string
				At        time.Time
				Event     map[string]any
			}
			body := *c.delivered("it is delivered", r.queue).Body
			c.need("it is JSON", json.Unmarshal([]byte(body), &got) == nil, body)
			c.equal("rule-arn", got.Arn == r.arn, true)
			c.equal("rule-name", got.Name == r.rule, true)
			c.is("ingestion-time", time.Since(got.At).Abs() < time.Minute, got.At)
			c.equal("event.json", got.Event["id"] == id, true)
		},
	},
}
