package look

import (
	"context"
	"fmt"
	"time"

	"stillpoint/internal/mysql/session"
	"stillpoint/internal/snapshot"
)

// LongQueries says what to do about statements that would block the lock.
type LongQueries string

// What to do about them.
const (
	// Wait: request no lock while there are any.
	Wait LongQueries = "wait"
	// Fail: refuse the run at once, and name them.
	Fail LongQueries = "fail"
	// Kill: end those that KillAfter and KillMaxRows let be ended.
	Kill LongQueries = "kill"
)

// MaxPatience is the longest Patience that makes sense.
const MaxPatience = time.Second

// lookEvery is how often Clear looks whether what it waits for has ended.
const lookEvery = 10 * time.Millisecond

// Clear sees to it that the lock is not requested behind a statement that
// was in its way when it was first looked for; it asks for nothing and disturbs nobody.
//
// Whatever is found at the first look must end: what is younger than
// After is waited for until it does or is no longer that young. So the
// only statements which a request can meet are those that began after our look.
// That matters most on MySQL, where a request that gives up behind a reader
// leaves the reader's tables flush-pending, and plain SELECTs on them hang
// until it ends, whatever we do then [facts, "MySQL poisoning"]. Of two
// looks, the one that passes is followed by the request at once.
//
// (Where LongQueryAfter is more than Patience, what is between the two in
// age is requested behind: the plan says that it is not long.)
//
// What is long is LongQueries' business. The error is a *LockNotGrantedError
// with Waited, or with Fail a *RefusedError.
func (w *Watcher) Clear(ctx context.Context) error {
	if err := w.CheckCluster(ctx); err != nil {
		return err
	}
	var first map[string]bool
	var patience time.Time
	for look := 0; ; look++ {
		if look > 0 {
			session.Pause(ctx, lookEvery)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("cannot lock %s: %w", w.Target, err)
		}
		asked := time.Now()
		all, err := w.Blockers(ctx, 0)
		if err != nil {
			return err
		}
		all = Clients(all)
		if long := older(all, w.After); len(long) > 0 {
			ended, err := w.long(ctx, long)
			if err != nil {
				return err
			}
			if ended {
				if look > maxKilled { // one after the other, and none that could be killed
					return &snapshot.LockNotGrantedError{Waited: true, Blockers: Describe(long)}
				}
				continue
			}
		}
		if first == nil {
			// Not before: what began while something was killed is waited for as well,
			// and whatever is left in a look that began after this has become long.
			patience = time.Now().Add(w.Patience)
			first = make(map[string]bool, len(all))
			for _, b := range all {
				first[b.key()] = true
			}
		}
		if w.Patience <= 0 || !anyOf(first, all) || !asked.Before(patience) {
			return nil
		}
	}
}

func anyOf(keys map[string]bool, list []Blocker) bool {
	for _, b := range list {
		if keys[b.key()] {
			return true
		}
	}
	return false
}

// long does what LongQueries says about statements that run long. It is true
// where all of them were ended.
func (w *Watcher) long(ctx context.Context, list []Blocker) (bool, error) {
	w.tell(list)
	switch w.Long {
	case Fail:
		return false, w.Target.Refused(fmt.Sprintf("has statements that would block the lock and have been running for %v or longer, and long_queries is fail: %s; end them, or send the request again when they have ended",
			w.After, Describe(list)), nil)
	case Kill:
		left, err := w.killLong(ctx, list)
		if err != nil || len(left) == 0 {
			return err == nil, err
		}
		list = left
	}
	return false, &snapshot.LockNotGrantedError{Waited: true, Blockers: Describe(list)}
}

// tell gives the text of what is in the way to OnStatement, once per statement.
func (w *Watcher) tell(list []Blocker) {
	if w.OnStatement == nil {
		return
	}
	for _, b := range list {
		if b.text == nil || w.told[b.key()] {
			continue
		}
		if w.told == nil {
			w.told = map[string]bool{}
		}
		w.told[b.key()] = true
		w.OnStatement(b.id, b.user, *b.text)
	}
}

// InTheWay names, after a request that was not granted, what had been there
// all the time, for at least age. It is no error not to know.
func (w *Watcher) InTheWay(ctx context.Context, age time.Duration) string {
	list, err := w.Blockers(ctx, age)
	if err != nil {
		return ""
	}
	w.tell(list)
	if len(list) == 0 && w.Server.IsMariaDB() && w.heldLocks() == "" {
		return "something that this server does not show: a session that sleeps after LOCK TABLES ... WRITE does not on a MariaDB without its plugin metadata_lock_info, so look at idle ones too, or load it (INSTALL SONAME 'metadata_lock_info')"
	}
	return Describe(list)
}
