package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stillpoint/messages"
)

func TestEmptyFilesAreTheDefaults(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "{}", "---\n"} {
		f, err := Parse([]byte(text), "f")
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if f.StateDir != "/var/lib/stillpoint" || len(f.Plans) != 0 {
			t.Errorf("%q: %+v", text, f)
		}
		err = f.CheckWorker()
		for _, key := range []string{"queue_url", "topic_arn", "plans"} {
			if err == nil || !strings.Contains(err.Error(), key+" is missing") {
				t.Errorf("the worker does not miss %s: %v", key, err)
			}
		}
	}
	for _, text := range []string{"a", "[]", "5", "- plans"} {
		if f, err := Parse([]byte(text), "f"); err == nil {
			t.Errorf("%q: %+v", text, f)
		}
	}
}

func TestEveryKeyIsRead(t *testing.T) {
	f, err := Parse([]byte(`
queue_url: http://127.0.0.1:4566/111122223333/q
topic_arn: arn:aws-us-gov:sns:us-gov-west-1:111122223333:t
dead_letter_queue_url: http://127.0.0.1:4566/111122223333/dlq
region: us-gov-west-1
instance_id: i-0123456789abcdef0
state_dir: /s
runtime_dir: /r
http_addr: ""
allow_event_sources: [com.example.ops]
default_plan: b
plans:
  b:
    description: |-
      {{.Plan}} of {{ .InstanceID }}
    mysql:
      {defaults_file: /d, socket: /k, port: 3307, user: u, lock: ftwrl, lock_timeout: 1s, lock_tries: 2, lock_sleep: 3s,
       preliminary_flush: never, long_queries: wait, long_query_after: 4s}
    freeze: [/a]
    no_freeze: ["/b c"]
    volumes: [vol-01234567]
    expedite_freeze: false
    snapshot_timeout: 5s
    max_hold: 11s
    max_age: 2h
    min_interval: 6s
    start_within: 7s
    tags: {Team: db, "2": "3"}
    request_tags: [Ticket]
    copy_tags: true
    pre_freeze: [/usr/local/bin/quiet, --now]
    post_thaw: []
    hook_timeout: 800ms
  c:
    mysql: {}
    no_freeze: [/]
`), "f")
	if err != nil {
		t.Fatal(err)
	}
	b := f.Plans["b"]
	if f.HTTPAddr != "" || f.Region != "us-gov-west-1" || f.AllowEventSources[0] != "com.example.ops" || b.Name != "b" ||
		b.MySQL.LockSleep != 3*time.Second || !b.MySQL.PortSet || b.MySQL.Port != 3307 || b.ExpediteFreeze || !b.CopyTags ||
		b.Tags["2"] != "3" || b.StartWithin != 7*time.Second || b.NoFreeze[0] != "/b c" || b.HookTimeout != 800*time.Millisecond ||
		len(b.PreFreeze) != 2 || b.PreFreeze[1] != "--now" || b.PostThaw != nil {
		t.Errorf("%+v %+v", f, b)
	}
	if c := f.Plans["c"]; c.MySQL == nil || c.MySQL.LockTries != 60 || c.MySQL.PortSet || !c.ExpediteFreeze {
		t.Errorf("%+v", c)
	}
	if err := f.CheckWorker(); err != nil {
		t.Error(err)
	}
}

// A plan that flags made, without a file, is held to the same rules.
func TestCheckWithoutAFile(t *testing.T) {
	f := Default()
	p := NewPlan("flags")
	p.MySQL = NewMySQL()
	f.Plans["flags"] = p
	if err := f.Check(); err == nil || !strings.HasPrefix(err.Error(), "plans.flags names nothing to snapshot") {
		t.Error(err)
	}
	p.Freeze = []string{"/srv"}
	if err := f.Check(); err != nil {
		t.Error(err)
	}
	p.MySQL.Lock = LockStop
	if err := f.Check(); err == nil || !strings.Contains(err.Error(), "lock must be ftwrl") {
		t.Error(err)
	}
}

