// Package doctor breaks set-ups, each in one way, and wants `stillpoint doctor`
// to find just that: the lines that it is about, with the right advice, while
// every other line stays as it is where all is well.
package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	judged "stillpoint/internal/doctor"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
	"stillpoint/test/stack"
)

var program string

func TestMain(m *testing.M) { os.Exit(rig.Main(m, &program, "-race")) }

// role is what the templates call the database, and part of the instance's role.
const role = "db1"

// patience bounds a whole test.
const patience = 5 * time.Minute

// stage is a set-up in which all is well: both templates deployed to the local
// AWS, the credentials of the instance's role, a worker that polls, a database.
type stage struct {
	*testing.T
	*scene.Scene
	ctx    context.Context
	worker *scene.Worker
	// healthy is the file, and well what the doctor says of it.
	healthy string
	well    judged.Report
}

// set makes the stage.
func set(t *testing.T, c scene.Config) *stage {
	t.Helper()
	if missing := rig.Missing(); len(missing) > 0 {
		t.Skipf("this machine lacks %s", strings.Join(missing, ", "))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s := &stage{T: t, ctx: ctx}
	c.Stillpoint, c.Role, c.FileYAML = program, "stillpoint-"+role, "http_addr: "+freeAddr(t)
	c.Queues = func(ctx context.Context, sc *scene.Scene) error {
		env := stack.Env{QueueURL: func(name string) string { return sc.AWS.URL() + "/" + stack.Account + "/" + name }}
		fleet, err := stack.Fleet(env)
		if err != nil {
			return err
		}
		env.Parameters = map[string]string{"ScheduleBy": "nothing"} // a tick would be a snapshot that nobody here asked for
		instance, err := stack.Instance(fleet, role, env)
		if err != nil {
			return err
		}
		cloud := stack.Cloud{SQS: sc.SQS, SNS: sc.SNS, Events: sc.Events, Scheduler: sc.Scheduler}
		sc.QueueURL, sc.DeadLetterURL, sc.TopicARN = instance.Outputs["QueueUrl"], instance.Outputs["DeadLetterQueueUrl"], fleet.Outputs["ResultsTopic"]
		return errors.Join(fleet.Deploy(ctx, cloud), instance.Deploy(ctx, cloud))
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
	for _, v := range s.Volumes {
		if _, err := s.EC2.CreateTags(ctx, &ec2.CreateTagsInput{
			Resources: []string{v.ID}, Tags: []types.Tag{{Key: aws.String("stillpoint:role"), Value: aws.String(role)}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(s.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	s.healthy = string(text)
	return s
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// work starts a worker and waits until it has polled.
func (s *stage) work() {
	s.Helper()
	w, err := s.StartWorker(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	s.worker = w
	s.Cleanup(func() {
		if s.Failed() {
			s.Logf("the worker's log:\n%s", w.Log())
		}
	})
	for s.ctx.Err() == nil {
		for _, c := range s.AWS.Calls() {
			if c.Operation == "sqs:ReceiveMessage" {
				return
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.Fatal("the worker does not poll")
}

// file writes another file with some of its lines replaced, by their keys, and
// returns its path. An empty value takes the line out.
func (s *stage) file(t *testing.T, replace map[string]string) string {
	t.Helper()
	text := s.healthy
	for key, value := range replace {
		line := key + ": " + value + "\n"
		if value == "" {
			line = ""
		}
		found := regexp.MustCompile(`(?m)^` + key + `: .*\n`)
		if !found.MatchString(text) {
			t.Fatalf("the file has no %s", key)
		}
		text = found.ReplaceAllLiteralString(text, line)
	}
	path := filepath.Join(t.TempDir(), "stillpoint.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// doctor runs it with a file; env is added to its environment. Its exit code has
// to agree with what it says.
func (s *stage) doctor(t *testing.T, path string, env ...string) judged.Report {
	t.Helper()
	cmd := s.Command(s.ctx, "doctor", "--config", path, "--json")
	cmd.Env = append(cmd.Env, env...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var r judged.Report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, errs.String())
	}
	if code, want := cmd.ProcessState.ExitCode(), map[bool]int{true: 0, false: 3}[r.Count(judged.Fail) == 0]; code != want || r.OK != (want == 0) {
		t.Errorf("exit %d and ok %v with %d failed: %s", code, r.OK, r.Count(judged.Fail), errs.String())
	}
	return r
}

// wants is a change that a broken set-up makes to a line: "FAIL text", "warn
// text", "ok text", where text is in what it says or advises; "gone" for a line
// that is not there, and "unchecked text" for one that could not be looked at.
type wants map[string]string

// compare holds a report against that of the healthy set-up.
func (s *stage) compare(t *testing.T, got judged.Report, want wants) {
	t.Helper()
	lines := map[string]judged.Finding{}
	for _, f := range got.Findings {
		lines[key(f)] = f
		if f.Status != judged.OK && (f.Message == "" || f.Fix == "") {
			t.Errorf("%s says nothing, or not what to do: %+v", key(f), f)
		}
	}
	for _, f := range s.well.Findings {
		k := key(f)
		now, there := lines[k]
		delete(lines, k)
		if w, ok := wanted(want, k); ok {
			meets(t, k, now, there, w)
			continue
		}
		if !there || now.Status != f.Status || now.Checked != f.Checked {
			t.Errorf("%s was %s and is %s: %s", k, f.Status, now.Status, now.Message)
		}
	}
	for k, f := range lines { // those that the healthy one has not
		w, ok := wanted(want, k)
		if !ok {
			t.Errorf("%s is new: %s %s", k, f.Status, f.Message)
			continue
		}
		meets(t, k, f, true, w)
	}
	for k := range want {
		if !strings.HasSuffix(k, "*") && !slices.ContainsFunc(append(slices.Clone(got.Findings), s.well.Findings...), func(f judged.Finding) bool { return key(f) == k }) {
			t.Errorf("there is no line %s", k)
		}
	}
}

func key(f judged.Finding) string { return strings.TrimPrefix(f.Plan+": "+f.Check, ": ") }

// wanted finds what is wanted of a line, by its name or by one that ends in *.
func wanted(want wants, k string) (string, bool) {
	if w, ok := want[k]; ok {
		return w, true
	}
	for pattern, w := range want {
		if prefix, starred := strings.CutSuffix(pattern, "*"); starred && strings.HasPrefix(k, prefix) {
			return w, true
		}
	}
	return "", false
}

func meets(t *testing.T, k string, f judged.Finding, there bool, want string) {
	t.Helper()
	status, text, _ := strings.Cut(want, " ")
	got := string(f.Status)
	switch {
	case !there:
		got = "gone"
	case !f.Checked && f.Status == judged.Warn:
		got = "unchecked"
	}
	if got != status {
		t.Errorf("%s is %s, want %s: %s -> %s", k, got, want, f.Message, f.Fix)
		return
	}
	if !strings.Contains(f.Message+" -> "+f.Fix, text) {
		t.Errorf("%s does not say %q: %s -> %s", k, text, f.Message, f.Fix)
	}
}

// text is the report as a person sees it.
func text(r judged.Report) string {
	var b strings.Builder
	if err := r.Text(&b, false); err != nil {
		return fmt.Sprint(err)
	}
	return b.String()
}
