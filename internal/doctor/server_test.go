package doctor_test

import (
	"testing"

	"stillpoint/internal/doctor"
)

func TestServer(t *testing.T) {
	promise := func(p doctor.Promise) []doctor.Finding { return one(doctor.JudgePromise(p)) }
	blockers := func(b doctor.Blockers) []doctor.Finding { return one(doctor.JudgeBlockers(b)) }
	long := []string{"id 5 (user app)", "id 6 (user app)"}
	sources := func(stops bool, s ...doctor.Source) []doctor.Finding { return one(doctor.JudgeSources(s, stops)) }
	binlog := func(b doctor.Binlog) []doctor.Finding { return one(doctor.JudgeBinlog(b)) }
	judge(t, []row{
		{"a defaults file", one(doctor.JudgeDefaults("/my.cnf", false, false)), []string{"ok"}},
		{"one without [client]", one(doctor.JudgeDefaults("/my.cnf", false, true)), []string{"warn below a line [client]"}},
		{"a readable one", one(doctor.JudgeDefaults("/my.cnf", true, false)), []string{"warn chmod 0600 /my.cnf"}},
		{"a version that was run", one(doctor.JudgeVersion("mariadb", "10.11.6", "run")), []string{"ok mariadb 10.11.6"}},
		{"a version that was read", one(doctor.JudgeVersion("mysql", "8.0.36", "read, not run")), []string{"ok read in its manual"}},
		{"a version of old", one(doctor.JudgeVersion("mysql", "5.5.1", "")), []string{"warn 5.5.1"}},
		{"a lock", one(doctor.JudgeLock(doctor.Lock{Name: "FLUSH TABLES WITH READ LOCK", Asked: "auto", Reason: "a MyISAM table"})), []string{"ok auto takes FLUSH TABLES WITH READ LOCK, since a MyISAM table"}},
		{"no lock", one(doctor.JudgeLock(doctor.Lock{Name: "none", Asked: "none"})), []string{"ok nothing is locked"}},
		{"the best", promise(doctor.Promise{Level: "application", Exact: true, Locks: true, Frozen: true, Binlog: true}), []string{"ok application-consistent, with exact coordinates"}},
		{"without a binlog", promise(doctor.Promise{Level: "application", Exact: true, Locks: true, Frozen: true}), []string{"ok application-consistent"}},
		{"without a lock", promise(doctor.Promise{Level: "filesystem", Frozen: true, Binlog: true}), []string{"ok filesystem-consistent; its coordinates are not exact"}},
		{"a doubt", promise(doctor.Promise{Level: "filesystem", Locks: true, Frozen: true, Doubt: "t is MyISAM"}), []string{"warn t is MyISAM -> write lock: ftwrl"}},
		{"logs late", promise(doctor.Promise{Level: "filesystem", Locks: true, Frozen: true, LogsLate: true}), []string{"warn innodb_flush_log_at_trx_commit = 1"}},
		{"not frozen", promise(doctor.Promise{Level: "database", Locks: true}), []string{"warn under freeze"}},
		{"nothing in the way", blockers(doctor.Blockers{Policy: "fail"}), []string{"ok"}},
		{"young", blockers(doctor.Blockers{Policy: "fail", Young: 2, After: "1s"}), []string{"ok 2 younger"}},
		{"wait", blockers(doctor.Blockers{Policy: "wait", Long: long}), []string{"warn lock_timeout"}},
		{"fail", blockers(doctor.Blockers{Policy: "fail", Long: long}), []string{"FAIL id 6"}},
		{"kill", blockers(doctor.Blockers{Policy: "kill", Long: long, Ended: long}), []string{"warn ends them"}},
		{"kill some", blockers(doctor.Blockers{Policy: "kill", Long: long, Ended: long[:1]}), []string{"warn ends 1 of these 2"}},
		{"all is seen", one(doctor.JudgeSight(false)), []string{"ok"}},
		{"sleepers are not", one(doctor.JudgeSight(true)), []string{"warn INSTALL SONAME 'metadata_lock_info'"}},
		{"a binlog", binlog(doctor.Binlog{On: true, Sync: "0", Base: "/d/binlog", Datadir: "/d/", Frozen: true}), []string{"ok"}},
		{"none", binlog(doctor.Binlog{}), []string{"warn no coordinates"}},
		{"not synced, not frozen", binlog(doctor.Binlog{On: true, Sync: "0", Base: "/d/binlog", Datadir: "/d/"}), []string{"warn sync_binlog = 1"}},
		{"synced, not frozen", binlog(doctor.Binlog{On: true, Sync: "1", Base: "/d/binlog", Datadir: "/d/"}), []string{"ok"}},
		{"elsewhere", binlog(doctor.Binlog{On: true, Sync: "1", Base: "/log/binlog", Datadir: "/d/", Frozen: true}), []string{"warn in /log"}},
		{"no replica", sources(true), []string{"ok nothing to stop"}},
		{"a replica", sources(false, doctor.Source{Host: "a", Applying: true}), []string{"ok from a"}},
		{"one that is stopped for a run", sources(true, doctor.Source{Host: "a", Applying: true}), []string{"ok is stopped for each try"}},
		{"one that does not run", sources(false, doctor.Source{Host: "a", Channel: "c"}), []string{"warn from a (channel c)"}},
		{"one that failed", sources(false, doctor.Source{Host: "a", Applying: true, Failed: true}), []string{"warn stopped with an error"}},
		{"several threads", sources(false, doctor.Source{Host: "a", Applying: true, Doubt: "several threads"}), []string{"warn stop_applier"}},
		{"connections", one(doctor.JudgeConnections(3, 151)), []string{"ok 3 of 151"}},
		{"few left", one(doctor.JudgeConnections(140, 151)), []string{"warn max_connections"}},
		{"fewer than a run has", one(doctor.JudgeConnections(8, 10)), []string{"warn"}},
	})
}