func TestMinHoldCountsEachHook(t *testing.T) {
	p := NewPlan("p")
	p.MySQL = NewMySQL()
	p.PreFreeze, p.PostThaw = []string{"/a"}, []string{"/b"}
	got, sum := p.MinHold()
	if want := "lock_timeout 500ms + snapshot_timeout 10s + hook_timeout 10s + hook_timeout 10s + 4s = 34.5s"; got != 34500*time.Millisecond || sum != want {
		t.Errorf("%s: %s", got, sum)
	}
}

func TestDescriptionFor(t *testing.T) {
	p := NewPlan("nightly")
	v := Vars{InstanceID: "i-0abc", Plan: "nightly", RequestID: strings.Repeat("r", 256), Region: "eu-west-1"}
	p.Description = "{{.Plan}}/{{.InstanceID}}/{{.Region}}"
	if s, err := p.DescriptionFor(v); err != nil || s != "nightly/i-0abc/eu-west-1" {
		t.Errorf("%q, %v", s, err)
	}
	p.Description = "{{.RequestID}}"
	if s, err := p.DescriptionFor(v); err != nil || len(s) != messages.MaxDescription || !strings.HasSuffix(s, "...") {
		t.Errorf("%q, %v", s, err)
	}
	for _, bad := range []string{"{{.Other}}", "{{.Plan.x}}", "{{range .Plan}}{{end}}", "{{define `x`}}{{end}}", "{{$x := .Plan}}", "{{.Plan | html}}"} {
		p.Description = bad
		if s, err := p.DescriptionFor(v); err == nil {
			t.Errorf("%s makes %q", bad, s)
		}
	}
}

func TestPermit(t *testing.T) {
	p := NewPlan("nightly")
	p.Tags = map[string]string{"Team": "db"}
	request := func(keys ...string) messages.Request {
		r := messages.Request{Tags: map[string]string{}}
		for _, k := range keys {
			r.Tags[k] = "x"
		}
		return r
	}
	if err := p.Permit(request()); err != nil {
		t.Error(err)
	}
	if err := p.Permit(request("Ticket")); err == nil || !strings.Contains(err.Error(), `"Ticket"`) {
		t.Error(err)
	}
	p.RequestTags = []string{"Ticket"}
	if err := p.Permit(request("Ticket")); err != nil {
		t.Error(err)
	}
	p.RequestTags = []string{"*"}
	var many []string
	for i := range 29 {
		many = append(many, "t"+string(rune('A'+i)))
	}
	if err := p.Permit(request(append(many, "Team")...)); err != nil {
		t.Errorf("a tag that the plan sets as well counts once: %v", err)
	}
	if err := p.Permit(request(append(many, "u")...)); err == nil || !strings.Contains(err.Error(), "31 tags") {
		t.Error(err)
	}
}

func TestLoadLooksAtTheOwner(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "stillpoint.yaml")
	if err := os.WriteFile(path, []byte(readSample(t)), 0o640); err != nil {
		t.Fatal(err)
	}
	if f, err := Load(path); err != nil || f.DefaultPlan != "nightly" {
		t.Fatal(f, err)
	}
	for _, mode := range []os.FileMode{0o660, 0o646, 0o622} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{loadError(path)} {
			if err == nil || !strings.Contains(err.Error(), "chmod go-w "+path) {
				t.Errorf("%o: %v", mode, err)
			}
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		if err := loadError(path); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
			t.Error(err)
		}
	}
	if err := loadError(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Error(err)
	}
	if err := loadError(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func loadError(path string) error {
	_, err := Load(path)
	return err
}

func TestLinesEndAsTheyMay(t *testing.T) {
	text := strings.ReplaceAll(with(9, "    max_hold: 1s"), "\n", "\r\n")
	if _, err := Parse([]byte(text), "f"); err == nil || !strings.HasPrefix(err.Error(), "f:9: ") {
		t.Error(err)
	}
}
