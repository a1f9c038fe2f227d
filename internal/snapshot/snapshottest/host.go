package snapshottest

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// Database fakes snapshot.Database and its session.
type Database struct {
	// Position is what Server and Coordinates say.
	Position messages.MySQL
	// Locks is what Claim says; the zero value: FLUSH TABLES WITH READ LOCK.
	Locks snapshot.Claim

	ConnectFunc     func(ctx context.Context) error
	LocateFunc      func(ctx context.Context) (snapshot.Location, error)
	SettleFunc      func(ctx context.Context) (string, error)
	StopFunc        func(ctx context.Context) (int, error)
	StartFunc       func(ctx context.Context) error
	ReadyFunc       func(ctx context.Context, hold time.Duration) error
	LockFunc        func(ctx context.Context, hold time.Duration) error
	CoordinatesFunc func(ctx context.Context) (messages.MySQL, error)
	VerifyFunc      func(ctx context.Context) error
	UnlockFunc      func(ctx context.Context) error
	CloseFunc       func() error

	rig            *Rig
	opened, closed int
}

type session struct {
	*Database
	open bool
}

var (
	_ snapshot.Database        = (*Database)(nil)
	_ snapshot.DatabaseSession = (*session)(nil)
)

// Connect implements snapshot.Database.
func (d *Database) Connect(ctx context.Context) (snapshot.DatabaseSession, error) {
	d.rig.note("Database.Connect")
	if d.ConnectFunc != nil {
		if err := d.ConnectFunc(ctx); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.opened++
	return &session{Database: d, open: true}, nil
}

func (s *session) Server() messages.MySQL {
	return messages.MySQL{Flavor: s.Position.Flavor, Version: s.Position.Version}
}

// Locate finds nothing outside the set, where LocateFunc says nothing else.
func (s *session) Locate(ctx context.Context) (snapshot.Location, error) {
	s.rig.note("Session.Locate")
	if s.rig.Held() {
		s.rig.fault("asked where the server's files are although something is held")
	}
	if s.LocateFunc != nil {
		return s.LocateFunc(ctx)
	}
	return snapshot.Location{Process: "mariadbd (process 4711)"}, ctx.Err()
}

func (s *session) Settle(ctx context.Context) (string, error) {
	s.rig.note("Session.Settle")
	if s.SettleFunc != nil {
		return s.SettleFunc(ctx)
	}
	return "flushed", ctx.Err()
}

// StopApplier stops one applier; Faults tells of one that stays so.
func (s *session) StopApplier(ctx context.Context) (int, error) {
	s.rig.note("Session.StopApplier")
	s.rig.set(&s.rig.stopped, true)
	if s.StopFunc != nil {
		return s.StopFunc(ctx)
	}
	return 1, ctx.Err()
}

func (s *session) StartApplier(ctx context.Context) error {
	s.rig.note("Session.StartApplier")
	s.rig.bounded(ctx, "Session.StartApplier")
	if !s.open {
		s.rig.fault("started the applier on a session that is closed")
	}
	if s.StartFunc != nil {
		if err := s.StartFunc(ctx); err != nil {
			return err
		}
	}
	s.rig.set(&s.rig.stopped, false)
	return nil
}

func (s *session) Ready(ctx context.Context, hold time.Duration) error {
	s.rig.note("Session.Ready")
	if s.ReadyFunc != nil {
		return s.ReadyFunc(ctx, hold)
	}
	return ctx.Err()
}

// Lock is granted where LockFunc, or else the context, has nothing against it.
func (s *session) Lock(ctx context.Context, hold time.Duration) error {
	s.rig.note("Session.Lock")
	err := ctx.Err()
	if s.LockFunc != nil {
		err = s.LockFunc(ctx, hold)
	}
	if err != nil {
		return err
	}
	if s.rig.Held() {
		s.rig.fault("locked although something is held")
	}
	s.rig.set(&s.rig.locked, true)
	return nil
}

func (s *session) Claim() snapshot.Claim {
	c := s.Locks
	c.Lock = cmp.Or(c.Lock, snapshot.LockFTWRL)
	return c
}

func (s *session) Coordinates(ctx context.Context) (messages.MySQL, error) {
	s.rig.note("Session.Coordinates")
	s.rig.bounded(ctx, "Session.Coordinates")
	if s.CoordinatesFunc != nil {
		return s.CoordinatesFunc(ctx)
	}
	return s.Position, nil
}

func (s *session) Tell(m messages.MySQL) string { return "gtid: " + m.GTID + "\n" }

func (s *session) Verify(ctx context.Context) error {
	s.rig.note("Session.Verify")
	if s.VerifyFunc != nil {
		return s.VerifyFunc(ctx)
	}
	return nil
}

// Unlock lets go whatever UnlockFunc says: the session is closed where it fails.
func (s *session) Unlock(ctx context.Context) error {
	s.rig.note("Session.Unlock")
	s.rig.bounded(ctx, "Session.Unlock")
	if s.rig.frozen && !s.rig.stuck {
		s.rig.fault("unlocked before the thaw")
	}
	if !s.rig.locked {
		s.rig.fault("unlocked although nothing is locked")
	}
	s.rig.set(&s.rig.locked, false)
	if s.UnlockFunc != nil {
		return s.UnlockFunc(ctx)
	}
	return nil
}

func (s *session) Close() error {
	s.rig.note("Session.Close")
	if s.open {
		s.open = false
		s.closed++
	}
	s.rig.set(&s.rig.locked, false)
	if s.CloseFunc != nil {
		return s.CloseFunc()
	}
	return nil
}

// Freezer fakes snapshot.Freezer and its guard.
type Freezer struct {
	ArmFunc    func(ctx context.Context, mounts []string) error
	SettleFunc func(ctx context.Context) error
	ReadyFunc  func(ctx context.Context) error
	FreezeFunc func(ctx context.Context, deadline time.Time) error
	ThawFunc   func(ctx context.Context) (snapshot.Thawed, error)
	CloseFunc  func() error

	rig           *Rig
	armed, closed int
}

type guard struct {
	*Freezer
	open  bool
	froze bool
}

var (
	_ snapshot.Freezer = (*Freezer)(nil)
	_ snapshot.Guard   = (*guard)(nil)
)

// Arm implements snapshot.Freezer.
func (f *Freezer) Arm(ctx context.Context, mounts []string) (snapshot.Guard, error) {
	f.rig.note("Freezer.Arm")
	if f.ArmFunc != nil {
		if err := f.ArmFunc(ctx, mounts); err != nil {
			return nil, err
		}
	}
	f.armed++
	return &guard{Freezer: f, open: true}, nil
}

func (g *guard) Settle(ctx context.Context) error {
	g.rig.note("Guard.Settle")
	if g.SettleFunc != nil {
		return g.SettleFunc(ctx)
	}
	return ctx.Err()
}

func (g *guard) Ready(ctx context.Context) error {
	g.rig.note("Guard.Ready")
	if g.rig.Held() {
		g.rig.fault("asked the guardian for a sign of life although something is held")
	}
	if g.ReadyFunc != nil {
		return g.ReadyFunc(ctx)
	}
	return ctx.Err()
}

// Owe notes whether post_thaw is owed; Faults tells of one that stays so.
func (g *guard) Owe(owed bool) {
	g.rig.note(fmt.Sprintf("Guard.Owe %v", owed))
	g.rig.set(&g.rig.owed, owed)
}

func (g *guard) Freeze(ctx context.Context, deadline time.Time) error {
	g.rig.note("Guard.Freeze")
	g.rig.bounded(ctx, "Guard.Freeze")
	if g.FreezeFunc != nil {
		if err := g.FreezeFunc(ctx, deadline); err != nil {
			return err
		}
	}
	g.froze = true
	g.rig.set(&g.rig.frozen, true)
	return nil
}

// Thaw thaws; where ThawFunc returns an error the freeze lasts until Close.
func (g *guard) Thaw(ctx context.Context) (snapshot.Thawed, error) {
	g.rig.note("Guard.Thaw")
	g.rig.bounded(ctx, "Guard.Thaw")
	if g.ThawFunc != nil {
		t, err := g.ThawFunc(ctx)
		if err == nil {
			g.rig.set(&g.rig.frozen, false)
		} else {
			g.rig.set(&g.rig.stuck, true)
		}
		return t, err
	}
	g.rig.set(&g.rig.frozen, false)
	if !g.froze {
		return snapshot.Thawed{}, nil
	}
	return snapshot.Thawed{Cause: snapshot.ThawCommand, At: time.Now()}, nil
}

func (g *guard) Close() error {
	g.rig.note("Guard.Close")
	if g.open {
		g.open = false
		g.closed++
	}
	g.rig.set(&g.rig.frozen, false)
	if g.CloseFunc != nil {
		return g.CloseFunc()
	}
	return nil
}

// Volumes fakes snapshot.Volumes.
type Volumes struct {
	Set         []snapshot.Volume
	OthersFunc  func(ctx context.Context, mounts []string) ([]string, error)
	ResolveFunc func(ctx context.Context, mounts, listed []string, attached []snapshot.Attachment) ([]snapshot.Volume, error)
	CoverFunc   func(ctx context.Context, set snapshot.Set, systems []snapshot.FileSystem) ([]snapshot.Coverage, error)

	rig *Rig
}

var _ snapshot.Volumes = (*Volumes)(nil)

// Others implements snapshot.Volumes.
func (v *Volumes) Others(ctx context.Context, mounts []string) ([]string, error) {
	v.rig.note("Volumes.Others")
	if v.OthersFunc != nil {
		return v.OthersFunc(ctx, mounts)
	}
	return nil, ctx.Err()
}

// Cover finds everything frozen, where CoverFunc says nothing else.
func (v *Volumes) Cover(ctx context.Context, set snapshot.Set, systems []snapshot.FileSystem) ([]snapshot.Coverage, error) {
	v.rig.note("Volumes.Cover")
	if v.CoverFunc != nil {
		return v.CoverFunc(ctx, set, systems)
	}
	all := make([]snapshot.Coverage, len(systems))
	for i := range all {
		all[i] = snapshot.Coverage{InSet: true, Frozen: true, On: "nvme1n1"}
	}
	return all, nil
}

// Resolve implements snapshot.Volumes.
func (v *Volumes) Resolve(ctx context.Context, mounts, listed []string, attached []snapshot.Attachment) ([]snapshot.Volume, error) {
	v.rig.note("Volumes.Resolve")
	if v.ResolveFunc != nil {
		return v.ResolveFunc(ctx, mounts, listed, attached)
	}
	return v.Set, nil
}
