package localstack_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stillpoint/localstack"
)

const createSnapshots = "ec2:CreateSnapshots"

func (c *cloud) snap(ctx context.Context, instance string) error {
	_, err := c.ec2.CreateSnapshots(ctx, &ec2.CreateSnapshotsInput{InstanceSpecification: &types.InstanceSpecification{InstanceId: &instance}})
	return err
}

// last is the last call of an operation, once it is done.
func (c *cloud) last(t *testing.T, operation string) localstack.Call {
	t.Helper()
	var last localstack.Call
	eventually(t, operation+" is done", func() bool {
		for _, call := range c.Calls() {
			if call.Operation == operation {
				last = call
			}
		}
		return last.State == "done"
	})
	return last
}

func TestFaultsAndEffects(t *testing.T) {
	for name, x := range map[string]struct {
		fault  localstack.Fault
		code   string // of the error; empty: no answer
		status int
		effect bool
	}{
		"throttled":        {localstack.Fault{Code: "RequestLimitExceeded"}, "RequestLimitExceeded", 503, false},
		"internal":         {localstack.Fault{Code: "InternalError"}, "InternalError", 500, false},
		"status":           {localstack.Fault{Code: "Strange", Status: 409}, "Strange", 409, false},
		"answer lost":      {localstack.Fault{Code: "InternalError", After: true}, "InternalError", 200, true},
		"dropped":          {localstack.Fault{Drop: true}, "", 0, false},
		"dropped after it": {localstack.Fault{Drop: true, After: true}, "", 200, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, localstack.Config{})
			instance, volumes := c.launch(t, 1)
			x.fault.Operation, x.fault.Times = createSnapshots, 1
			c.SetFaults(localstack.Fault{Operation: "sqs:SendMessage", Code: "Unrelated"}, x.fault)
			err := c.snap(t.Context(), instance)
			if x.code != "" {
				wantCode(t, err, x.code)
			} else if err == nil {
				t.Fatal("there was an answer")
			}
			made := 0
			if x.effect {
				made = len(volumes)
			}
			if got := len(c.snapshots(t)); got != made {
				t.Errorf("it made %d snapshots, want %d", got, made)
			}
			if call := c.last(t, createSnapshots); call.Effect != x.effect || call.Status != x.status || call.Fault == "" {
				t.Errorf("the record is %+v", call)
			}
			must(struct{}{}, c.snap(t.Context(), instance))(t) // it was for one call
		})
	}
}

// The SDK's default retryer makes a second set when the answer to the first is lost: what Stillpoint has to avoid.
func TestRetriedCreateSnapshotsMakesTwoSets(t *testing.T) {
	c := start(t, localstack.Config{})
	instance, volumes := c.launch(t, 2)
	c.ec2 = ec2.NewFromConfig(c.config, func(o *ec2.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
	})
	c.SetFaults(localstack.Fault{Operation: createSnapshots, Drop: true, After: true, Times: 1})
	must(struct{}{}, c.snap(t.Context(), instance))(t)
	if got := len(c.snapshots(t)); got != 2*len(volumes) {
		t.Errorf("there are %d snapshots of %d volumes", got, len(volumes))
	}
}

func TestLatencyHasItsEffectHalfWay(t *testing.T) {
	c := start(t, localstack.Config{})
	instance, _ := c.launch(t, 1)
	const latency = 400 * time.Millisecond
	c.SetFaults(localstack.Fault{Operation: "*", Latency: latency, Times: 1})
	began := time.Now()
	must(struct{}{}, c.snap(t.Context(), instance))(t)
	took := time.Since(began)
	at := c.snapshots(t)[0].StartTime.Sub(began)
	t.Logf("of %v the snapshot was taken after %v", took, at)
	if took < latency || at < latency/2-time.Millisecond || at > took-latency/2+time.Millisecond {
		t.Errorf("a call of %v took its snapshot after %v", took, at)
	}
}

