package lunch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/rig"
)

// everything is a plan that uses all for which the unit must leave room.
const everything = `queue_url: %s
topic_arn: %s
plans:
  nightly:
    mysql: {defaults_file: /etc/stillpoint/my.cnf, coordinates_file: /var/lib/mysql/stillpoint/coordinates}
    freeze: [/var/lib/mysql]
    volumes: [%s]
    pre_freeze: [/usr/local/sbin/hook]
    post_thaw: [/usr/local/sbin/hook]
`

// hook runs as another user, who may not keep capabilities, and leaves a trace.
const hook = `#!/bin/sh
exec setpriv --reuid=mysql --regid=mysql --clear-groups sh -c 'echo $STILLPOINT_STAGE $(id -un) >>/run/mysqld/hooks; if [ $STILLPOINT_STAGE = pre_freeze ]; then echo x >/var/lib/mysql/hooked; fi'
`

// The unit as it is installed leaves the worker all that it needs, and nothing stays frozen whatever is done to it: a snapshot with hooks, coordinates and
// the look for the server's files; an upgrade inside the window; worker and guardian killed; the package removed while something is frozen.
func TestUnit(t *testing.T) {
	needs(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	dir, expedited := t.TempDir(), rig.Expedited()
	deb, err := Package(ctx, dir, "v0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	newer, err := Package(ctx, dir, "v0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	h, err := Set(ctx, Config{Deb: deb, Say: func(_, command, said string) { t.Logf("# %s\n%s", command, said) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			log, _ := h.Guest.Run(context.Background(), "journalctl", "--no-pager", "-n", "60")
			t.Logf("the host's log:\n%s", log)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if left, err := rig.LeftUnder(h.Scene.Dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
		if now := rig.Expedited(); now != expedited {
			t.Errorf("rcu_expedited is %s and was %s", now, expedited)
		}
	}()
	if err := h.Install(ctx); err != nil {
		t.Fatal(err)
	}
	file := fmt.Sprintf(everything, h.Scene.QueueURL, h.Scene.TopicARN, h.Scene.Volumes[0].ID)
	for name, content := range map[string]string{"/etc/stillpoint/stillpoint.yaml": file, "/usr/local/sbin/hook": hook, "/root/newer.deb": read(t, newer)} {
		mode := os.FileMode(0o600)
		if content == hook {
			mode = 0o755
		}
		if err := h.Guest.Write(name, content, mode); err != nil {
			t.Fatal(err)
		}
	}
	do := func(line string) string {
		t.Helper()
		out, err := h.Do(ctx, "", line)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	next := func(want messages.Status) *messages.Result {
		t.Helper()
		d, err := h.Scene.NextResult(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if d.Result.Status != want {
			t.Fatalf("got %s/%s, want %s: %s\nwarnings: %v\nstages: %+v", d.Result.Status, d.Result.Reason, want, d.Result.Message, d.Result.Warnings, d.Result.Stages)
		}
		return d.Result
	}
	do("install -d -o root -m 700 /var/lib/mysql/stillpoint")
	// The doctor sees what a drop-in of somebody's does to the unit, before the worker is started by it, and what it does not.
	const dropIn = "/etc/systemd/system/stillpoint.service.d/ours.conf"
	do("mkdir -p " + filepath.Dir(dropIn) + "; printf '[Service]\nCapabilityBoundingSet=~CAP_SYS_ADMIN\nWatchdogSec=10\nExecStopPost=\n' >" + dropIn + "; systemctl daemon-reload")
	ill := do("stillpoint doctor || [ $? = 3 ]")
	for _, advice := range []string{"FAIL  host.unit ", "add CAP_SYS_ADMIN to CapabilityBoundingSet", "WatchdogSec=", "ExecStopPost=stillpoint thaw"} {
		if !strings.Contains(ill, advice) {
			t.Errorf("the doctor does not say %q:\n%s", advice, ill)
		}
	}
	if n := strings.Count(ill, "FAIL  "); n != 1 {
		t.Errorf("%d lines of the doctor's are red, of one mistake:\n%s", n, ill)
	}
	do("rm -r " + filepath.Dir(dropIn) + "; systemctl daemon-reload; stillpoint doctor")
	do("systemctl enable -q --now stillpoint")

	// A snapshot with everything.
	do("stillpoint send nightly --region eu-west-1")
	r := next(messages.Succeeded)
	if r.Consistency != messages.ConsistencyApplication || !r.MySQL.CoordinatesExact {
		t.Errorf("got %s, coordinates exact: %t\nwarnings: %v", r.Consistency, r.MySQL.CoordinatesExact, r.Warnings)
	}
	if got, want := do("cat /run/mysqld/hooks"), "pre_freeze mysql\npost_thaw mysql"; got != want {
		t.Errorf("the hooks left %q, want %q", got, want)
	}
	pid := do("systemctl show -P MainPID stillpoint")
	if do("readlink /proc/"+pid+"/ns/mnt") != do("readlink /proc/1/ns/mnt") {
		t.Error("the worker has a mount namespace of its own, which keeps unmounted volumes busy")
	}
	t.Logf("the worker's capabilities:\n%s", do("grep -E 'Cap|NoNew|Seccomp:' /proc/"+pid+"/status"))
	// What the guardian cannot do it says; where this machine keeps even root from it the unit is not to blame.
	for _, note := range regexp.MustCompile(`"cannot expedite[^"]*"|"the guardian cannot [^"]*"`).FindAllString(do("journalctl -u stillpoint --no-pager -o cat"), -1) {
		if !strings.Contains(note, "OOM killer") && !strings.Contains(note, "write-back") || canExempt(t) {
			t.Errorf("the unit keeps something from the guardian: %s", note)
		}
	}
	if len(r.Warnings) > 0 {
		t.Errorf("warnings: %q", r.Warnings)
	}

	// A newer version arrives inside the window: the set is finished, then the worker is another one.
	fault := localstack.Fault{Operation: "ec2:CreateSnapshots", Skip: 1, Times: 1, Latency: 4 * time.Second}
	if err := h.Scene.AWS.SetFaults(fault); err != nil {
		t.Fatal(err)
	}
	do("stillpoint send nightly --region eu-west-1")
	frozen(t, ctx, h)
	do("apt-get install -qq -y /root/newer.deb")
	next(messages.Succeeded)
	if now := do("systemctl show -P MainPID stillpoint"); now == pid || now == "0" {
		t.Errorf("the worker is still process %s", now)
	}
	if out := do("stillpoint version; systemctl is-active stillpoint; cat /etc/stillpoint/stillpoint.yaml"); out != "stillpoint v0.0.2\nactive\n"+strings.TrimSpace(file) {
		t.Errorf("after the upgrade: %s", out)
	}

	// Worker and guardian are killed inside the window: the unit's stop hook thaws, and a new worker settles the request.
	fault.Latency, fault.Hang = 0, true
	if err := h.Scene.AWS.SetFaults(fault); err != nil {
		t.Fatal(err)
	}
	do("stillpoint send nightly --region eu-west-1")
	frozen(t, ctx, h)
	do("systemctl kill -s STOP stillpoint; systemctl kill -s KILL stillpoint") // at once: neither may see the other one go
	await(t, ctx, "a new worker", func() bool {
		now := do("systemctl show -P MainPID stillpoint")
		return now != "0" && now != pid && do("systemctl is-active stillpoint || true") == "active"
	})
	do("timeout 20 sh -c 'echo x >/var/lib/mysql/written && sync /var/lib/mysql/written'")
	if log := do("journalctl -u stillpoint --no-pager -o cat"); !strings.Contains(log, "/var/lib/mysql (device") || !strings.Contains(log, "it was frozen: thawed") {
		t.Errorf("the stop hook did not say that it thawed:\n%s", log)
	}
	// What becomes of the request is looked for in EC2 for minutes, and test/e2e's business.

	// Someone removes the package while a run by hand that was killed has left the volume frozen.
	do("systemctl stop stillpoint")
	if err := h.Scene.AWS.SetFaults(fault); err != nil {
		t.Fatal(err)
	}
	do("systemd-run -q --unit=by-hand --property=EnvironmentFile=/etc/stillpoint/environment stillpoint snapshot nightly")
	frozen(t, ctx, h)
	do("systemctl kill -s STOP by-hand; systemctl kill -s KILL by-hand") // at once: neither may see the other one go
	await(t, ctx, "the end of the run by hand", func() bool {
		state := do("systemctl show -P ActiveState by-hand 2>/dev/null || true")
		return state == "failed" || state == "inactive"
	})
	if b, err := os.ReadFile(h.Guest.Path(record)); err != nil || !isFrozen.Match(b) {
		t.Fatalf("the record does not say that the volume is still frozen: %v\n%s", err, b)
	}
	do("apt-get remove -qq -y stillpoint")
	do("timeout 20 sh -c 'echo x >/var/lib/mysql/written && sync /var/lib/mysql/written'")
	if out := do("ls /usr/bin/stillpoint /run/stillpoint 2>&1 || true; ls -d /var/lib/stillpoint /etc/stillpoint/stillpoint.yaml"); strings.Count(out, "No such file") != 2 || strings.Count(out, "\n") != 3 {
		t.Errorf("after the removal: %s", out)
	}
}

// canExempt says whether root of this machine has CAP_SYS_RESOURCE.
func canExempt(t *testing.T) bool {
	t.Helper()
	m := regexp.MustCompile(`(?m)^CapBnd:\s*([0-9a-f]+)$`).FindStringSubmatch(read(t, "/proc/self/status"))
	if m == nil {
		t.Fatal("this process's capabilities are not told")
	}
	var set uint64
	if _, err := fmt.Sscanf(m[1], "%x", &set); err != nil {
		t.Fatal(err)
	}
	const resource = 24
	return set&(1<<resource) != 0
}

const record = "/run/stillpoint/freeze.json"

var isFrozen = regexp.MustCompile(`"state": *"frozen`)

// frozen waits until the record says that the volume is.
func frozen(t *testing.T, ctx context.Context, h *Host) {
	t.Helper()
	await(t, ctx, "the freeze", func() bool {
		b, err := os.ReadFile(h.Guest.Path(record))
		return err == nil && isFrozen.Match(b)
	})
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// await polls a condition that no event announces, until the context ends.
func await(t *testing.T, ctx context.Context, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s did not happen: %v", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
