package packages

import (
	"path/filepath"
	"strings"
	"testing"

	"stillpoint/test/guest"
)

// What is in the .rpm.
func TestRPM(t *testing.T) {
	ctx := needs(t)
	h := boot(t, ctx, guest.Config{Tree: guest.Tools, Plain: true}, rpm(newer))
	const query = "rpm -qp --qf "
	name := "/root/" + filepath.Base(rpm(newer))
	h.says(query+"'%{NAME} %{VERSION} %{RELEASE} %{OS} %{LICENSE} %{BUILDTIME}\\n' "+name, "stillpoint 0.2.0 1 linux Apache-2.0 "+epoch)
	got := strings.Split(h.do(query+"'[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\\n]' "+name), "\n")
	want := strings.ReplaceAll(files, " ./", " /")
	want = strings.Replace(want, "/vendor-completions/", "/site-functions/", 1)
	want = strings.Replace(want, "/etc/stillpoint/\n", "/etc/stillpoint\n", 1)
	if diff := strings.Join(got, "\n") + "\n"; diff != want {
		t.Errorf("got\n%s\nwant\n%s", diff, want)
	}
}

// borrowed runs the rpm of the tools in a host that has none.
const borrowed = `#!/bin/sh
export RPM_CONFIGDIR=/tools/usr/lib/rpm LD_LIBRARY_PATH=$(echo /tools/usr/lib/*-linux-gnu)
exec /tools/usr/bin/rpm "$@"
`

// Installed, upgraded, installed again, downgraded, removed and installed anew by rpm, under systemd. rpm says to scripts how many versions are
// left, and runs those of the old one after those of the new.
func TestRPMLife(t *testing.T) {
	ctx := needs(t)
	h := boot(t, ctx, guest.Config{Tree: guest.Host, Mounts: map[string]string{"/tools": guest.Tree(guest.Tools)}}, rpm(older), rpm(newer))
	if err := h.Write("/usr/local/bin/rpm", borrowed, 0o755); err != nil {
		t.Fatal(err)
	}
	h.do("mount -o remount,bind,ro /tools")
	rpm := func(flags, version string) string {
		t.Helper()
		return h.do("rpm --nodeps " + flags + " /root/" + filepath.Base(rpm(version)))
	}
	if said := rpm("-i", older); !strings.Contains(said, "neither enabled nor started") {
		t.Errorf("the installation does not say what is next:\n%s", said)
	}
	h.says("stillpoint version; rpm -V --nodeps stillpoint; stat -c '%a %n' /run/stillpoint /var/lib/stillpoint", "stillpoint v"+older+"\n700 /run/stillpoint\n700 /var/lib/stillpoint")
	h.says("systemctl is-enabled stillpoint || true; systemctl is-active stillpoint || true", "disabled\ninactive")
	h.write("/etc/stillpoint/stillpoint.yaml", file)
	h.write("/etc/stillpoint/environment", nowhere)
	h.do("systemctl enable -q --now stillpoint")

	// A newer one, the same one again, an older one: each is another worker, and all that was written stays.
	before := h.do("systemctl show -P MainPID stillpoint")
	for _, step := range []struct{ flags, version string }{{"-U", newer}, {"-U --replacepkgs", newer}, {"-U --oldpackage", older}} {
		if said := rpm(step.flags, step.version); strings.Contains(said, "Next:") {
			t.Errorf("%s says what a first installation does:\n%s", step.flags, said)
		}
		h.says("stillpoint version; cat /etc/stillpoint/stillpoint.yaml; systemctl is-enabled stillpoint; systemctl is-active stillpoint; stat -c %a /run/stillpoint",
			"stillpoint v"+step.version+"\n"+strings.TrimSpace(file)+"\nenabled\nactive\n700")
		now := h.do("systemctl show -P MainPID stillpoint")
		if now == before {
			t.Errorf("%s did not restart the worker", step.flags)
		}
		before = now
	}
	// One that was stopped is not started by an upgrade.
	h.do("systemctl stop stillpoint")
	rpm("-U", newer)
	h.says("systemctl is-active stillpoint || true", "inactive")

	// Where something cannot be thawed the removal fails.
	h.do("touch /run/stillpoint/freeze.json.damaged-1; ! rpm -e stillpoint; stillpoint version; rm /run/stillpoint/freeze.json.damaged-1")

	// A removal keeps the configuration and the state. The next one is a first installation again.
	h.do("systemctl start stillpoint; rpm -e stillpoint")
	h.says("ls -d /usr/bin/stillpoint /run/stillpoint /var/lib/stillpoint /etc/stillpoint/stillpoint.yaml 2>/dev/null || true; pgrep -x stillpoint || true", "/etc/stillpoint/stillpoint.yaml\n/var/lib/stillpoint")
	rpm("-i", newer)
	h.says("systemctl is-enabled stillpoint || true; systemctl is-active stillpoint || true", "disabled\ninactive")
}
