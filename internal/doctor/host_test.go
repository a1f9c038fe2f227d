package doctor_test

import (
	"strings"
	"testing"
	"time"

	"stillpoint/internal/doctor"
)

// row is one thing that was seen, and what is to come of it: "ok", "warn", "FAIL"
// or "unchecked", and a text in what is said or advised.
type row struct {
	name string
	got  []doctor.Finding
	want []string
}

func one(f doctor.Finding) []doctor.Finding { return []doctor.Finding{f} }

func judge(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if len(r.got) != len(r.want) {
				t.Fatalf("%d findings, want %d: %+v", len(r.got), len(r.want), r.got)
			}
			for i, f := range r.got {
				status, text, _ := strings.Cut(r.want[i], " ")
				got := string(f.Status)
				if !f.Checked {
					got = "unchecked"
				}
				said := f.Check + " " + f.Message + " -> " + f.Fix
				if got != status || !strings.Contains(said, text) {
					t.Errorf("%s, want %s: %s", got, r.want[i], said)
				}
				if f.Status != doctor.OK && f.Fix == "" {
					t.Errorf("it does not say what to do: %s", said)
				}
			}
		})
	}
}

func TestRights(t *testing.T) {
	r := func(uid int, freezes, locates bool, lacks ...string) []doctor.Finding {
		return doctor.JudgeRights(doctor.Rights{UID: uid, Freezes: freezes, Locates: locates, Lacks: lacks})
	}
	judge(t, []row{
		{"all", r(0, true, true), []string{"ok may freeze", "ok host.server_rights"}},
		{"neither is needed", r(0, false, false, doctor.CapFreeze, doctor.CapTrace), nil},
		{"no freeze", r(0, true, true, doctor.CapFreeze), []string{"FAIL CAP_SYS_ADMIN (to freeze)", "ok"}},
		{"no look at the server", r(0, true, true, doctor.CapRead), []string{"ok", "warn CAP_DAC_READ_SEARCH"}},
		{"a guardian with less", r(0, true, false, "CAP_IPC_LOCK"), []string{"warn CAP_IPC_LOCK"}},
		{"a plain user", r(1000, true, true, doctor.Capabilities()...), []string{"unchecked sudo", "unchecked sudo"}},
		{"a user with capabilities", r(1000, true, true), []string{"ok user 1000", "ok user 1000"}},
	})
}

func TestKernel(t *testing.T) {
	judge(t, []row{
		{"new", one(doctor.JudgeKernel("6.1.0-18-cloud-amd64", true)), []string{"ok 6.1.0"}},
		{"just new enough", one(doctor.JudgeKernel("5.6.0", true)), []string{"ok"}},
		{"too old", one(doctor.JudgeKernel("5.4.0-1103-aws", true)), []string{"FAIL trust_location"}},
		{"old, and nothing to locate", one(doctor.JudgeKernel("4.14.336-257.562.amzn2", false)), []string{"warn 5.6"}},
		{"strange", one(doctor.JudgeKernel("unknown", true)), []string{"unchecked unknown"}},
	})
}

func TestStateDir(t *testing.T) {
	const dir = "/var/lib/stillpoint"
	well := doctor.StateDir{Dir: dir, Exists: true, Free: 1 << 30, Inodes: 1 << 20, Needs: 512 << 10, Instance: "i-1", Bound: "i-1"}
	with := func(change func(*doctor.StateDir)) []doctor.Finding {
		s := well
		change(&s)
		return doctor.JudgeStateDir(s)
	}
	judge(t, []row{
		{"well", with(func(*doctor.StateDir) {}), []string{"ok", "ok 1024 MiB", "ok bound to i-1"}},
		{"to be made", with(func(s *doctor.StateDir) { s.Exists, s.Bound = false, "" }), []string{"ok can be made", "ok"}},
		{"of others", with(func(s *doctor.StateDir) { s.Problem = "its mode is 0755: chmod 0700" }), []string{"FAIL chmod 0700", "ok", "ok"}},
		{"read-only", with(func(s *doctor.StateDir) { s.ReadOnly = "read-only file system" }), []string{"FAIL remount", "ok", "ok"}},
		{"root's, seen by a user", with(func(s *doctor.StateDir) { s.UID = 1000 }), []string{"unchecked sudo"}},
		{"not made yet, seen by a user", with(func(s *doctor.StateDir) { s.UID, s.Exists, s.ReadOnly = 1000, false, "denied" }), []string{"unchecked sudo"}},
		{"full", with(func(s *doctor.StateDir) { s.Free = 100 << 10 }), []string{"ok", "FAIL make room", "ok"}},
		{"full, with the room kept", with(func(s *doctor.StateDir) { s.Free, s.Reserved = 100<<10, true }), []string{"ok", "warn make room", "ok"}},
		{"nearly full", with(func(s *doctor.StateDir) { s.Free = 10 << 20 }), []string{"ok", "warn make room", "ok"}},
		{"no inodes", with(func(s *doctor.StateDir) { s.Inodes = 3 }), []string{"ok", "FAIL 3 inodes", "ok"}},
		{"inodes that are not counted", with(func(s *doctor.StateDir) { s.Inodes = -1 }), []string{"ok", "ok", "ok"}},
		{"a clone", with(func(s *doctor.StateDir) { s.Bound = "i-2" }), []string{"ok", "ok", "FAIL stillpoint claim"}},
		{"set aside", with(func(s *doctor.StateDir) { s.SetAside, s.SetAsideOwner = "/x", "i-2" }), []string{"ok", "ok", "FAIL came from instance i-2"}},
		{"nobody knows who this is", with(func(s *doctor.StateDir) { s.Instance = "" }), []string{"ok", "ok", "unchecked bound to i-1"}},
		{"damaged", with(func(s *doctor.StateDir) { s.Unreadable = "cannot understand" }), []string{"ok", "ok", "FAIL cannot understand"}},
	})
}

