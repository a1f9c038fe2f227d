package messages

import (
	"fmt"
	"strings"
	"time"
)

// Decode reads the body of a message: envelopes, at most MaxEnvelopes deep,
// and the request in them, by the contract's rules. The error is an
// *InvalidError. The Delivery that comes with it says what was learned
// nevertheless, so that a rejection can name the request: Source of the
// innermost envelope that was opened, RequestID (the request's own where that
// was readable and valid, else the derived one; "" where there was neither),
// RequestedAt, and of Plan and DryRun what was valid.
func Decode(body []byte, m Meta) (Delivery, error) {
	d := decoding{meta: m, now: orNow(m.Now)}
	d.out.Source = SourceSQS
	d.out.RequestedAt = orElse(m.SentAt, d.now).UTC()
	if id := prefixSQS + m.MessageID; m.MessageID != "" && requestIDPattern.MatchString(id) {
		d.out.Request.RequestID = id
	}
	if err := d.message(body); err != nil {
		return d.out, invalid(err.Error())
	}
	return d.out, nil
}

// decoding is one call of Decode.
type decoding struct {
	meta Meta
	now  time.Time
	out  Delivery
}

// message opens envelopes from the outside in, down to the request.
func (d *decoding) message(body []byte) error {
	if len(body) > MaxRequestBytes {
		return fmt.Errorf("the message has %d bytes: expected at most %d", len(body), MaxRequestBytes)
	}
	where := ""
	for depth := 0; ; depth++ {
		o, err := readObject(body)
		if err != nil {
			return inPlace(where, err)
		}
		wrapped := looksLikeSNS(o) || looksLikeEvent(o)
		if wrapped && depth == MaxEnvelopes {
			return fmt.Errorf("more than %d envelopes around the request: expected at most that", MaxEnvelopes)
		}
		switch {
		case !wrapped:
			return inPlace(where, d.request(o))
		case looksLikeSNS(o):
			text, err := d.notification(o)
			if err != nil {
				return inPlace(where, err)
			}
			body, where = []byte(text), "the SNS notification's Message"
		default:
			return d.event(o)
		}
	}
}

// request reads the request itself. It goes on after the first bad key, so
// that what is good about the rest can be told.
func (d *decoding) request(o object) error {
	r := Request{SchemaVersion: SchemaVersion, Action: ActionSnapshot}
	var first error
	for _, m := range o {
		if err := d.key(&r, m); err != nil && first == nil {
			first = err
		}
	}
	if r.RequestID == "" {
		r.RequestID = d.out.Request.RequestID
	}
	if first != nil {
		d.out.Request = Request{RequestID: r.RequestID, Plan: r.Plan, DryRun: r.DryRun}
		return first
	}
	if r.RequestID == "" {
		d.out.Request = r
		return fmt.Errorf("requestId is missing, and the message has no id to derive one from: expected %s", requestIDSyntax)
	}
	d.out.Request = r
	if !r.ScheduledTime.IsZero() {
		d.out.RequestedAt = r.ScheduledTime
	}
	return nil
}

// key reads one key of the request. The field is set only where it is valid.
func (d *decoding) key(r *Request, m member) error {
	switch m.name {
	case "schemaVersion":
		return setString(&r.SchemaVersion, m, checkVersion)
	case "action":
		return setString(&r.Action, m, checkAction)
	case "requestId":
		return setString(&r.RequestID, m, prefixed(m.name, CheckRequestID))
	case "plan":
		return setString(&r.Plan, m, prefixed(m.name, CheckPlanName))
	case "instanceId":
		return setString(&r.InstanceID, m, prefixed(m.name, CheckInstanceID))
	case "description":
		return setString(&r.Description, m, prefixed(m.name, CheckDescription))
	case "scheduledTime":
		t, err := timeOf(m.name, m.value)
		if err != nil {
			return err
		}
		if err := checkDue(t, d.now); err != nil {
			return named(m.name, err)
		}
		r.ScheduledTime = t
	case "maxAge":
		return setDuration(&r.MaxAge, m)
	case "tags":
		return setTags(&r.Tags, m)
	case "dryRun":
		if k := m.value.Kind(); k != 't' && k != 'f' {
			return fmt.Errorf("dryRun must be true or false, not %s", kindName(k))
		}
		r.DryRun = m.value.Kind() == 't'
	default:
		return unknownKey(m.name)
	}
	return nil
}

// requestKeys are the keys of a request, in the order of the contract.
var requestKeys = []string{"schemaVersion", "requestId", "action", "plan", "instanceId",
	"scheduledTime", "maxAge", "description", "tags", "dryRun"}

func unknownKey(name string) error {
	plain := func(s string) string { return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s)) }
	if len(name) <= maxEcho {
		for _, k := range requestKeys {
			if plain(k) == plain(name) {
				return fmt.Errorf("unknown key %s: did you mean %s? Keys are case-sensitive", quote(name), k)
			}
		}
	}
	return fmt.Errorf("unknown key %s: expected only %s", quote(name), strings.Join(requestKeys, ", "))
}

func setString(to *string, m member, check func(string) error) error {
	s, err := stringOf(m.name, m.value)
	if err != nil {
		return err
	}
	if err := check(s); err != nil {
		return err
	}
	*to = s
	return nil
}

func prefixed(key string, check func(string) error) func(string) error {
	return func(s string) error { return named(key, check(s)) }
}

func setDuration(to *Duration, m member) error {
	const expected = `a string with a unit, such as "90s" or "1h"`
	if m.value.Kind() != '"' {
		return fmt.Errorf("%s must be %s, not %s", m.name, expected, kindName(m.value.Kind()))
	}
	s, err := stringOf(m.name, m.value)
	if err != nil {
		return err
	}
	v, err := ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%s must be %s, not %s", m.name, expected, quote(s))
	}
	if v == 0 {
		return fmt.Errorf("%s must be more than 0s, not %s", m.name, quote(s))
	}
	*to = Duration(v)
	return nil
}

func setTags(to *map[string]string, m member) error {
	if m.value.Kind() != '{' {
		return fmt.Errorf("tags must be an object of strings, not %s", kindName(m.value.Kind()))
	}
	o, err := readObject(m.value)
	if err != nil {
		return inPlace("tags", err)
	}
	if len(o) > MaxTags {
		return fmt.Errorf("tags must be at most %d, not %d", MaxTags, len(o))
	}
	if len(o) == 0 {
		return nil
	}
	tags := make(map[string]string, len(o))
	for _, t := range o {
		v, err := stringOf("the value of "+quote(t.name)+" in tags", t.value)
		if err != nil {
			return err
		}
		if err := checkTag(t.name, v); err != nil {
			return err
		}
		tags[t.name] = v
	}
	*to = tags
	return nil
}

func orElse(t, other time.Time) time.Time {
	if t.IsZero() {
		return other
	}
	return t
}
