package conformance

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// behaviour is one thing that AWS does, and the proof.
type behaviour struct {
	ID      string // lower case with hyphens; begins with the service, or with the client where Via is set
	Service service
	Via     client // which client drives it
	Says    string // what AWS does, in a sentence
	Source  []source
	Needs   need
	Run     func(c *check)
}

// service is a section of the document.
type service string

const (
	theSQS         service = "SQS"
	theSNS         service = "SNS"
	theEC2         service = "EC2 and EBS"
	theEventBridge service = "EventBridge"
	theScheduler   service = "EventBridge Scheduler"
	theIMDS        service = "Instance metadata"
	theSTS         service = "STS"
)

// services are the sections of the document, in its order.
var services = []service{theSQS, theSNS, theEC2, theEventBridge, theScheduler, theIMDS, theSTS}

// client is what drives a row.
type client string

const (
	viaSDK   client = "" // aws-sdk-go-v2, or plain HTTP where the SDK would not send it
	viaCLI   client = "aws"
	viaBoto3 client = "boto3"
)

// group is the name of the subtest that holds the rows of a client.
func (c client) group() string {
	if c == viaSDK {
		return "sdk"
	}
	return string(c)
}

// need is a set of what a row cannot do without.
type need int

const (
	// pauses: up to three ticks have to pass (c.pause, c.ticks).
	pauses need = 1 << iota
	// clock: longer times have to pass (c.move). Not for moto.
	clock
	// faults: a fault is set, or the log of calls is read. Not for moto.
	faults
	// data: volumes are real devices, which takes root. Not for moto.
	data
	// alone: it reads or changes what belongs to the whole account.
	alone
)

func (n need) has(one need) bool { return n&one != 0 }

// notForMoto says why a row cannot be run against moto. It is empty if it can.
func (n need) notForMoto() string {
	var why []string
	for one, text := range map[need]string{
		clock: "a clock that can be moved", faults: "faults on demand", data: "volumes with data",
	} {
		if n.has(one) {
			why = append(why, text)
		}
	}
	slices.Sort(why)
	return strings.Join(why, ", ")
}

// weak is whether no source of b has been read.
func (b behaviour) weak() bool {
	return !slices.ContainsFunc(b.Source, func(s source) bool { return s.read != unread })
}

var ids = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)

func TestTableIsWhole(t *testing.T) {
	seen := map[string]bool{}
	counts := map[service]int{}
	for _, b := range table() {
		switch {
		case !ids.MatchString(b.ID):
			t.Errorf("%q is no id: lower case, digits and hyphens", b.ID)
		case seen[b.ID]:
			t.Errorf("%s stands twice in the table", b.ID)
		case b.Via != viaSDK && !strings.HasPrefix(b.ID, string(b.Via)+"-"):
			t.Errorf("%s is driven by %s, which its id has to begin with", b.ID, b.Via)
		case !slices.Contains(services, b.Service):
			t.Errorf("%s is of %q, which is no section of the document", b.ID, b.Service)
		case b.Says == "" || strings.ContainsAny(b.Says, "|\n"):
			t.Errorf("%s does not say in one line, without |, what AWS does", b.ID)
		case len(b.Source) == 0:
			t.Errorf("%s has no source", b.ID)
		case b.Run == nil:
			t.Errorf("%s has no test", b.ID)
		}
		for _, s := range b.Source {
			if !strings.HasPrefix(s.url, "https://") || s.read == "" {
				t.Errorf("%s: the source %q is not an https address with a mark of how it was read", b.ID, s.url)
			}
		}
		seen[b.ID] = true
		if b.Via == viaSDK {
			counts[b.Service]++
		}
	}
	if n := counts[theSQS] + counts[theSNS] + counts[theEC2] + counts[theEventBridge] + counts[theScheduler]; n < 60 {
		t.Errorf("the table has %d behaviours of SQS, SNS, EC2 and EventBridge; at least 60 are promised", n)
	}
}
