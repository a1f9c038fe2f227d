package packages

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"stillpoint/test/guest"
)

// described is what git describe says in the order in which one follows another, and the packages' version of it.
var described = [][2]string{
	{"0123456789ab", "0~20260101000000.0123456789ab"},
	{"0123456789ab-dirty", "0~20260101000000.0123456789ab.dirty"},
	{"v0.9.0", "0.9.0"},
	{"v1.2.0-rc.1", "1.2.0~rc.1"},
	{"v1.2.0-rc.1-2-gfedcba987654", "1.2.0~rc.1+2.gfedcba987654"},
	{"v1.2.0-rc.2", "1.2.0~rc.2"},
	{"v1.2.0", "1.2.0"},
	{"v1.2.0-dirty", "1.2.0+0.dirty"},
	{"v1.2.0-3-g0123456789ab", "1.2.0+3.g0123456789ab"},
	{"v1.2.0-3-g0123456789ab-dirty", "1.2.0+3.g0123456789ab.dirty"},
	{"v1.2.0-10-gabcdefabcdef", "1.2.0+10.gabcdefabcdef"},
	{"v1.2.1", "1.2.1"},
}

// The packages' version follows what git says, and dpkg and rpm take a later one for newer.
func TestVersions(t *testing.T) {
	ctx := needs(t)
	var script, lines strings.Builder
	for i, d := range described {
		cmd := exec.CommandContext(ctx, "../../scripts/package.sh", "version")
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+epoch, "VERSION="+d[0])
		if out, err := cmd.Output(); err != nil || string(bytes.TrimSpace(out)) != d[1] {
			t.Errorf("%s is %s, want %s: %v", d[0], out, d[1], err)
		}
		if i > 0 {
			fmt.Fprintf(&script, "dpkg --compare-versions %[1]s-1 lt %[2]s-1 || echo dpkg: %[1]s %[2]s; rpm --eval '%%{lua:print(rpm.vercmp(\"%[1]s\", \"%[2]s\"))}'\n", described[i-1][1], d[1])
			lines.WriteString("-1\n")
		}
	}
	h := boot(t, ctx, guest.Config{Tree: guest.Tools, Plain: true})
	h.says(script.String(), strings.TrimSpace(lines.String()))
}
