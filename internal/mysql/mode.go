package mysql

import (
	"context"
	"fmt"
	"time"

	"stillpoint/internal/snapshot"
)

// Claim says what the lock is worth: after Lock of the one that is held, before
// that of the one that a try would take as things stand. See snapshot.Claim.
func (s *Session) Claim() snapshot.Claim { return s.claim }

// decide picks the method of the next try, and with it what can be claimed. It
// asks the server, with nothing held.
func (s *Session) decide(ctx context.Context) error {
	if err := s.checkRedo(ctx); err != nil {
		return err
	}
	late, err := s.logsLate(ctx)
	if err != nil {
		return err
	}
	backup, has := s.server.backupMethod()
	m, reason, tables := methodFTWRL, "", survey{}
	switch s.cfg.Lock {
	case LockNone:
		m = methodNone
	case LockBackup:
		if !has {
			return s.target.refused(fmt.Sprintf("(%s %s) has no backup lock, which MariaDB has since 10.4, MySQL since 8.0 and Percona Server in most versions: write lock: ftwrl, or auto",
				s.server.flavor, s.server.version), nil)
		}
		if m = backup; snapshot.MattersWhichTables(m.kind) {
			if tables, err = s.survey(ctx, statementTimeout); err != nil {
				return err
			}
		}
	case LockAuto:
		switch {
		case !has:
			reason = "the server has no backup lock"
		case !s.cfg.EverythingFrozen:
			reason = "the plan does not freeze everything"
		default:
			if tables, err = s.survey(ctx, s.surveyBound(backup)); err != nil {
				return err
			}
			if m, reason = backup, reasonBackup; !tables.transactional() {
				m, reason = methodFTWRL, tables.doubt()
			}
		}
	}
	s.pick(m, reason, tables)
	s.claim.LogsLate = late
	return nil
}

// surveyBound is for the look at the tables by which LockAuto decides. What take
// has to look at again, in the lock_timeout of the try, must be had in half of that
// here: else no try would ever come to an end on a server with very many tables.
func (s *Session) surveyBound(m method) time.Duration {
	if m.surveyed() {
		return s.cfg.LockTimeout / 2
	}
	return statementTimeout
}

const reasonBackup = "every table is transactional, and with everything frozen the backup lock is enough"

// pick notes the method and what can be claimed with it.
func (s *Session) pick(m method, reason string, tables survey) {
	s.method = m
	s.claim.Lock, s.claim.Reason = m.kind, reason
	s.claim.Transactional, s.claim.Doubt = tables.transactional(), tables.doubt()
	if !snapshot.MattersWhichTables(m.kind) {
		s.claim.Doubt = ""
	}
}

// logsLate says that InnoDB writes its log up to a second after the commit
// (innodb_flush_log_at_trx_commit = 0). The binlog of a set then knows
// transactions which its tables lack, whatever was locked: measured on both
// flavors under FTWRL (TestLogWrittenLate in test/e2e). FLUSH ENGINE LOGS would help
// on MySQL, where it asks for RELOAD, and does not on MariaDB.
func (s *Session) logsLate(ctx context.Context) (bool, error) {
	rows, err := s.b.query(ctx, "SHOW GLOBAL VARIABLES LIKE 'innodb_flush_log_at_trx_commit'")
	if err != nil {
		return false, s.statementError(s.b, "read the variables of", err)
	}
	return len(rows) == 1 && rows[0]["value"] == "0", nil // none without InnoDB
}

// take requests every step of the method that decide picked, within the plan's
// lock_timeout all together. Where it returns an error other than
// *notWithdrawnError nothing is queued or held.
//
// MySQL's backup lock says nothing of the tables that were made since Ready
// looked: now that no DDL can come between they are looked at again. Nobody but
// DDL waits for that, and not beyond lock_timeout. A plan with auto then goes on
// to FTWRL in what is left of its time, having let go of the backup lock.
func (s *Session) take(ctx context.Context) error {
	end := time.Now().Add(s.cfg.LockTimeout)
	if err := s.takeSteps(ctx, end); err != nil {
		return err
	}
	if !s.method.surveyed() {
		return nil
	}
	tables, err := s.survey(ctx, time.Until(end))
	if err != nil {
		return s.letGo(ctx, err)
	}
	if s.cfg.Lock != LockAuto || tables.transactional() {
		s.pick(s.method, s.claim.Reason, tables)
		return nil
	}
	if err := s.letGo(ctx, nil); err != nil {
		return err
	}
	if !s.a.alive() { // it was ended for that; the next try opens another
		return errWithdrawn
	}
	s.pick(methodFTWRL, tables.doubt(), tables)
	// Ready has looked for what would block the backup lock, and not for what would
	// block this one. One look decides: to wait for statements, end them or log them
	// is for Ready, with which the next try begins.
	list, err := s.blockers(ctx, 0)
	if err != nil {
		return err
	}
	if list = clients(list); len(list) > 0 {
		return &snapshot.LockNotGrantedError{Waited: true, Blockers: describe(list)}
	}
	return s.takeSteps(ctx, end)
}

// takeSteps requests the steps of the method, by the time given.
func (s *Session) takeSteps(ctx context.Context, end time.Time) error {
	for _, step := range s.method.steps {
		left := time.Until(end)
		if left <= 0 {
			return s.letGo(ctx, errWithdrawn)
		}
		if err := s.request(ctx, s.bounded(step, left), left); err != nil {
			return err
		}
	}
	return nil
}

// letGo gives up what the method has taken so far, and proves that. It returns
// cause, or a *notWithdrawnError. It goes on where ctx has ended.
func (s *Session) letGo(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	if s.settled(ctx) {
		return cause
	}
	return s.gone(ctx, nil, cause)
}

// holdsNobodyUp says that a try with the method makes nobody wait, so that
// nothing needs to be looked for beforehand: none, and BACKUP STAGE where no table
// is written without a transaction. That waits for DDL only, in its first stage,
// which nobody waits for but more DDL; and in its last for commits under way.
func (s *Session) holdsNobodyUp() bool {
	return s.method.kind == snapshot.LockNone || s.method.kind == snapshot.LockBackupStage && s.claim.Transactional
}