func TestRuntimeAndLeftovers(t *testing.T) {
	record := func(r doctor.Record) []doctor.Finding { return one(doctor.JudgeRecord(r)) }
	writes := func(w ...doctor.Writes) []doctor.Finding { return one(doctor.JudgeWrites(w)) }
	judge(t, []row{
		{"root's", one(doctor.JudgeRuntime(doctor.Runtime{Dir: "/run/stillpoint", Exists: true})), []string{"ok nobody else"}},
		{"to be made", one(doctor.JudgeRuntime(doctor.Runtime{Dir: "/run/x"})), []string{"ok not there yet"}},
		{"full", one(doctor.JudgeRuntime(doctor.Runtime{Dir: "/run/x", Exists: true, NoRoom: "0 KiB are free"})), []string{"FAIL make room"}},
		{"everybody's", one(doctor.JudgeRuntime(doctor.Runtime{Dir: "/run/x", Problem: "chmod go-w"})), []string{"FAIL chmod"}},
		{"no record", record(doctor.Record{}), []string{"ok"}},
		{"an earlier boot", record(doctor.Record{Found: true, EarlierBoot: true, Frozen: []string{"/d"}}), []string{"ok earlier boot"}},
		{"a run", record(doctor.Record{Found: true, Worker: 7, Guardian: 8, Frozen: []string{"/d"}}), []string{"ok process 7"}},
		{"a guardian alone", record(doctor.Record{Found: true, Guardian: 8, Frozen: []string{"/d"}}), []string{"FAIL stillpoint thaw"}},
		{"left frozen", record(doctor.Record{Found: true, Frozen: []string{"/d"}}), []string{"FAIL left frozen: /d"}},
		{"left raised", record(doctor.Record{Found: true, Raised: true}), []string{"FAIL rcu_expedited"}},
		{"left owed", record(doctor.Record{Found: true, Owed: true}), []string{"FAIL post_thaw"}},
		{"left, with nothing in it", record(doctor.Record{Found: true}), []string{"warn nothing frozen"}},
		{"unreadable", record(doctor.Record{Found: true, Unreadable: "x"}), []string{"FAIL stillpoint thaw"}},
		{"set aside", record(doctor.Record{Damaged: []string{"/run/x"}}), []string{"FAIL fsfreeze --unfreeze"}},
		{"no note", one(doctor.JudgeApplier(doctor.Applier{})), []string{"ok"}},
		{"a living note", one(doctor.JudgeApplier(doctor.Applier{Found: true, Living: true, PID: 7})), []string{"ok process 7"}},
		{"a note of an earlier boot", one(doctor.JudgeApplier(doctor.Applier{Found: true, EarlierBoot: true})), []string{"ok earlier boot"}},
		{"a note of the dead", one(doctor.JudgeApplier(doctor.Applier{Found: true, PID: 7})), []string{"FAIL stillpoint thaw"}},
		{"writes get on", writes(doctor.Writes{Mount: "/d", OK: true}), []string{"ok /d"}},
		{"frozen", writes(doctor.Writes{Mount: "/d", OK: true}, doctor.Writes{Mount: "/e"}), []string{"FAIL wait on /e"}},
		{"frozen by a run", writes(doctor.Writes{Mount: "/d", By: 7}), []string{"ok process 7"}},
		{"not tried", writes(doctor.Writes{Mount: "/d", Err: "denied"}), []string{"unchecked denied"}},
		{"frozen, and not tried", writes(doctor.Writes{Mount: "/d", Err: "denied"}, doctor.Writes{Mount: "/e"}), []string{"FAIL /e"}},
		{"nothing needed", one(doctor.JudgeNeeded(nil, []string{"/run"})), []string{"ok /run"}},
		{"logs", one(doctor.JudgeNeeded([]doctor.Needed{{What: "logs", Path: "/var/log", Mount: "/var"}}, nil)), []string{"warn logs (/var/log) on /var"}},
		{"swap", one(doctor.JudgeNeeded([]doctor.Needed{{What: "swap", Path: "/d/swap", Mount: "/d", Grave: true}}, nil)), []string{"FAIL swap"}},
		{"a guardian", one(doctor.JudgeGuardian([]string{"/d"}, nil)), []string{"ok nothing was frozen"}},
		{"a guardian that cannot do all", one(doctor.JudgeGuardian([]string{"/d"}, []string{"it cannot x"})), []string{"warn CAP_IPC_LOCK"}},
	})
}

