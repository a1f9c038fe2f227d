package mysql

import (
	"context"
	"fmt"
	"time"

	"stillpoint/internal/snapshot"
)

const (
	// maxPatience bounds how long clear waits for statements that are not long yet.
	maxPatience = time.Second
	// lookEvery is how often it looks whether they have ended.
	lookEvery = 10 * time.Millisecond
)

// clear sees to it that the lock is not requested behind a statement that
// was in its way when it was first looked for; it asks for nothing and disturbs nobody.
//
// Whatever is found at the first look must end: what is younger than
// LongQueryAfter is waited for until it does or is no longer that young. So the
// only statements which a request can meet are those that began after our look.
// That matters most on MySQL, where a request that gives up behind a reader
// leaves the reader's tables flush-pending, and plain SELECTs on them hang
// until it ends, whatever we do then [facts, "MySQL poisoning"]. Of two
// looks, the one that passes is followed by the request at once.
//
// (Where LongQueryAfter is more than maxPatience, what is between the two in
// age is requested behind: the plan says that it is not long.)
//
// What is long is LongQueries' business. The error is a *LockNotGrantedError
// with Waited, or with LongQueriesFail a *RefusedError.
func (s *Session) clear(ctx context.Context) error {
	if err := s.checkCluster(ctx); err != nil {
		return err
	}
	var first map[string]bool
	var patience time.Time
	for look := 0; ; look++ {
		if look > 0 {
			pause(ctx, lookEvery)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("cannot lock %s: %w", s.target, err)
		}
		all, err := s.blockers(ctx, 0)
		if err != nil {
			return err
		}
		all = clients(all)
		if long := older(all, s.cfg.LongQueryAfter); len(long) > 0 {
			ended, err := s.long(ctx, long)
			if err != nil {
				return err
			}
			if ended {
				if look > maxKilled { // one after the other, and none that could be killed
					return &snapshot.LockNotGrantedError{Waited: true, Blockers: describe(long)}
				}
				continue
			}
		}
		if first == nil {
			// Not before: what began while something was killed is waited for as well,
			// and whatever is left when this has passed has become long.
			patience = time.Now().Add(s.patience)
			first = make(map[string]bool, len(all))
			for _, b := range all {
				first[b.key()] = true
			}
		}
		if !anyOf(first, all) || !time.Now().Before(patience) {
			return nil
		}
	}
}

func anyOf(keys map[string]bool, list []blocker) bool {
	for _, b := range list {
		if keys[b.key()] {
			return true
		}
	}
	return false
}

// long does what LongQueries says about statements that run long. It is true
// where all of them were ended.
func (s *Session) long(ctx context.Context, list []blocker) (bool, error) {
	s.tell(list)
	switch s.cfg.LongQueries {
	case LongQueriesFail:
		return false, s.target.refused(fmt.Sprintf("has statements that would block the lock and have been running for %v or longer, and long_queries is fail: %s; end them, or send the request again when they have ended",
			s.cfg.LongQueryAfter, describe(list)), nil)
	case LongQueriesKill:
		left, err := s.killLong(ctx, list)
		if err != nil || len(left) == 0 {
			return err == nil, err
		}
		list = left
	}
	return false, &snapshot.LockNotGrantedError{Waited: true, Blockers: describe(list)}
}

// tell gives the text of what is in the way to Config.Statements, once per statement.
func (s *Session) tell(list []blocker) {
	if s.cfg.Statements == nil {
		return
	}
	for _, b := range list {
		if b.text == nil || s.told[b.key()] {
			continue
		}
		if s.told == nil {
			s.told = map[string]bool{}
		}
		s.told[b.key()] = true
		s.cfg.Statements(b.id, b.user, *b.text)
	}
}

// inTheWay names, after a request that was not granted, what had been there
// all the time. It is no error not to know.
func (s *Session) inTheWay(ctx context.Context) string {
	list, err := s.blockers(ctx, s.cfg.LockTimeout)
	if err != nil {
		return ""
	}
	s.tell(list)
	if len(list) == 0 && s.server.mariadb() && s.heldLocks() == "" {
		return "something that this server does not show: a session that sleeps after LOCK TABLES ... WRITE does not on a MariaDB without its plugin metadata_lock_info, so look at idle ones too, or load it (INSTALL SONAME 'metadata_lock_info')"
	}
	return describe(list)
}
