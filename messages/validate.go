package messages

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// Validate says whether Decode would take the request as it stands: the same
// rules, for a request that was built and not read. The error is an
// *InvalidError. Zero fields are those that were left out. now is what
// "ahead" is measured from; zero: time.Now().
func (r Request) Validate(now time.Time) error {
	if err := r.check(orNow(now)); err != nil {
		return invalid(err.Error())
	}
	return nil
}

func (r Request) check(now time.Time) error {
	if err := checkVersion(r.SchemaVersion); r.SchemaVersion != "" && err != nil {
		return err
	}
	if err := checkAction(r.Action); r.Action != "" && err != nil {
		return err
	}
	if err := CheckRequestID(r.RequestID); r.RequestID != "" && err != nil {
		return named("requestId", err)
	}
	if err := CheckPlanName(r.Plan); r.Plan != "" && err != nil {
		return named("plan", err)
	}
	if err := CheckInstanceID(r.InstanceID); r.InstanceID != "" && err != nil {
		return named("instanceId", err)
	}
	if !r.ScheduledTime.IsZero() {
		if err := checkDue(r.ScheduledTime, now); err != nil {
			return named("scheduledTime", err)
		}
	}
	if r.MaxAge < 0 {
		return errors.New("maxAge must be more than 0s")
	}
	if err := CheckDescription(r.Description); err != nil {
		return named("description", err)
	}
	return checkTags(r.Tags)
}

func checkVersion(v string) error {
	if v != SchemaVersion {
		return fmt.Errorf("schemaVersion must be %q, not %s", SchemaVersion, quote(v))
	}
	return nil
}

func checkAction(a string) error {
	if a != ActionSnapshot {
		return fmt.Errorf("action must be %q, not %s", ActionSnapshot, quote(a))
	}
	return nil
}

// Encode writes a request as the body of a message, the same bytes for the
// same request. It does not validate: call Validate first where a person typed it.
func Encode(r Request) ([]byte, error) {
	if !r.ScheduledTime.IsZero() {
		r.ScheduledTime = r.ScheduledTime.UTC()
	}
	if len(r.Tags) == 0 {
		r.Tags = nil
	}
	b, err := json.Marshal(r, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("cannot encode the request: %w", err)
	}
	if len(b) > MaxRequestBytes {
		return nil, fmt.Errorf("cannot encode the request: it has %d bytes, and a message has at most %d", len(b), MaxRequestBytes)
	}
	return b, nil
}

func orNow(t time.Time) time.Time {
	if t.IsZero() {
		return time.Now()
	}
	return t
}
