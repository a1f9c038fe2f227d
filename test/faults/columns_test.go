package faults

import (
	"strings"
	"time"

	"stillpoint/localstack"
)

// column is a way in which a call can fail.
type column struct {
	name string
	// effect says that it makes a difference only to a call that has an effect.
	effect bool
	fault  func(operation string) localstack.Fault
}

const (
	fails      = "fails (500)"
	denied     = "is refused (403)"
	failsAfter = "fails (500) after its effect"
	hangs      = "hangs"
	throttled  = "is throttled"
	reset      = "is reset"
	resetAfter = "is reset after its effect"
	cut        = "is answered by half"
	late       = "is answered late"
)

// lateness is within the bounds of every call, that of the held look-up (2 s) and of the create call (snapshot_timeout) included.
const lateness = time.Second

var columns = []column{
	{fails, false, func(op string) localstack.Fault { return coded(op, "InternalError", 500) }},
	{denied, false, func(op string) localstack.Fault {
		if strings.HasPrefix(op, "ec2:") {
			return coded(op, "UnauthorizedOperation", 403)
		}
		return coded(op, "AccessDenied", 403)
	}},
	{failsAfter, true, func(op string) localstack.Fault { f := coded(op, "InternalError", 500); f.After = true; return f }},
	{hangs, false, func(op string) localstack.Fault { return localstack.Fault{Operation: op, Hang: true} }},
	{throttled, false, func(op string) localstack.Fault {
		switch {
		case strings.HasPrefix(op, "ec2:"):
			return coded(op, "RequestLimitExceeded", 503)
		case strings.HasPrefix(op, "sns:"):
			return coded(op, "Throttling", 400)
		}
		return coded(op, "ThrottlingException", 400)
	}},
	{reset, false, func(op string) localstack.Fault { return localstack.Fault{Operation: op, Drop: true} }},
	{resetAfter, true, func(op string) localstack.Fault { return localstack.Fault{Operation: op, Drop: true, After: true} }},
	{cut, false, func(op string) localstack.Fault { return localstack.Fault{Operation: op, Cut: true} }},
	{late, false, func(op string) localstack.Fault {
		return localstack.Fault{Operation: op, Latency: lateness, Moment: "first"}
	}},
}

func coded(operation, code string, status int) localstack.Fault {
	return localstack.Fault{Operation: operation, Code: code, Status: status}
}

// calls makes the cells of one call.
type calls struct {
	row       string
	operation string
	// effect says that the call changes something, so that failing before and after the effect are two things.
	effect bool
	// skip is how many calls of the operation are let pass first, times how many
	// the fault meets then, hangTimes the same of one that hangs; zero: all until
	// the end of the delivery.
	skip, times, hangTimes int
	// more are faults beside the one.
	more []localstack.Fault
	// template is what every cell has beside its fault.
	template cell
	// want by column; those of the key "" hold for every other column.
	want  map[string][]string
	why   map[string]string
	short []string
}

func (c calls) cells() (out []*cell) {
	for _, col := range columns {
		if col.effect && !c.effect {
			continue
		}
		one := c.template
		one.row, one.fault, one.want, one.why = c.row, col.name, c.want[col.name], c.why[col.name]
		if one.want == nil {
			one.want = c.want[""]
		}
		if one.why == "" {
			one.why = c.why[""]
		}
		f := col.fault(c.operation)
		f.Skip, f.Times = c.skip, c.times
		if f.Hang && c.hangTimes > 0 {
			f.Times = c.hangTimes
		}
		one.faults = append([]localstack.Fault{f}, c.more...)
		for _, s := range c.short {
			one.short = one.short || s == col.name
		}
		out = append(out, &one)
	}
	return out
}
