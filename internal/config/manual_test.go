package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

const manualPath = "../../infra/packaging/man/stillpoint.yaml.5"

// stillpoint.yaml(5) has every key, once, in its section and with its default.
func TestManualHasEveryKey(t *testing.T) {
	b, err := os.ReadFile(manualPath)
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]reflect.Value{
		sectionFile: reflect.ValueOf(*Default()), sectionPlan: reflect.ValueOf(*NewPlan("nightly")), sectionMySQL: reflect.ValueOf(*NewMySQL()),
	}
	titles := map[string]string{sectionFile: ".Sh THE FILE\n", sectionPlan: ".Sh A PLAN\n", sectionMySQL: ".Sh MYSQL\n"}
	for section, title := range titles {
		_, page, ok := strings.Cut(string(b), title)
		if !ok {
			t.Fatalf("no section %q", title)
		}
		page, _, _ = strings.Cut(page, ".Sh ")
		var want, have []string
		for _, key := range keysOf(section) {
			if keyRefused(section, key) {
				continue
			}
			field, _ := fieldOf(defaults[section], key)
			want = append(want, strings.TrimSpace(".It Ic "+key+" : "+stated(t, field.Interface())))
		}
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, ".It ") {
				have = append(have, strings.TrimSpace(line))
			}
		}
		for _, w := range want {
			if n := count(have, w); n != 1 {
				t.Errorf("%s: the line %q is there %d times", section, w, n)
			}
		}
		for _, h := range have {
			if count(want, h) == 0 {
				t.Errorf("%s: the line %q is of no key, or states another default", section, h)
			}
		}
	}
}

// The example of three lines is a worker's file.
func TestManualExample(t *testing.T) {
	b, err := os.ReadFile(manualPath)
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(b), "Three lines are enough for a worker:\n.Bd -literal -offset indent\n")
	example, _, ok := strings.Cut(example, ".Ed\n")
	if !ok || strings.Count(example, "\n") != 3 {
		t.Fatalf("not three lines: %q", example)
	}
	f, err := Parse([]byte(example), "stillpoint.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.CheckWorker(); err != nil {
		t.Error(err)
	}
}

func count(list []string, s string) (n int) {
	for _, l := range list {
		if l == s {
			n++
		}
	}
	return n
}

// stated is how the page writes a default.
func stated(t *testing.T, v any) string {
	switch v := v.(type) {
	case string:
		if v == "" {
			return `Li \(dq\(dq`
		}
		return "Li " + v
	case time.Duration:
		s := v.String()
		for _, zero := range []string{"m0s", "h0m"} {
			if strings.HasSuffix(s, zero) {
				s = s[:len(s)-2]
			}
		}
		return "Li " + s
	case []string:
		return "Li []"
	case map[string]string, map[string]*Plan:
		return "Li {}"
	case *MySQL:
		return ""
	case bool, int:
		return fmt.Sprint("Li ", v)
	}
	t.Fatalf("the page cannot state a %T", v)
	return ""
}
