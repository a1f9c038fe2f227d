package guest

import (
	"os"
	"strings"
	"testing"
)

func TestGuest(t *testing.T) {
	if missing := Missing(); missing != "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("this machine lacks %s", missing)
		}
		t.Skipf("this machine lacks %s", missing)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/hello", []byte("world"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, plain := range []bool{false, true} {
		g, err := Boot(t.Context(), Config{Tree: Host, Plain: plain, Mounts: map[string]string{"/srv/here": dir}})
		if err != nil {
			t.Fatal(err)
		}
		script := `cat /srv/here/hello; echo; cat /proc/1/comm; touch /usr/bin/written; ls /dev/loop* /.machine 2>/dev/null || true; ! touch /proc/sys/x 2>/dev/null`
		if !plain {
			script += "; systemctl list-units --failed --no-legend; systemctl is-system-running"
		}
		out, err := g.Shell(t.Context(), script)
		want := map[bool]string{true: "world\nsleep\n", false: "world\nsystemd\nrunning\n"}[plain]
		if err != nil || out != want {
			t.Errorf("plain %t: %q %v", plain, out, err)
		}
		if b, err := os.ReadFile(g.Path("/srv/here/hello")); err != nil || string(b) != "world" {
			t.Errorf("%s %v", b, err)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		for _, left := range []string{g.dir, g.cgroup, trees() + "/host/usr/bin/written"} {
			if _, err := os.Lstat(left); err == nil {
				t.Errorf("%s is left behind", left)
			}
		}
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), "stillpoint-guest-") {
		t.Errorf("a mount is left behind: %v\n%s", err, mounts)
	}
}