// What systemctl show prints of such units (systemd 252).
const (
	unitWell = "ActiveState=active\nUnitFileState=enabled\nExecStart={ path=/usr/bin/stillpoint ; argv[]=/usr/bin/stillpoint worker ; ignore_errors=no ; start_time=[n/a] }\nLoadState=loaded\nTimeoutStopUSec=2min 30s\nWatchdogUSec=1min 30s\nExecStopPost={ path=/usr/sbin/stillpoint ; argv[]=/usr/sbin/stillpoint thaw --wait 60s ; ignore_errors=no }\nCapabilityBoundingSet=cap_dac_override cap_dac_read_search cap_sys_ptrace cap_sys_admin\n"
	unitNone = "LoadState=not-found\nTimeoutStopUSec=1min 30s\nWatchdogUSec=0\n"
)

func TestUnit(t *testing.T) {
	bounds := doctor.UnitFor{Stop: 2 * time.Minute, Window: 45 * time.Second, Freezes: true, Locates: true, File: "/etc/stillpoint/stillpoint.yaml", Default: "/etc/stillpoint/stillpoint.yaml"}
	files := "# /lib/systemd/system/stillpoint.service\n[Service]\nWatchdogSec=90\n"
	unit := func(replace ...string) []doctor.Finding {
		u, ok, err := doctor.ParseUnit("stillpoint.service", strings.NewReplacer(replace...).Replace(unitWell), files)
		if err != nil || !ok {
			t.Fatalf("%v %v", ok, err)
		}
		return one(doctor.JudgeUnit(u, bounds))
	}
	judge(t, []row{
		{"well", unit(), []string{"ok"}},
		{"no watchdog, and no bound", unit("2min 30s", "infinity", "1min 30s", "0"), []string{"ok"}},
		{"a stop that is too short", unit("2min 30s", "1min 30s"), []string{"warn TimeoutStopSec=120"}},
		{"a watchdog that is too short", unit("WatchdogUSec=1min 30s", "WatchdogUSec=45s"), []string{"FAIL WatchdogSec=75"}},
		{"a unit that does not run", unit("WatchdogUSec=1min 30s", "WatchdogUSec=infinity"), []string{"ok"}},
		{"no thaw", unit("stillpoint thaw", "true"), []string{"warn ExecStopPost=stillpoint thaw"}},
		{"no right to freeze", unit(" cap_sys_admin", ""), []string{"FAIL add CAP_SYS_ADMIN"}},
		{"not at the next boot", unit("=enabled", "=disabled"), []string{"warn systemctl enable stillpoint.service"}},
		{"neither started nor enabled", unit("=enabled", "=disabled", "=active", "=inactive"), []string{"ok"}},
		{"masked", unit("=loaded", "=masked"), []string{"FAIL systemctl unmask"}},
		{"another file", unit("worker ;", "worker --config /etc/other.yaml ;"), []string{"warn stillpoint doctor --config /etc/other.yaml"}},
		{"the same file", unit("worker ;", "worker --config=/etc/stillpoint/stillpoint.yaml ;"), []string{"ok"}},
	})
	files += "# /etc/systemd/system/stillpoint.service.d/ours.conf\n[Service]\n#WatchdogSec=5min\n WatchdogSec = 0.5min10s\n"
	judge(t, []row{
		{"a watchdog that will be too short", unit(), []string{"FAIL WatchdogSec is 40s"}},
		{"the same, and it does not run", unit("WatchdogUSec=1min 30s", "WatchdogUSec=infinity"), []string{"FAIL WatchdogSec is 40s"}},
	})
	files = ""
	bounds.Locates = false
	judge(t, []row{
		{"no right that no plan needs", unit(" cap_sys_ptrace", "", " cap_dac_read_search", ""), []string{"ok"}},
		{"no right to freeze, nothing to locate", unit(" cap_sys_admin", ""), []string{"FAIL add CAP_SYS_ADMIN"}},
	})
	if _, ok, err := doctor.ParseUnit("x", unitNone, ""); ok || err != nil {
		t.Errorf("a unit that is not there: %v %v", ok, err)
	}
	if _, _, err := doctor.ParseUnit("x", "TimeoutStopUSec=soon", ""); err == nil {
		t.Error("a span of time that is none is read")
	}
	if _, _, err := doctor.ParseUnit("x", unitWell, "WatchdogSec=a while"); err == nil {
		t.Error("a span of time that is none is read of the file")
	}
}
