package doctor

import "stillpoint/messages"

// Status is what came of looking at one thing.
type Status string

// OK: looked at, and good. Warn: works, but not as well as it could, or it could
// not be looked at. Fail: a snapshot would fail, would not be what the plan asks
// for, or nobody would hear of it.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "FAIL"
)

// Finding is one line of the report.
type Finding struct {
	// Check names what was looked at, such as queue.visibility. It does not change between versions.
	Check string `json:"check"`
	// Plan is the plan that it belongs to; empty where it belongs to all of them.
	Plan   string `json:"plan,omitempty"`
	Status Status `json:"status"`
	// Checked is false where it could not be looked at. Such a finding is never ok.
	Checked bool `json:"checked"`
	// Message is what was seen: a sentence without a full stop, or several.
	Message string `json:"message"`
	// Fix is what to do about it; empty where there is nothing to do.
	Fix string `json:"fix,omitempty"`
}

// Good is a finding of what was looked at and is well.
func Good(message string) Finding { return Finding{Status: OK, Checked: true, Message: message} }

// Poor is a finding that does not stop a snapshot.
func Poor(message, fix string) Finding {
	return Finding{Status: Warn, Checked: true, Message: message, Fix: fix}
}

// Bad is a finding that does.
func Bad(message, fix string) Finding {
	return Finding{Status: Fail, Checked: true, Message: message, Fix: fix}
}

// Unchecked is for what could not be looked at: why says so, fix what to do that it can be.
func Unchecked(why, fix string) Finding {
	return Finding{Status: Warn, Message: "not checked: " + why, Fix: fix}
}

// ReportType is the type of a Report in JSON.
const ReportType = "stillpoint.doctor.report"

// Report is all that was found, in the order of the checks.
type Report struct {
	SchemaVersion string         `json:"schemaVersion"` // "1"
	Type          string         `json:"type"`          // ReportType
	Agent         messages.Agent `json:"agent"`
	InstanceID    string         `json:"instanceId,omitempty"`
	Region        string         `json:"region,omitempty"`
	// OK is true where nothing failed, and nobody interrupted.
	OK       bool      `json:"ok"`
	Findings []Finding `json:"findings"`
	// NotAsked names what is allowed or not, and cannot be asked without doing it:
	// no finding speaks of it.
	NotAsked []string `json:"notAsked,omitempty"`
}

// Count is how many findings have the status.
func (r Report) Count(s Status) int {
	n := 0
	for _, f := range r.Findings {
		if f.Status == s {
			n++
		}
	}
	return n
}
