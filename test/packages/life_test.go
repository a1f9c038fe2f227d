package packages

import (
	"strings"
	"testing"

	"stillpoint/test/guest"
)

// file is a worker's that reaches no AWS: it is ready nevertheless, and says on /readyz what it lacks.
const file = `queue_url: https://sqs.eu-west-1.amazonaws.com/111122223333/stillpoint-db1
topic_arn: arn:aws:sns:eu-west-1:111122223333:stillpoint-results
region: eu-west-1
instance_id: i-0123456789abcdef0
http_addr: ""
plans: {nightly: {freeze: [/var/lib/mysql]}}
`

const nowhere = "AWS_ENDPOINT_URL=http://127.0.0.1:1\nAWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=x\n"

// Installed, configured, upgraded, installed again, removed, purged, under systemd.
func TestLife(t *testing.T) {
	ctx := needs(t)
	h := boot(t, ctx, guest.Config{Tree: guest.Host}, deb(older), deb(newer))

	said := h.apt(older)
	if !strings.Contains(said, "neither enabled nor started") || !strings.Contains(said, "stillpoint doctor") || !strings.Contains(said, "systemctl enable --now stillpoint") {
		t.Errorf("the installation does not say what is next:\n%s", said)
	}
	h.says("stillpoint version", "stillpoint v"+older)
	h.says("systemctl is-enabled stillpoint || true; systemctl is-active stillpoint || true", "disabled\ninactive")
	h.says("stat -c '%a %U:%G %n' /etc/stillpoint /run/stillpoint /var/lib/stillpoint /usr/bin/stillpoint /usr/lib/systemd/system/stillpoint.service",
		"750 root:root /etc/stillpoint\n700 root:root /run/stillpoint\n700 root:root /var/lib/stillpoint\n755 root:root /usr/bin/stillpoint\n644 root:root /usr/lib/systemd/system/stillpoint.service")
	h.says("ls -A /etc/stillpoint", "")
	h.says("dpkg --verify stillpoint; echo ok", "ok")
	h.says("systemctl list-units --failed --no-legend", "")
	h.says("systemd-analyze verify --man=no stillpoint.service 2>&1", "")

	// Started before it is configured it says what is missing, once.
	h.do("systemctl start stillpoint 2>/dev/null || true")
	h.says("systemctl show -P Result -P ExecMainStatus -P NRestarts stillpoint | sort; systemctl is-active stillpoint || true", "0\n78\nexit-code\nfailed")
	if log := h.do("journalctl -u stillpoint -o cat --no-pager"); !strings.Contains(log, "/etc/stillpoint/stillpoint.yaml") {
		t.Errorf("the worker does not name the file that is missing:\n%s", log)
	}

	h.write("/etc/stillpoint/stillpoint.yaml", file)
	h.write("/etc/stillpoint/environment", nowhere)
	h.do("systemctl enable -q --now stillpoint")
	first := h.do("systemctl show -P MainPID stillpoint")
	h.says("systemctl show -P WatchdogUSec -P Restart -P OOMPolicy -P KillMode -P NotifyAccess stillpoint | sort", "1min 30s\nalways\ncontinue\ncontrol-group\nmain")
	h.says("grep -E '^(NoNewPrivs|Seccomp):' /proc/"+first+"/status | tr -s '\\t' ' '", "NoNewPrivs: 1\nSeccomp: 2")
	h.says("grep 'core file' /proc/"+first+"/limits | awk '{ print $5, $6 }'", "0 0")
	h.do("systemctl reload stillpoint")
	h.says("systemctl show -P MainPID stillpoint", first)

	// Killed it comes back; the directory of the record stays.
	h.do("touch /run/stillpoint/kept; systemctl kill -s KILL stillpoint")
	h.do("until systemctl is-active -q stillpoint && [ $(systemctl show -P MainPID stillpoint) != " + first + " ]; do sleep 0.1; done; rm /run/stillpoint/kept")

	// An upgrade replaces the worker; what a person wrote stays.
	second := h.do("systemctl show -P MainPID stillpoint")
	if said := h.apt(newer); strings.Contains(said, "Next:") {
		t.Errorf("an upgrade says what a first installation does:\n%s", said)
	}
	h.says("stillpoint version; cat /etc/stillpoint/stillpoint.yaml", "stillpoint v"+newer+"\n"+strings.TrimSpace(file))
	third := h.do("systemctl show -P MainPID stillpoint")
	if third == second || third == "0" {
		t.Errorf("the upgrade did not restart the worker: it is process %s", third)
	}
	h.says("readlink /proc/"+third+"/exe", "/usr/bin/stillpoint")
	h.do("apt-get install -qq -y --reinstall /root/stillpoint_" + newer + "-1_*.deb")
	h.says("cat /etc/stillpoint/stillpoint.yaml; systemctl is-enabled stillpoint; systemctl is-active stillpoint", strings.TrimSpace(file)+"\nenabled\nactive")

	// One that was stopped is not started by an upgrade.
	h.do("systemctl stop stillpoint")
	h.apt(older)
	h.says("systemctl is-active stillpoint || true", "inactive")
	h.do("systemctl start stillpoint")

	// Where something cannot be thawed the removal fails, and says why.
	h.do("touch /run/stillpoint/freeze.json.damaged-1")
	h.says("apt-get remove -qq -y stillpoint 2>&1 | grep -c '^stillpoint: not removed' || true; stillpoint version", "1\nstillpoint v"+older)
	h.do("rm /run/stillpoint/freeze.json.damaged-1; dpkg --configure -a")

	// A removal keeps the configuration and the state, a purge only what is owed or was written by hand.
	h.do("systemctl start stillpoint; apt-get remove -qq -y stillpoint; mkdir -p /var/lib/stillpoint/outbox; touch /var/lib/stillpoint/outbox/1.json")
	h.says("ls -d /usr/bin/stillpoint /run/stillpoint /etc/stillpoint/stillpoint.yaml /var/lib/stillpoint/outbox/1.json 2>/dev/null || true; pgrep -x stillpoint || true",
		"/etc/stillpoint/stillpoint.yaml\n/var/lib/stillpoint/outbox/1.json")
	if said := h.do("apt-get purge -qq -y stillpoint 2>&1"); !strings.Contains(said, "/var/lib/stillpoint is kept") || !strings.Contains(said, "/etc/stillpoint is kept") {
		t.Errorf("the purge does not say what it keeps:\n%s", said)
	}
	h.says("ls /var/lib/stillpoint/outbox /etc/stillpoint; ls /etc/systemd/system/multi-user.target.wants/stillpoint.service 2>/dev/null || true",
		"/etc/stillpoint:\nenvironment\nstillpoint.yaml\n\n/var/lib/stillpoint/outbox:\n1.json")
	h.apt(newer)
	h.says("systemctl is-enabled stillpoint || true", "disabled")
	// A request whose worker was killed is owed its result.
	h.do("rm /var/lib/stillpoint/outbox/1.json; mkdir -p /var/lib/stillpoint/sent; touch /var/lib/stillpoint/sent/1; apt-get purge -qq -y stillpoint")
	h.says("ls /var/lib/stillpoint/sent", "1")
	// A volume of its own is emptied.
	h.apt(newer)
	h.do("rm -r /var/lib/stillpoint/sent; mount -t tmpfs -o mode=700 state /var/lib/stillpoint; mkdir /var/lib/stillpoint/requests; apt-get purge -qq -y stillpoint")
	h.says("dpkg-query -W -f '${db:Status-Status}' stillpoint 2>/dev/null || echo gone; ls -A /var/lib/stillpoint; umount /var/lib/stillpoint", "gone")
	h.apt(newer)
	h.do("rm /etc/stillpoint/*; mkdir -p /var/lib/stillpoint/requests; touch /var/lib/stillpoint/requests/1.json; apt-get purge -qq -y stillpoint")
	h.says("find / -xdev -name '*stillpoint*' -not -path '/proc/*' -not -path '/root/*' -not -path '/var/log/*' -not -path '/run/*' 2>/dev/null || true", "")
}

// Without systemd, as when an image is built: nothing fails.
func TestLifeWithoutSystemd(t *testing.T) {
	ctx := needs(t)
	h := boot(t, ctx, guest.Config{Tree: guest.Host, Plain: true}, deb(older), deb(newer))
	h.apt(older)
	h.apt(newer)
	h.says("stat -c '%a %n' /run/stillpoint /var/lib/stillpoint", "700 /run/stillpoint\n700 /var/lib/stillpoint")
	h.do("apt-get purge -qq -y stillpoint")
	h.says("ls -d /usr/bin/stillpoint /var/lib/stillpoint /etc/stillpoint /run/stillpoint 2>/dev/null || true", "")
}

func (h host) write(name, content string) {
	h.t.Helper()
	if err := h.Write(name, content, 0o600); err != nil {
		h.t.Fatal(err)
	}
}