// The client gives up before the effect; AWS does not notice, and neither does this.
func TestGivenUpCallTakesEffect(t *testing.T) {
	c := start(t, localstack.Config{})
	instance, volumes := c.launch(t, 1)
	c.SetFaults(localstack.Fault{Operation: createSnapshots, Latency: 300 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.snap(ctx, instance) }()
	eventually(t, "the call arrives", func() bool { return c.counted(createSnapshots, "running") == 1 })
	cancel()
	if err := <-done; err == nil {
		t.Error("the client got an answer")
	}
	if got := len(c.snapshots(t)); got != 0 {
		t.Errorf("%d snapshots before half of the latency", got)
	}
	if call := c.last(t, createSnapshots); !call.Effect || len(c.snapshots(t)) != len(volumes) {
		t.Errorf("it had no effect: %+v", call)
	}
}

func TestHang(t *testing.T) {
	c := start(t, localstack.Config{})
	instance, volumes := c.launch(t, 1)
	c.SetFaults(localstack.Fault{Operation: createSnapshots, Hang: true, After: true})
	hanging := func(ctx context.Context) chan error {
		running := c.counted(createSnapshots, "running")
		done := make(chan error, 1)
		go func() { done <- c.snap(ctx, instance) }()
		eventually(t, "the call hangs", func() bool { return c.counted(createSnapshots, "running") > running })
		return done
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := hanging(ctx)
	eventually(t, "it takes effect", func() bool { return len(c.snapshots(t)) == len(volumes) })
	select {
	case err := <-done:
		t.Fatalf("it did not hang: %v", err)
	default:
	}
	cancel()
	<-done
	eventually(t, "the server lets go of it", func() bool { return c.counted(createSnapshots, "done") == 1 })

	done = hanging(t.Context())
	must(struct{}{}, c.Close())(t)
	if err := <-done; err == nil {
		t.Error("the server closed with an answer")
	}
}

func TestFaultsAreReplaced(t *testing.T) {
	c := start(t, localstack.Config{})
	instance, _ := c.launch(t, 1)
	c.SetFaults(
		localstack.Fault{Operation: createSnapshots, Code: "First", Times: 2},
		localstack.Fault{Operation: createSnapshots, Code: "Second"},
	)
	for _, code := range []string{"First", "First", "Second", "Second"} {
		wantCode(t, c.snap(t.Context(), instance), code)
	}
	c.SetFaults()
	must(struct{}{}, c.snap(t.Context(), instance))(t)
	if call := c.last(t, createSnapshots); call.Params["InstanceSpecification.InstanceId"] != instance || call.Err != "" {
		t.Errorf("the record is %+v", call)
	}
}

// Half of an answer is no answer, and one that goes on for ever ends with the client's patience.
func TestHalfAnAnswer(t *testing.T) {
	for name, fault := range map[string]localstack.Fault{"cut": {Cut: true}, "half-open": {HalfOpen: true}} {
		t.Run(name, func(t *testing.T) {
			c := start(t, localstack.Config{})
			instance, volumes := c.launch(t, 1)
			fault.Operation, fault.Times = createSnapshots, 1
			must(struct{}{}, c.SetFaults(fault))(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := c.snap(ctx, instance)
			if err == nil {
				t.Fatal("there was an answer")
			}
			if late := ctx.Err() != nil; late != fault.HalfOpen {
				t.Errorf("the client's patience ended: %v (%v)", late, err)
			}
			if got := len(c.snapshots(t)); got != len(volumes) {
				t.Errorf("it made %d snapshots, want %d", got, len(volumes))
			}
			if call := c.last(t, createSnapshots); !call.Effect || call.Status != 200 || call.Fault != name {
				t.Errorf("the record is %+v", call)
			}
		})
	}
}

// A late answer has taken effect long before; a slow call takes effect just before it is answered.
func TestMomentOfTheEffect(t *testing.T) {
	for moment, early := range map[string]bool{"first": true, "last": false} {
		t.Run(moment, func(t *testing.T) {
			c := start(t, localstack.Config{})
			instance, _ := c.launch(t, 0)
			must(struct{}{}, c.SetFaults(localstack.Fault{Operation: createSnapshots, Latency: 2 * time.Second, Moment: moment}))(t)
			done := make(chan error, 1)
			go func() { done <- c.snap(t.Context(), instance) }()
			eventually(t, "the call has arrived", func() bool { return c.counted(createSnapshots, "running") == 1 })
			if early {
				eventually(t, "it took effect", func() bool { return len(c.snapshots(t)) == 1 })
			} else if len(c.snapshots(t)) != 0 {
				t.Error("it took effect at once")
			}
			select {
			case <-done:
				t.Fatal("it was answered before its time")
			default:
			}
			must(struct{}{}, <-done)(t)
			if len(c.snapshots(t)) != 1 {
				t.Error("it took no effect")
			}
		})
	}
}

func TestFaultsOfACaller(t *testing.T) {
	c := start(t, localstack.Config{})
	q := c.queue(t, "q", nil)
	must(struct{}{}, c.SetFaults(localstack.Fault{Operation: "sqs:*", Principal: "arn:aws:iam::*:user/b", Code: "AccessDenied"}))(t)
	c.send(t, q, "x")
	must(struct{}{}, c.SetFaults(localstack.Fault{Operation: "sqs:*", Principal: "arn:aws:iam::*:user/a", Code: "AccessDenied"}))(t)
	_, err := c.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &q})
	wantCode(t, err, "AccessDenied")
	if err := c.SetFaults(localstack.Fault{Operation: "sqs:SendMessage", Wrong: "nonsense"}); err == nil {
		t.Error("a wrong answer that there is not was taken")
	}
	if got := c.last(t, "sqs:ReceiveMessage").Principal; got != "arn:aws:iam::111122223333:user/a" {
		t.Errorf("the log says that %q called", got)
	}
}

// A wrong answer is wrong for its caller only: what was made is what was asked for.
func TestWrongSnapshots(t *testing.T) {
	for wrong, count := range map[string]int{"missing": 2, "foreign": 3, "twice": 4, "empty": 0} {
		c := start(t, localstack.Config{})
		instance, volumes := c.launch(t, 2)
		must(struct{}{}, c.SetFaults(localstack.Fault{Operation: createSnapshots, Wrong: wrong, Times: 1}))(t)
		out := must(c.ec2.CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{InstanceSpecification: &types.InstanceSpecification{InstanceId: &instance}}))(t)
		if len(out.Snapshots) != count {
			t.Errorf("%s: %d snapshots were answered, want %d", wrong, len(out.Snapshots), count)
		}
		if got := len(c.snapshots(t)); got != len(volumes) {
			t.Errorf("%s: %d snapshots were made, want %d", wrong, got, len(volumes))
		}
		if call := c.last(t, createSnapshots); call.Fault != "wrong: "+wrong {
			t.Errorf("%s: the log says %q", wrong, call.Fault)
		}
	}
}
