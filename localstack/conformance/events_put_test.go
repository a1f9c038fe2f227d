package conformance

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// eventsPut is PutEvents and what becomes of an event.
var eventsPut = []behaviour{
	{
		ID: "eb-event-envelope", Service: theEventBridge, Needs: alone,
		Says: "A target gets the event as JSON: version 0, the id that PutEvents answered, detail-type, source, account, time in whole seconds " +
			"of UTC, region, resources and detail, and nothing else.",
		Source: from(in("events", "eb-events", guide), seen("events", "test_put_events_with_time_field")),
		Run: func(c *check) {
			r := c.reaction(nil)
			e := anEvent(r.source)
			e.Resources = []string{"arn:aws:ec2:" + region + ":" + c.account + ":volume/" + noVolume}
			id := c.put(e)
			got := c.eventOf(c.delivered("it is delivered", r.queue))
			c.equal("members", slices.Sorted(maps.Keys(got)),
				[]string{"account", "detail", "detail-type", "id", "region", "resources", "source", "time", "version"})
			c.is("the time is now", time.Since(c.timeOf(got)).Abs() < time.Minute, got["time"])
			c.is("the id is a UUID", uuidPattern.MatchString(id))
			delete(got, "time")
			c.equal("id", got["id"] == id, true)
			delete(got, "id")
			c.equal("source", got["source"] == r.source, true)
			delete(got, "source")
			for name, want := range map[string]any{
				"version": "0", "detail-type": "thing", "account": c.account, "region": region, "resources": []any{e.Resources[0]},
				"detail": map[string]any{"a": map[string]any{"b": 1.0}, "x": "y"},
			} {
				c.equal(name, got[name], want)
			}
		},
	},
	{
		ID: "eb-putevents-entries", Service: theEventBridge, Needs: alone,
		Says:   "PutEvents takes 1 to 10 entries, and answers one result for each, in their order: an EventId, or a code and a message; HTTP 200.",
		Source: from(api("events", "PutEvents"), seen("events", "test_put_events_exceed_limit_ten_entries")),
		Run: func(c *check) {
			put := func(entries ...ebtypes.PutEventsRequestEntry) (*eventbridge.PutEventsOutput, error) {
				return c.events.PutEvents(c.ctx, &eventbridge.PutEventsInput{Entries: append([]ebtypes.PutEventsRequestEntry{}, entries...)})
			}
			_, err := put()
			c.refused("none", err, 400, "ValidationException")
			good, bad := anEvent(c.name()), anEvent(c.name())
			bad.Detail = ptr("no JSON")
			_, err = put(slices.Repeat([]ebtypes.PutEventsRequestEntry{good}, 11)...)
			c.refused("eleven", err, 400, "ValidationException")
			out, err := put(good, bad, good)
			if !c.ok("three, one of them bad", err) {
				return
			}
			c.equal("failed", out.FailedEntryCount, int32(1))
			c.need("results", len(out.Entries) == 3, len(out.Entries))
			for i, e := range out.Entries {
				c.equal("only the second has no id", value(e.EventId) == "", i == 1)
				c.equal("only the second has a code and a message", value(e.ErrorCode) != "" && value(e.ErrorMessage) != "", i == 1)
			}
		},
	},
	{
		ID: "eb-putevents-malformed-detail", Service: theEventBridge, Needs: alone,
		Says:   "A Detail that is not a JSON object is MalformedDetail, for that entry.",
		Source: from(api("events", "PutEvents"), seen("events", "test_put_event_malformed_detail")),
		Run: func(c *check) {
			for _, detail := range []string{"nojson", "[1]", `"x"`, `{"a":1} {}`} {
				c.entryRefused(detail, "MalformedDetail", func(e *ebtypes.PutEventsRequestEntry) { e.Detail = &detail })
			}
		},
	},
	{
		ID: "eb-putevents-required-fields", Service: theEventBridge, Needs: alone,
		Says:   "An entry without Source, DetailType or Detail fails with InvalidArgument; the others are taken.",
		Source: from(api("events", "PutEvents"), seen("events", "test_put_events_without_source, test_put_event_without_detail, test_put_event_without_detail_type")),
		Run: func(c *check) {
			c.entryRefused("without Source", "InvalidArgument", func(e *ebtypes.PutEventsRequestEntry) { e.Source = nil })
			c.entryRefused("without DetailType", "InvalidArgument", func(e *ebtypes.PutEventsRequestEntry) { e.DetailType = nil })
			c.entryRefused("without Detail", "InvalidArgument", func(e *ebtypes.PutEventsRequestEntry) { e.Detail = nil })
		},
	},
	{
		ID: "eb-putevents-aws-source", Service: theEventBridge, Needs: alone,
		Says:   "A Source that begins with aws. is NotAuthorizedForSourceException, for that entry.",
		Source: from(api("events", "PutEvents"), in("events", "eb-events", guide)),
		Run: func(c *check) {
			c.entryRefused("aws.ec2", "NotAuthorizedForSourceException", func(e *ebtypes.PutEventsRequestEntry) { e.Source = ptr("aws.ec2") })
			c.equal("another one that begins like it", value(c.entry(func(e *ebtypes.PutEventsRequestEntry) { e.Source = ptr("awsome") }).ErrorCode), "")
		},
	},
	{
		ID: "eb-putevents-detail-type-128", Service: theEventBridge, Needs: alone,
		Says:   "A DetailType has at most 128 characters; a longer one fails its entry.",
		Source: from(api("events", "PutEvents")),
		Run: func(c *check) {
			with := func(n int) string {
				return value(c.entry(func(e *ebtypes.PutEventsRequestEntry) { e.DetailType = ptr(strings.Repeat("d", n)) }).ErrorCode)
			}
			c.equal("128", with(128), "")
			c.equal("129", with(129), "InvalidArgument")
		},
	},
	{
		ID: "eb-putevents-size", Service: theEventBridge, Needs: alone,
		Says: "All entries of a PutEvents together have to be smaller than a limit: 1 MB in the newest text, 256 KB in an older one. " +
			"Over 1 MiB the request is refused, HTTP 400; 200,000 bytes are taken.",
		Source: from(api("events", "PutEvents"), seen("events", "test_put_event_with_too_big_detail")),
		Run: func(c *check) {
			put := func(bytes int) error {
				e := anEvent(c.name())
				e.Detail = ptr(`{"a":"` + strings.Repeat("x", bytes) + `"}`)
				_, err := c.events.PutEvents(c.ctx, &eventbridge.PutEventsInput{Entries: []ebtypes.PutEventsRequestEntry{e}})
				return err
			}
			c.ok("200,000 bytes", put(200_000))
			c.refused("1 MiB", put(1<<20), 400)
		},
	},
	{
		ID: "eb-putevents-bus-missing", Service: theEventBridge, Needs: alone,
		Says:   "An entry for a bus that there is not is taken, gets an id, and comes to nothing.",
		Source: from(seen("events", "test_put_events_nonexistent_event_bus")),
		Run: func(c *check) {
			e := anEvent(c.name())
			e.EventBusName = ptr(c.name())
			out, err := c.events.PutEvents(c.ctx, &eventbridge.PutEventsInput{Entries: []ebtypes.PutEventsRequestEntry{e}})
			if c.ok("put", err) {
				c.is("it gets an id", len(out.Entries) == 1 && value(out.Entries[0].EventId) != "")
			}
		},
	},
	{
		ID: "eb-putevents-time", Service: theEventBridge, Needs: alone,
		Says:   "Time of an entry is the time of the event.",
		Source: from(api("events", "PutEvents")),
		Run: func(c *check) {
			r := c.reaction(nil)
			e := anEvent(r.source)
			e.Time = ptr(time.Unix(1_700_000_000, 0))
			c.put(e)
			c.equal("time", c.eventOf(c.delivered("it is delivered", r.queue))["time"], any("2023-11-14T22:13:20Z"))
		},
	},
	{
		ID: "eb-pattern-no-match", Service: theEventBridge, Needs: alone,
		Says:   "A rule gets the events that its pattern matches, and no others.",
		Source: from(api("events", "PutRule"), in("events", "eb-events", guide)),
		Run: func(c *check) {
			r := c.reaction(nil)
			c.put(anEvent(r.source + "x"))
			id := c.put(anEvent(r.source))
			got := c.bodies(r.queue, 1)
			c.need("one event", len(got) == 1, len(got))
			c.is("the right one", contained(got[0], id))
		},
	},
	{
		ID: "eb-pattern-operators", Service: theEventBridge,
		Says: "Patterns have prefix, suffix, anything-but, numeric, exists, wildcard, equals-ignore-case and $or; TestEventPattern says whether one " +
			"matches.",
		Source: from(api("events", "TestEventPattern"), in("events", "eb-event-patterns-content-based-filtering", unread)),
		Run: func(c *check) {
			event := string(must(json.Marshal(map[string]any{
				"id": "1", "detail-type": "thing", "source": "app", "account": "111122223333", "time": "2020-01-01T00:00:00Z", "region": region,
				"resources": []string{}, "detail": map[string]any{"n": 5, "x": "Yes"},
			}))(c))
			for pattern, want := range map[string]bool{
				`{"source":["app"]}`: true, `{"source":["ap"]}`: false, `{"source":["other","app"]}`: true,
				`{"source":["app"],"detail-type":["other"]}`: false,
				`{"detail":{"x":[{"prefix":"Y"}]}}`:          true, `{"detail":{"x":[{"prefix":"y"}]}}`: false,
				`{"detail":{"x":[{"suffix":"es"}]}}`: true, `{"detail":{"x":[{"suffix":"Y"}]}}`: false,
				`{"detail":{"x":[{"anything-but":"No"}]}}`: true, `{"detail":{"x":[{"anything-but":["Yes"]}]}}`: false,
				`{"detail":{"n":[{"numeric":[">",0,"<=",5]}]}}`: true, `{"detail":{"n":[{"numeric":[">",5]}]}}`: false,
				`{"detail":{"x":[{"exists":true}]}}`: true, `{"detail":{"x":[{"exists":false}]}}`: false, `{"detail":{"q":[{"exists":false}]}}`: true,
				`{"detail":{"x":[{"wildcard":"Y*s"}]}}`: true, `{"detail":{"x":[{"wildcard":"Y*z"}]}}`: false,
				`{"detail":{"x":[{"equals-ignore-case":"yES"}]}}`:         true,
				`{"$or":[{"source":["no"]},{"detail-type":["thing"]}]}`:   true,
				`{"$or":[{"source":["no"]},{"detail-type":["nothing"]}]}`: false,
			} {
				out, err := c.events.TestEventPattern(c.ctx, &eventbridge.TestEventPatternInput{EventPattern: &pattern, Event: &event})
				if c.ok(pattern, err) {
					c.equal(pattern+" matches", out.Result, want)
				}
			}
		},
	},
}
