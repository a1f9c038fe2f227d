package lock

import (
	"context"
	"fmt"
	"time"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/look"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
)

// Mode says by which lock the server is brought to rest.
type Mode string

// The modes.
const (
	// FTWRL: FLUSH LOCAL TABLES WITH READ LOCK.
	FTWRL Mode = "ftwrl"
	// Backup: the server's backup lock.
	Backup Mode = "backup"
	// Auto: the lightest that is right.
	Auto Mode = "auto"
	// None: none; the server is only watched.
	None Mode = "none"
)

// Decide picks the method of the next try, and with it what can be claimed. It
// asks the server, with nothing held.
func (h *Holder) Decide(ctx context.Context) error {
	if err := h.look.CheckRedo(ctx); err != nil {
		return err
	}
	late, err := h.logsLate(ctx)
	if err != nil {
		return err
	}
	backup, has := h.Server.BackupMethod()
	m, reason, tables := dialect.FTWRL, "", survey{}
	switch h.Mode {
	case None:
		m = dialect.None
	case Backup:
		if !has {
			return h.Target.Refused(fmt.Sprintf("(%s %s) has no backup lock, which MariaDB has since 10.4, MySQL since 8.0 and Percona Server in most versions: write lock: ftwrl, or auto",
				h.Server.Flavor, h.Server.Version), nil)
		}
		if m = backup; snapshot.MattersWhichTables(m.Kind) {
			if tables, err = h.survey(ctx, wire.StatementTimeout); err != nil {
				return err
			}
		}
	case Auto:
		switch {
		case !has:
			reason = "the server has no backup lock"
		case !h.EverythingFrozen:
			reason = "the plan does not freeze everything"
		default:
			if tables, err = h.survey(ctx, h.surveyBound(backup)); err != nil {
				return err
			}
			if m, reason = backup, reasonBackup; !tables.transactional() {
				m, reason = dialect.FTWRL, tables.doubt()
			}
		}
	}
	h.pick(m, reason, tables)
	h.claim.LogsLate = late
	return nil
}

// surveyBound is for the look at the tables by which Auto decides. What take
// has to look at again, in the lock_timeout of the try, must be had in half of that
// here: else no try would ever come to an end on a server with very many tables.
func (h *Holder) surveyBound(m dialect.Method) time.Duration {
	if m.Surveyed() {
		return h.Timeout / 2
	}
	return wire.StatementTimeout
}

const reasonBackup = "every table is transactional, and with everything frozen the backup lock is enough"

// pick notes the method and what can be claimed with it.
func (h *Holder) pick(m dialect.Method, reason string, tables survey) {
	h.method = m
	h.claim.Lock, h.claim.Reason = m.Kind, reason
	h.claim.Transactional, h.claim.Doubt = tables.transactional(), tables.doubt()
	if !snapshot.MattersWhichTables(m.Kind) {
		h.claim.Doubt = ""
	}
	h.look.Aim(m.Kind, tables.transactional())
}

// logsLate says that InnoDB writes its log up to a second after the commit
// (innodb_flush_log_at_trx_commit = 0). The binlog of a set then knows
// transactions which its tables lack, whatever was locked: measured on both
// flavors under FTWRL (TestLogWrittenLate in test/e2e). FLUSH ENGINE LOGS would help
// on MySQL, where it asks for RELOAD, and does not on MariaDB.
func (h *Holder) logsLate(ctx context.Context) (bool, error) {
	rows, err := h.B.Query(ctx, "SHOW GLOBAL VARIABLES LIKE 'innodb_flush_log_at_trx_commit'")
	if err != nil {
		return false, h.StatementError(h.B, "read the variables of", err)
	}
	return len(rows) == 1 && rows[0]["value"] == "0", nil // none without InnoDB
}

// take requests every step of the method that Decide picked, within the plan's
// lock_timeout all together. Where it returns an error other than
// *notWithdrawnError nothing is queued or held.
//
// MySQL's backup lock says nothing of the tables that were made since Ready
// looked: now that no DDL can come between they are looked at again. Nobody but
// DDL waits for that, and not beyond lock_timeout. A plan with auto then goes on
// to FTWRL in what is left of its time, having let go of the backup lock.
func (h *Holder) take(ctx context.Context) error {
	end := time.Now().Add(h.Timeout)
	if err := h.takeSteps(ctx, end); err != nil {
		return err
	}
	if !h.method.Surveyed() {
		return nil
	}
	tables, err := h.survey(ctx, time.Until(end))
	if err != nil {
		return h.letGo(ctx, err)
	}
	if h.Mode != Auto || tables.transactional() {
		h.pick(h.method, h.claim.Reason, tables)
		return nil
	}
	if err := h.letGo(ctx, nil); err != nil {
		return err
	}
	if !h.A.Alive() { // it was ended for that; the next try opens another
		return errWithdrawn
	}
	h.pick(dialect.FTWRL, tables.doubt(), tables)
	// Ready has looked for what would block the backup lock, and not for what would
	// block this one. One look decides: to wait for statements, end them or log them
	// is for Ready, with which the next try begins.
	list, err := h.look.Blockers(ctx, 0)
	if err != nil {
		return err
	}
	if list = look.Clients(list); len(list) > 0 {
		return &snapshot.LockNotGrantedError{Waited: true, Blockers: look.Describe(list)}
	}
	return h.takeSteps(ctx, end)
}

// takeSteps requests the steps of the method, by the time given.
func (h *Holder) takeSteps(ctx context.Context, end time.Time) error {
	for _, step := range h.method.Steps {
		left := time.Until(end)
		if left <= 0 {
			return h.letGo(ctx, errWithdrawn)
		}
		if err := h.request(ctx, h.bounded(step, left), left); err != nil {
			return err
		}
	}
	return nil
}

// applier.LetGo gives up what the method has taken so far, and proves that. It returns
// cause, or a *notWithdrawnError. It goes on where ctx has ended.
func (h *Holder) letGo(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	if h.settled(ctx) {
		return cause
	}
	return h.gone(ctx, nil, cause)
}
