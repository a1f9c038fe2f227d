package doctor_test

import (
	"strings"
	"testing"

	"stillpoint/internal/doctor"
)

func TestEnvironment(t *testing.T) {
	have := map[string]string{"AWS_REGION": "eu-west-1", "NO_PROXY": "a b"}
	see := func(text string) []doctor.Finding {
		return one(doctor.JudgeEnvironment("/etc/e", text, func(name string) string { return have[name] }))
	}
	judge(t, []row{
		{"empty", see("\n# AWS_REGION=x\n; A=b\nno line\n"), []string{"ok /etc/e"}},
		{"the same", see("AWS_REGION=eu-west-1\nNO_PROXY=\"a b\"\n"), []string{"ok /etc/e"}},
		{"quoted otherwise", see("NO_PROXY='a b'"), []string{"ok"}},
		{"other values", see("AWS_REGION=us-east-1\n HTTPS_PROXY = http://me:opensesame@p:3128\n"), []string{"warn another AWS_REGION, HTTPS_PROXY than"}},
		{"the way to have it", see("A=b"), []string{"warn set -a; . /etc/e; exec stillpoint doctor"}},
	})
	if f := see("HTTPS_PROXY=http://me:opensesame@p")[0]; strings.Contains(f.Message+f.Fix, "opensesame") {
		t.Errorf("it tells the value: %+v", f)
	}
}
