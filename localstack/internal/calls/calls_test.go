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
