package doctor_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stillpoint/internal/doctor"
)

// What a person reads: the fix of neighbors stands once, what was not checked is not called
// well, and the last line names what failed.
func TestText(t *testing.T) {
	named := func(check, plan string, f doctor.Finding) doctor.Finding { f.Check, f.Plan = check, plan; return f }
	good := named("file", "", doctor.Good("it is well"))
	for name, tc := range map[string]struct {
		found []doctor.Finding
		want  string
	}{
		"well": {[]doctor.Finding{good}, `ok    file  it is well

1 ok: all is well
`},
		"a warning": {[]doctor.Finding{good, named("host", "", doctor.Poor("slow", "wait"))}, `ok    file  it is well
warn  host  slow
            -> wait

1 ok, 1 warn, nothing failed
`},
		"nothing failed, and not all was seen": {[]doctor.Finding{good, named("a", "p", doctor.Unchecked("no right", "be root")), named("b", "p", doctor.Unchecked("no right", "be root"))}, `ok    file  it is well
warn  p: a  not checked: no right
warn  p: b  not checked: no right
            -> be root

1 ok, 2 not checked, nothing failed: what was not checked may still be broken
`},
		"failed": {[]doctor.Finding{named("file", "", doctor.Bad("line 1\n> 1 | x", "correct it")), named("b", "p", doctor.Bad("no", "yes")), named("c", "p", doctor.Unchecked("why", ""))}, `FAIL  file  line 1
            > 1 | x
            -> correct it
FAIL  p: b  no
            -> yes
warn  p: c  not checked: why

2 FAIL (file; p: b), 0 ok, 1 not checked: no snapshot should be relied upon until what failed is mended
`},
	} {
		var b strings.Builder
		if err := (doctor.Report{Findings: tc.found}).Text(&b, false); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tc.want, b.String()); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}
