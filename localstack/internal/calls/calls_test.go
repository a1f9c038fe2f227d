package calls

import (
	"strings"
	"testing"
)

func TestLogIsBounded(t *testing.T) {
	var l Log
	for range kept * 2 {
		l.Begin(Call{Operation: "a:b", Params: map[string]string{"p": "v"}}).End()
	}
	if n := len(l.List()); n > kept || n < kept*8/10 {
		t.Errorf("it holds %d calls", n)
	}
	long := strings.Repeat("ü", longest)
	for range 2 * keptBytes / longest {
		l.Begin(Call{Operation: "a:c", Params: map[string]string{"p": long}}).End()
	}
	list := l.List()
	held := 0
	for _, c := range list {
		held += len(c.Params["p"])
	}
	if held > keptBytes {
		t.Errorf("it holds %d bytes of parameters", held)
	}
	if last := list[len(list)-1]; last.Operation != "a:c" || !strings.HasSuffix(last.Params["p"], "(cut)") || len(last.Params["p"]) > longest+10 {
		t.Errorf("the last call is %s with %d bytes", last.Operation, len(last.Params["p"]))
	}
}

// What names a call is sent by clients, too.
func TestLogIsBoundedInNamesAndResources(t *testing.T) {
	var l Log
	long := strings.Repeat("n", 8<<20)
	r := l.Begin(Call{Operation: "a:" + long, Principal: long, Source: long, Region: long})
	for range 2 * keptBytes / longestName {
		r.About(long)
	}
	if c := l.List()[0]; len(c.Operation) > longestName+10 || len(c.Resources[0]) > longestName+10 {
		t.Errorf("it holds %d bytes of a name, %d of a resource", len(c.Operation), len(c.Resources[0]))
	}
	l.Begin(Call{Operation: "a:b"})
	if n := len(l.List()); n != 1 {
		t.Errorf("it holds %d calls; the one with too many resources was to go", n)
	}
	r.About("arn:late")
	if l.bytes != len("a:b") {
		t.Errorf("it counts %d bytes in a call of %d", l.bytes, len("a:b"))
	}
}

func TestRecordOfACall(t *testing.T) {
	var l Log
	r := l.Begin(Call{Operation: "sqs:ReceiveMessage", Principal: "me"})
	r.Waiting()
	if got := l.List()[0]; got.State != "waiting" || got.Duration != 0 || got.Effect {
		t.Errorf("while it waits: %+v", got)
	}
	r.About("arn:1")
	r.About("arn:2")
	r.Fault("latency")
	r.Outcome("", 200)
	r.End()
	got := l.List()[0]
	if got.State != "done" || !got.Effect || got.Status != 200 || got.Fault != "latency" || len(got.Resources) != 2 || got.Principal != "me" {
		t.Errorf("when it is done: %+v", got)
	}
	got.Resources[0] = "changed"
	if l.List()[0].Resources[0] != "arn:1" {
		t.Error("a list is the log itself")
	}
	f := l.Begin(Call{Operation: "a:b"})
	f.Outcome("AccessDenied", 403)
	if got := l.List()[1]; got.Effect || got.Err != "AccessDenied" {
		t.Errorf("a failed call: %+v", got)
	}
}
