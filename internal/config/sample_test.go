package config

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const samplePath = "../../infra/stillpoint.yaml"

func readSample(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(samplePath)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSampleStatesTheDefaults(t *testing.T) {
	got, err := Parse([]byte(readSample(t)), "stillpoint.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := got.CheckWorker(); err != nil {
		t.Fatal(err)
	}
	// What has no default is taken from the sample; the rest must be equal.
	want := Default()
	want.QueueURL, want.TopicARN, want.DefaultPlan = got.QueueURL, got.TopicARN, "nightly"
	plan := NewPlan("nightly")
	plan.MySQL = NewMySQL()
	plan.MySQL.DefaultsFile = "/etc/stillpoint/my.cnf"
	plan.MySQL.PortSet = true
	plan.Description = "nightly {{.InstanceID}}"
	plan.Freeze = []string{"/var/lib/mysql"}
	want.Plans["nightly"] = plan
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the sample and the defaults differ (-default +sample):\n%s", diff)
	}
	vars := Vars{InstanceID: "i-0abc", Plan: "nightly"}
	a, err := plan.DescriptionFor(vars)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := NewPlan("nightly").DescriptionFor(vars); err != nil || a != b {
		t.Errorf("the default description is %q, the sample's %q: %v", b, a, err)
	}
}

// Every key of the structs stands in the sample: those that this version
// refuses as a comment, the others to be read.
func TestSampleHasEveryKey(t *testing.T) {
	text := readSample(t)
	for section := range sections {
		for _, key := range keysOf(section) {
			pattern := `(?m)^ *` + regexp.QuoteMeta(key) + `:`
			if keyRefused(section, key) {
				pattern = `(?m)^ *# ` + regexp.QuoteMeta(key) + `: .*not supported in this version`
			}
			if n := len(regexp.MustCompile(pattern).FindAllString(text, -1)); n != 1 {
				t.Errorf("%s: %s stands in the sample %d times", section, key, n)
			}
		}
	}
}

// The reader knows every type that the structs have.
func TestReaderKnowsEveryType(t *testing.T) {
	known := map[string]bool{"string": true, "bool": true, "int": true, "time.Duration": true, "[]string": true,
		"map[string]string": true, "*config.MySQL": true, "map[string]*config.Plan": true}
	for section, typ := range sections {
		for f := range typ.Fields() {
			if f.Tag.Get("yaml") == "" {
				t.Errorf("%s: %s has no key", section, f.Name)
			}
			if !known[f.Type.String()] {
				t.Errorf("%s: the reader does not know %s of %s", section, f.Type, f.Name)
			}
		}
	}
	for _, r := range notSupported {
		if r.value != "" && r.value != "auto" {
			if _, ok := enumerations[r.key]; !ok {
				t.Errorf("%s is refused with a value, but is no enumeration", r.key)
			}
		}
		if r.section != "" && sections[r.section] == nil {
			t.Errorf("%s: no section %s", r.key, r.section)
		}
	}
}
