package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/scene"
)

// `stillpoint snapshot` with flags alone needs no file, no queue and no topic.
func TestSnapshotWithFlagsAlone(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{Writers: 2})
	loaded(t, ctx, s)
	v := s.Volumes[0]
	base := []string{"snapshot", "--region", "eu-west-1", "--instance-id", s.InstanceID, "--mysql", "--mysql-defaults-file", s.DefaultsFile,
		"--freeze", v.Mount, "--volume", v.ID, "--state-dir", filepath.Join(s.Dir, "state2"), "--runtime-dir", filepath.Join(s.Dir, "run2")}

	out, errs, code := cli(t, ctx, s, append(base, "--json", "--request-id", "flags-1", "--tag", "who=me", "--description", "by hand, with flags")...)
	if code != 0 {
		t.Fatalf("exit %d\n%s\n%s", code, out, errs)
	}
	r, err := messages.UnmarshalResult([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	wants(t, r, messages.Succeeded, "", messages.ConsistencyApplication)
	conforms(t, out)
	if got := sets(t, ctx, s)["flags-1"]; len(got) != 1 || tag(got[0], "who") != "me" || tag(got[0], "stillpoint:status") != "succeeded" {
		t.Errorf("in EC2: %+v", got)
	}
	// The same id again: the same result, no second set.
	again, _, code := cli(t, ctx, s, append(base, "--json", "--request-id", "flags-1")...)
	if code != 0 || again != out {
		t.Errorf("the second time: exit %d\n%s\n%s", code, again, out)
	}
	if n := len(sets(t, ctx, s)["flags-1"]); n != 1 {
		t.Errorf("%d snapshots", n)
	}
	// A dry run makes nothing.
	out, errs, code = cli(t, ctx, s, append(base, "--dry-run", "--request-id", "flags-2")...)
	if code != 0 || !strings.Contains(out, "dry run") || len(sets(t, ctx, s)["flags-2"]) != 0 {
		t.Errorf("dry run: exit %d\n%s\n%s", code, out, errs)
	}
}

func conforms(t *testing.T, result string) {
	t.Helper()
	schema, err := messages.Schema("result")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(schema)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("result.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("result.json")
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal([]byte(result), &v); err != nil {
		t.Fatal(err)
	}
	if err := compiled.Validate(v); err != nil {
		t.Errorf("the result does not conform to its schema: %v", err)
	}
}

// What is refused before anything is held ends with exit code 3 and a sentence.
func TestRefusals(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{})
	v := s.Volumes[0]
	base := func(more ...string) []string {
		return append([]string{"snapshot", "--region", "eu-west-1", "--instance-id", s.InstanceID,
			"--state-dir", filepath.Join(s.Dir, "state2"), "--runtime-dir", filepath.Join(s.Dir, "run2")}, more...)
	}
	wrong := filepath.Join(s.Dir, "wrong.cnf")
	if err := os.WriteFile(wrong, []byte("[client]\nuser=stillpoint\npassword=\"not-the-password\"\nsocket="+s.Server.Socket()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	loose := filepath.Join(s.Dir, "loose.yaml")
	if err := os.WriteFile(loose, []byte("plans: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(loose, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		says []string
		not  string
	}{
		{"the root file system", base("--freeze", "/", "--volume", v.ID), 3, []string{"PREFLIGHT_FAILED", "/"}, ""},
		{"not a mount point", base("--freeze", v.Mount+"/mysql", "--volume", v.ID), 3, []string{"preflight_failed", "not a mount point"}, ""},
		{"a volume of another instance", base("--freeze", v.Mount, "--volume", "vol-00000000000000bad"), 3, []string{"vol-00000000000000bad", "not attached"}, ""},
		{"a device that says nothing", base("--freeze", v.Mount), 3, []string{"volumes"}, ""},
		{"a wrong password", base("--freeze", v.Mount, "--volume", v.ID, "--mysql-defaults-file", wrong), 3, []string{"preflight_failed"}, "not-the-password"},
		{"the state directory on it", append(base("--freeze", v.Mount, "--volume", v.ID), "--state-dir", v.Mount+"/state"), 3, []string{v.Mount}, ""},
		{"a bare number", base("--freeze", v.Mount, "--lock-timeout", "300", "--mysql"), 64, []string{"--lock-timeout", "unit"}, ""},
		{"a file others can write", []string{"snapshot", "nightly", "--config", loose}, 78, []string{"chmod"}, ""},
		{"an unknown plan", []string{"snapshot", "weekly", "--config", s.ConfigPath}, 3, []string{"unknown_plan", "weekly", "nightly"}, ""},
		{"a tag that the plan does not permit", []string{"send", "nightly", "--config", s.ConfigPath, "--tag", "ticket=1"}, 3, []string{"would reject", "request_tags"}, ""},
		{"nothing to send for", []string{"send", "weekly", "--config", s.ConfigPath}, 3, []string{"would reject", "weekly", "nightly"}, ""},
		{"a bad tag", []string{"send", "nightly", "--config", s.ConfigPath, "--tag", "aws:x=1"}, 3, []string{"aws:"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := cli(t, ctx, s, c.args...)
			all := strings.Join(strings.Fields(out+errs), " ") // lines are wrapped
			if code != c.code {
				t.Errorf("exit %d, want %d\n%s", code, c.code, all)
			}
			for _, want := range c.says {
				if !strings.Contains(strings.ToLower(all), strings.ToLower(want)) {
					t.Errorf("%q is not in what it says:\n%s", want, all)
				}
			}
			if c.not != "" && strings.Contains(all, c.not) {
				t.Errorf("it says %q:\n%s", c.not, all)
			}
			t.Logf("%s", strings.TrimSpace(all))
		})
	}
	if n := len(sets(t, ctx, s)); n != 0 {
		t.Errorf("%d sets were made", n)
	}
}

// Two runs at once: the second one says who is busy.
func TestTwoRunsAtOnce(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 2})
	work(t, ctx, s)
	loaded(t, ctx, s)
	inWindow(t, ctx, s, "first", 2*time.Second)
	out, errs, code := cli(t, ctx, s, "snapshot", "nightly", "--config", s.ConfigPath, "--json")
	if code != 75 || !strings.Contains(errs, "process") || !strings.Contains(out, `"reason":"busy"`) {
		t.Errorf("exit %d\n%s\n%s", code, out, errs)
	}
	wants(t, next(t, ctx, s).Result, messages.Succeeded, "", messages.ConsistencyApplication)
	_, errs, code = cli(t, ctx, s, "worker", "--config", s.ConfigPath)
	if code != 75 {
		t.Errorf("a second worker: exit %d\n%s", code, errs)
	}
}

// A dry run says what a real one would do, and fails where that would.
func TestDryRunSaysWhatARealRunWouldDo(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{})
	out, _, code := cli(t, ctx, s, "snapshot", "nightly", "--config", s.ConfigPath, "--dry-run")
	if v := s.Volumes[0]; code != 0 || !strings.Contains(out, v.ID) || !strings.Contains(out, v.Mount) || !strings.Contains(out, "consistency: application)") {
		t.Errorf("exit %d\n%s", code, out)
	}

	const nobody = 65534
	own := filepath.Join(s.Dir, "nobody")
	for _, err := range []error{os.Mkdir(own, 0o700), os.Chown(own, nobody, nobody), os.Chmod(s.Dir, 0o711), os.Chmod(filepath.Dir(program), 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := s.Command(ctx, "snapshot", "--dry-run", "--region", "eu-west-1", "--instance-id", s.InstanceID, "--freeze", s.Volumes[0].Mount, "--volume", s.Volumes[0].ID,
		"--state-dir", filepath.Join(own, "state"), "--runtime-dir", filepath.Join(own, "run"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 3 || !strings.Contains(string(text), "CAP_SYS_ADMIN") {
		t.Errorf("as nobody: %v\n%s", err, text)
	}
}

// The same request by hand and from the queue at the same time is one request.
func TestTheSameRequestTwiceAtOnce(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 2})
	w := work(t, ctx, s)
	loaded(t, ctx, s)
	s.AWS.SetFaults(localstack.Fault{Operation: "ec2:CreateSnapshots", Latency: time.Second})
	cmd := s.Command(ctx, "snapshot", "nightly", "--config", s.ConfigPath, "--request-id", "same")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, ctx, "the create call", func() bool { return creating(s) })
	send(t, ctx, s, `{"requestId":"same"}`)
	await(t, ctx, "the worker to wait", func() bool { return strings.Contains(w.Log(), "waiting for the other run") })
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	first, second := next(t, ctx, s), next(t, ctx, s)
	wants(t, second.Result, messages.Succeeded, "", messages.ConsistencyApplication)
	if first.Result.EventID != second.Result.EventID {
		t.Errorf("two events: %s\n%s", first.Body, second.Body)
	}
	if n := sets(t, ctx, s)["same"]; len(n) != 1 || tag(n[0], "stillpoint:status") != "succeeded" {
		t.Errorf("%d snapshots", len(n))
	}
}

// A plan that has lost its section mysql makes sets all the same, and says what they are worth.
func TestPlanWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{})
	text, err := os.ReadFile(s.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`    mysql:\n(      .*\n)*`).ReplaceAll(text, nil)
	if err := os.WriteFile(s.ConfigPath, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := cli(t, ctx, s, "snapshot", "--config", s.ConfigPath, "nightly"); code != 0 {
		t.Fatalf("exit %d\n%s\n%s", code, out, errs)
	}
	r := next(t, ctx, s).Result
	wants(t, r, messages.Succeeded, "", messages.ConsistencyFilesystem)
	if want := fmt.Sprintf("mariadbd (process %d", s.Server.PID()); !strings.Contains(strings.Join(r.Warnings, "\n"), want) {
		t.Errorf("warnings %q, want %s", r.Warnings, want)
	}
}

// What is wrong with one plan's credentials does not stop another plan; the plan itself says it.
func TestAnotherPlanIsBroken(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{NoDatabase: true})
	text, err := os.ReadFile(s.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	nowhere := filepath.Join(s.Dir, "nowhere.cnf")
	text = append(text, "\n  broken:\n    mysql: {defaults_file: "+nowhere+"}\n    freeze: ["+s.Volumes[0].Mount+"]\n    volumes: ["+s.Volumes[0].ID+"]\n"...)
	if err := os.WriteFile(s.ConfigPath, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := cli(t, ctx, s, "snapshot", "--config", s.ConfigPath, "nightly"); code != 0 {
		t.Errorf("exit %d\n%s\n%s", code, out, errs)
	}
	next(t, ctx, s)
	if _, errs, code := cli(t, ctx, s, "snapshot", "--config", s.ConfigPath, "broken"); code != 78 || !strings.Contains(errs, nowhere) {
		t.Errorf("exit %d\n%s", code, errs)
	}
	// Nor does a worker: who asks for the broken one hears why, and it is looked at anew for each.
	work(t, ctx, s)
	refused := func(why string) {
		t.Helper()
		send(t, ctx, s, `{"plan":"broken"}`)
		r := next(t, ctx, s).Result
		wants(t, r, messages.Failed, messages.ReasonPreflightFailed, messages.ConsistencyNone)
		if !strings.Contains(r.Message, nowhere) || !strings.Contains(r.Message, why) {
			t.Errorf("it says %s, want %s", r.Message, why)
		}
	}
	refused("no such file")
	if err := errors.Join(os.WriteFile(nowhere, []byte("[client]\n"), 0o600), os.Chmod(nowhere, 0o666)); err != nil {
		t.Fatal(err)
	}
	refused("chmod go-w")
	send(t, ctx, s, `{"plan":"nightly"}`)
	wants(t, next(t, ctx, s).Result, messages.Succeeded, "", messages.ConsistencyFilesystem)
}
