package soak

import (
	"math/rand/v2"
	"net/http"
	"time"

	"stillpoint/localstack"
)

// workerPrincipal is who the worker calls as (scene.Command); the harness has
// another name, and no fault hits it.
const workerPrincipal = "*:user/localstack"

// kind is one thing that can happen to a call, and how often among all faults.
type kind struct {
	weight float64
	fault  localstack.Fault
}

// anywhere are the faults that every call of the worker can meet.
var anywhere = []kind{
	{16, localstack.Fault{Code: "InternalError", Status: http.StatusInternalServerError}},
	{14, localstack.Fault{Code: "InternalError", Status: http.StatusInternalServerError, After: true}},
	{8, localstack.Fault{Code: "ServiceUnavailable", Status: http.StatusServiceUnavailable}},
	{10, localstack.Fault{Drop: true}},
	{12, localstack.Fault{Drop: true, After: true}},
	{12, localstack.Fault{Cut: true}},
	{20, localstack.Fault{Spread: &localstack.Spread{Kind: "uniform", From: 50 * time.Millisecond, To: time.Second}}},
}

// particular are those that only some calls know.
var particular = []struct {
	operation string
	kinds     []kind
}{
	// Each of these is waited out for seconds, with nothing held.
	{"ec2:CreateSnapshots", []kind{
		{1, localstack.Fault{Code: "ConcurrentSnapshotLimitExceeded"}},
		{1, localstack.Fault{Code: "SnapshotCreationPerVolumeRateExceeded"}},
		{1, localstack.Fault{Code: "PendingSnapshotLimitExceeded"}},
	}},
	{"sqs:ReceiveMessage", []kind{{4, localstack.Fault{Wrong: "twice"}}, {1, localstack.Fault{Wrong: "bad-md5"}}}},
	{"sqs:DeleteMessage", []kind{{8, localstack.Fault{Wrong: "not-deleted"}}}},
	{"ec2:*", []kind{{8, localstack.Fault{Code: "RequestLimitExceeded", Status: http.StatusServiceUnavailable}}}},
	{"sqs:*", []kind{{8, localstack.Fault{Code: "RequestThrottled", Status: http.StatusForbidden}}}},
	{"sns:*", []kind{{8, localstack.Fault{Code: "Throttling", Status: http.StatusBadRequest}}}},
}

// faults are the list for the local AWS: about that part of the worker's calls
// is hit, and that part of the hits gets no answer at all.
func faults(part, hangs float64) []localstack.Fault {
	total := 0.0
	for _, k := range anywhere {
		total += k.weight
	}
	total += 8 // what each service has of its own
	var out []localstack.Fault
	add := func(operation string, k kind) {
		f := k.fault
		f.Operation, f.Principal, f.Chance = operation, workerPrincipal, part*k.weight/total
		if f.Chance > 0 { // zero would be always
			out = append(out, f)
		}
	}
	for _, p := range particular {
		for _, k := range p.kinds {
			add(p.operation, k)
		}
	}
	for _, k := range anywhere {
		add("*", k)
	}
	add("*", kind{total * hangs / 2, localstack.Fault{Hang: true}})
	add("*", kind{total * hangs / 2, localstack.Fault{Hang: true, After: true}})
	// What EC2 takes on any day, so that the windows are worth killing in.
	if part > 0 {
		out = append(out, ordinary)
	}
	return out
}

// outage is a call that fails so often in a row that no retry of the SDK's gets
// through: what is owed then has to be paid later.
type outage struct {
	perMessage float64 // about how often a worker makes the call
	fault      localstack.Fault
}

// lostAnswer makes a set and tells nobody, where it does not meet a dry run.
var lostAnswer = outage{1.2, localstack.Fault{Operation: "ec2:CreateSnapshots", Drop: true, After: true, Times: 1}}

var outages = []outage{
	{1, localstack.Fault{Operation: "ec2:CreateTags", Code: "InternalError", Status: http.StatusInternalServerError, Times: 8}},
	lostAnswer,
	{1, localstack.Fault{Operation: "sns:Publish", Drop: true, After: true, Times: 6}},
	lostAnswer,
	{1, localstack.Fault{Operation: "sqs:DeleteMessage", Code: "ServiceUnavailable", Status: http.StatusServiceUnavailable, Times: 12}},
	lostAnswer,
	{1, localstack.Fault{Operation: "sns:Publish", Code: "InternalError", Status: http.StatusInternalServerError, Times: 12}},
	{0.1, localstack.Fault{Operation: "sqs:SendMessage", Drop: true, Times: 3}},
	{2, localstack.Fault{Operation: "ec2:Describe*", Code: "ServiceUnavailable", Status: http.StatusServiceUnavailable, Times: 3}},
	{0.6, localstack.Fault{Operation: "sqs:ChangeMessageVisibility", Drop: true, Times: 6}},
	{1, localstack.Fault{Operation: "sqs:ReceiveMessage", Drop: true, After: true, Times: 3}},
}

// strewn are so many outages, each some time in the first so many messages.
func strewn(dice *rand.Rand, n, messages int) (out []localstack.Fault) {
	for i := range n {
		o := outages[i%len(outages)]
		f := o.fault
		f.Principal = workerPrincipal
		f.Skip = dice.IntN(1 + int(0.8*o.perMessage*float64(messages)))
		out = append(out, f)
	}
	return out
}

// ordinary is no fault: it comes last, for the calls that all others spare.
var ordinary = localstack.Fault{
	Operation: "ec2:CreateSnapshots", Principal: workerPrincipal,
	Spread: &localstack.Spread{Kind: "lognormal", Median: 40 * time.Millisecond, P99: 300 * time.Millisecond, Max: time.Second},
}
