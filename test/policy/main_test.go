// Package policy holds the policy of the instance's role, as instance.yaml
// writes it, against what the program really asks of AWS: the templates are
// deployed to the local AWS, the program runs there with the role's credentials
// through everything that it does, and every question that IAM would have been
// asked is put to the policy.
package policy

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
	"stillpoint/test/stack"
)

// role is both what the templates call the database and the role of the instance.
const role = "db1"

var program string

func TestMain(m *testing.M) {
	os.Exit(rig.Main(m, &program))
}

// stage is the scene with both templates deployed.
type stage struct {
	*testing.T
	*scene.Scene
	ctx             context.Context
	fleet, instance *stack.Stack
	scheduled       string // the id of the request that the schedule makes
}

// patience bounds the whole run.
const patience = 4 * time.Minute

// set deploys the templates and sets the scene on them. The schedule comes due
// some seconds from now.
func set(t *testing.T, c scene.Config, parameters map[string]string) *stage {
	t.Helper()
	if missing := rig.Missing(); len(missing) > 0 {
		t.Skipf("this machine lacks %s", strings.Join(missing, ", "))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s := &stage{T: t, ctx: ctx}
	c.Stillpoint, c.Role = program, "stillpoint-"+role
	c.Queues = func(ctx context.Context, sc *scene.Scene) (err error) {
		due := sc.AWS.Now().Add(2 * time.Second).UTC().Truncate(time.Second)
		s.scheduled = "arn:aws:scheduler:" + stack.Region + ":" + stack.Account + ":schedule/default/stillpoint-" + role + "/" + due.Format(time.RFC3339)
		parameters["ScheduleExpression"] = "at(" + due.Format("2006-01-02T15:04:05") + ")"
		env := stack.Env{QueueURL: func(name string) string { return sc.AWS.URL() + "/" + stack.Account + "/" + name }}
		if s.fleet, err = stack.Fleet(env); err != nil {
			return err
		}
		env.Parameters = parameters
		if s.instance, err = stack.Instance(s.fleet, role, env); err != nil {
			return err
		}
		cloud := stack.Cloud{SQS: sc.SQS, SNS: sc.SNS, Events: sc.Events, Scheduler: sc.Scheduler}
		sc.QueueURL, sc.DeadLetterURL, sc.TopicARN = s.instance.Outputs["QueueUrl"], s.instance.Outputs["DeadLetterQueueUrl"], s.fleet.Outputs["ResultsTopic"]
		return errors.Join(s.fleet.Deploy(ctx, cloud), s.instance.Deploy(ctx, cloud))
	}
	sc, err := scene.New(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	s.Scene = sc
	t.Cleanup(func() {
		if err := sc.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// tag gives volumes the tag by which the policy knows them.
func (s *stage) tag(volumes ...scene.Volume) {
	s.Helper()
	for _, v := range volumes {
		if _, err := s.EC2.CreateTags(s.ctx, &ec2.CreateTagsInput{
			Resources: []string{v.ID}, Tags: []types.Tag{{Key: aws.String("stillpoint:role"), Value: aws.String(role)}},
		}); err != nil {
			s.Fatal(err)
		}
	}
}

func (s *stage) work() *scene.Worker {
	s.Helper()
	w, err := s.StartWorker(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if s.Failed() {
			s.Logf("the worker's log:\n%s", w.Log())
		}
	})
	return w
}

// ask sends a request and wants its result.
func (s *stage) ask(body string, want messages.Status) *messages.Result {
	s.Helper()
	if _, err := s.Send(s.ctx, body); err != nil {
		s.Fatal(err)
	}
	return s.next(want)
}

func (s *stage) next(want messages.Status) *messages.Result {
	s.Helper()
	d, err := s.NextResult(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	if d.Result.Status != want {
		s.Fatalf("got %s/%s, want %s: %s", d.Result.Status, d.Result.Reason, want, d.Result.Message)
	}
	return d.Result
}

// holds wants a queue of the templates to hold so many messages.
func (s *stage) holds(name, want string) {
	s.Helper()
	got := ""
	for range 500 {
		var err error
		if got, _, err = s.Depth(s.ctx, s.AWS.URL()+"/"+stack.Account+"/"+name); err != nil {
			s.Fatal(err)
		}
		if got == want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.Errorf("%s holds %s messages, want %s", name, got, want)
}

// until waits for a call of the program.
func (s *stage) until(what string, ok func(localstack.Call) bool) {
	s.Helper()
	for s.ctx.Err() == nil {
		for _, c := range s.AWS.Calls() {
			if ok(c) {
				return
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.Fatalf("%s did not happen", what)
}
