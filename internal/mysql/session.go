package mysql

import (
	"context"
	"fmt"
	"slices"
	"time"

	"stillpoint/internal/mysql/applier"
	"stillpoint/internal/mysql/lock"
	"stillpoint/internal/mysql/look"
	"stillpoint/internal/mysql/parts"
	"stillpoint/internal/mysql/position"
	"stillpoint/internal/mysql/session"
	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// stopWithin bounds the stop of all appliers of one try. A stop waits for what the
// applier is in the middle of: one statement, on MySQL all that its workers have
// been given. Nothing is held meanwhile, the replica only falls behind.
const stopWithin = 10 * time.Second

// Session is a pair of open connections to one server, see the package, and what
// is done through them. It is used by one goroutine at a time.
type Session struct {
	cfg     Config
	pair    *session.Pair
	look    *look.Watcher
	lock    *lock.Holder
	applier *applier.Applier
	parts   *parts.Finder
}

var _ snapshot.DatabaseSession = (*Session)(nil)

// session puts the rooms together for a plan; it asks nobody.
func (c Config) session(p *session.Pair) *Session {
	w := look.New(p, look.Policy{
		Long: c.LongQueries, After: c.LongQueryAfter, Patience: min(c.LongQueryAfter, look.MaxPatience),
		KillAfter: c.KillAfter, KillMaxRows: c.KillMaxRows, OnKill: c.Killed, OnStatement: c.Statements, NoLock: c.Lock == LockNone,
	})
	return &Session{
		cfg: c, pair: p, look: w,
		lock:    lock.New(p, w, lock.Options{Mode: c.Lock, EverythingFrozen: c.EverythingFrozen, Timeout: c.LockTimeout, Flush: c.PreliminaryFlush}),
		applier: applier.New(p, c.address(), c.RuntimeDir, stopWithin),
		parts:   parts.New(p, c.TrustLocation),
	}
}

// Server says flavor and version, and what was killed up to now.
func (s *Session) Server() messages.MySQL {
	return messages.MySQL{Flavor: s.pair.Server.Flavor, Version: s.pair.Server.Version, Killed: slices.Clone(s.look.Killed)}
}

// Locate says where the server's files are. See snapshot.DatabaseSession.
func (s *Session) Locate(ctx context.Context) (snapshot.Location, error) {
	return s.parts.Locate(ctx)
}

// Settle runs the preliminary flush where it can do no harm.
func (s *Session) Settle(ctx context.Context) (string, error) { return s.lock.Settle(ctx) }

// Ready picks the lock of the next try, looks for statements that would block it
// and are older than LongQueryAfter, and sets the server's own bounds.
func (s *Session) Ready(ctx context.Context, hold time.Duration) error {
	return s.lock.Ready(ctx, hold, s.parts.StillThere)
}

// Lock makes one try for the lock that Ready picked, which is called where it was
// not since the last one.
func (s *Session) Lock(ctx context.Context, hold time.Duration) error {
	if !s.lock.IsReady() {
		if err := s.Ready(ctx, hold); err != nil {
			return err
		}
	}
	return s.lock.Lock(ctx, hold)
}

// Claim says what the lock is worth, see snapshot.Claim.
func (s *Session) Claim() snapshot.Claim { return s.lock.Claim() }

// Verify proves that the lock has been held by the same session since Lock returned.
func (s *Session) Verify(ctx context.Context) error { return s.lock.Verify(ctx) }

// Unlock lets go.
func (s *Session) Unlock(ctx context.Context) error { return s.lock.Unlock(ctx) }

// Coordinates reads where the server is, on the session that holds the lock, and
// sets the dead man's switch anew, which is one round trip more.
func (s *Session) Coordinates(ctx context.Context) (messages.MySQL, error) {
	m := s.Server()
	if s.pair.Closed {
		return m, fmt.Errorf("cannot read the coordinates of %s: the session is closed", s.pair.Target)
	}
	if err := position.Read(ctx, s.pair, s.applier.Stopped(), &m); err != nil {
		return m, err
	}
	if s.pair.Held {
		claim := s.lock.Claim()
		m.Lock, m.LockReason = claim.Lock.Name(), claim.Reason
		if err := s.lock.ArmSwitch(ctx); err != nil {
			return m, s.pair.StatementError(s.pair.A, "set the wait_timeout of", err)
		}
	}
	return m, nil
}

// StopApplier stops the SQL thread of every channel in which it runs, where the
// plan wants that. See snapshot.DatabaseSession.
func (s *Session) StopApplier(ctx context.Context) (int, error) {
	if !s.cfg.StopApplier {
		return 0, nil
	}
	return s.applier.Stop(ctx)
}

// StartApplier starts again what StopApplier has stopped, and nothing else. It
// may be called when nothing is stopped, and again after an error.
func (s *Session) StartApplier(ctx context.Context) error { return s.applier.Start(ctx) }

// Close ends both sessions, and with them any lock. It always returns nil. An
// applier that is still stopped is left to SettleApplier.
func (s *Session) Close() error {
	err := s.pair.Close()
	s.applier.LetGo()
	s.parts.Forget()
	return err
}
