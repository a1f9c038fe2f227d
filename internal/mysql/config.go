package mysql

import (
	"context"
	"fmt"
	"time"

	"stillpoint/internal/mysql/access"
	"stillpoint/internal/mysql/applier"
	"stillpoint/internal/mysql/lock"
	"stillpoint/internal/mysql/look"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// What the rooms below call by names of their own, as a plan's file has it.
type (
	// Lock says by which lock the server is brought to rest: LockFTWRL and its like.
	Lock = lock.Mode
	// Flush says when the preliminary flush runs.
	Flush = lock.Flush
	// LongQueries says what to do about statements that would block the lock.
	LongQueries = look.LongQueries
)

// The values of these types, see the rooms.
const (
	LockFTWRL  = lock.FTWRL
	LockBackup = lock.Backup
	LockAuto   = lock.Auto
	LockNone   = lock.None

	FlushAuto   = lock.FlushAuto
	FlushAlways = lock.FlushAlways
	FlushNever  = lock.FlushNever

	LongQueriesWait = look.Wait
	LongQueriesFail = look.Fail
	LongQueriesKill = look.Kill
)

// The defaults of the clients.
const (
	DefaultSocket = wire.DefaultSocket
	DefaultPort   = wire.DefaultPort
)

// NoteName is the file in the runtime directory that says which applier is stopped.
const NoteName = applier.NoteName

// ErrApplierBusy says that a living process has the note of SettleApplier.
var ErrApplierBusy = applier.ErrBusy

// SettleApplier starts the appliers again that the note in a runtime directory
// says were stopped by a process that is dead, see applier.Settle.
func SettleApplier(ctx context.Context, dir string) ([]string, error) {
	return applier.Settle(ctx, dir)
}

// Config is what a plan says about its database. The zero value means: the
// server at DefaultSocket, as the user who runs the program, with every default.
type Config struct {
	// DefaultsFile is an option file as the clients read it; "" for none. Of it
	// only [client], [client-server] and [client-mariadb] are read, see
	// package wire. It must belong to root or to the running user, and not be
	// writable by group or others.
	DefaultsFile string

	// Socket, Host, Port, User and Password win over the file; "" and 0 leave
	// what the file says. Host "localhost" means the socket, any other means
	// TCP; Socket and a TCP Host together are an error.
	Socket   string
	Host     string
	Port     uint16
	User     string
	Password string

	// Lock: "" means LockFTWRL.
	Lock Lock
	// EverythingFrozen says that the plan freezes every file system of the set,
	// without which LockAuto takes no lock lighter than LockFTWRL.
	EverythingFrozen bool
	// LockTimeout bounds one try for the lock, to the millisecond: all of it,
	// where it has several steps. 0 means DefaultLockTimeout.
	LockTimeout time.Duration
	// PreliminaryFlush: "" means FlushAuto.
	PreliminaryFlush Flush
	// LongQueries: "" means LongQueriesWait.
	LongQueries LongQueries
	// LongQueryAfter is the age from which a statement that would block the
	// lock counts as long. 0 means DefaultLongQueryAfter.
	LongQueryAfter time.Duration
	// KillAfter is, with LongQueriesKill, the age from which a statement may be
	// ended. 0 means DefaultKillAfter.
	KillAfter time.Duration
	// KillMaxRows spares, with LongQueriesKill, a transaction that has changed
	// more rows. 0 spares every one that has changed any.
	KillMaxRows int
	// Killed is told what was ended, outside the window; nil: nobody is.
	Killed func(messages.Statement)
	// Statements is told the text of statements that are in the way, outside the
	// window; nil: nobody is, and no text leaves the server's rows.
	Statements func(id uint64, user, text string)

	// StopApplier stops a replica's SQL thread before the lock, and starts it again.
	StopApplier bool
	// RuntimeDir is where StopApplier notes what it has stopped, see SettleApplier;
	// "" for nowhere.
	RuntimeDir string
	// TrustLocation takes the server's word for where its files are, where the
	// kernel cannot be asked.
	TrustLocation bool
}

// The defaults of Config, which are the contract's.
const (
	DefaultLockTimeout    = 500 * time.Millisecond
	DefaultLongQueryAfter = time.Second
	DefaultKillAfter      = time.Minute
)

// minLockTimeout is the shortest LockTimeout: below it a try is withdrawn
// before an idle server has had a chance to answer.
const minLockTimeout = time.Millisecond

// maxLockTimeout keeps lock_wait_timeout within what the servers take.
const maxLockTimeout = time.Hour

// Database is one server. It holds no connection.
type Database struct {
	cfg Config
}

var _ snapshot.Database = (*Database)(nil)

// New checks what the configuration says by itself. Nothing is read, see Check.
func New(cfg Config) (*Database, error) {
	if cfg.LockTimeout == 0 {
		cfg.LockTimeout = DefaultLockTimeout
	}
	if cfg.LongQueryAfter == 0 {
		cfg.LongQueryAfter = DefaultLongQueryAfter
	}
	if cfg.KillAfter == 0 {
		cfg.KillAfter = DefaultKillAfter
	}
	if cfg.PreliminaryFlush == "" {
		cfg.PreliminaryFlush = FlushAuto
	}
	if cfg.LongQueries == "" {
		cfg.LongQueries = LongQueriesWait
	}
	if cfg.LockTimeout < minLockTimeout || cfg.LockTimeout > maxLockTimeout {
		return nil, fmt.Errorf("cannot use lock_timeout %v: it must be between %v and %v", cfg.LockTimeout, minLockTimeout, maxLockTimeout)
	}
	if cfg.LongQueryAfter < 0 {
		return nil, fmt.Errorf("cannot use long_query_after %v: it must not be negative", cfg.LongQueryAfter)
	}
	switch cfg.PreliminaryFlush {
	case FlushAuto, FlushAlways, FlushNever:
	default:
		return nil, fmt.Errorf("cannot use preliminary_flush %q: it must be auto, always or never", cfg.PreliminaryFlush)
	}
	switch cfg.Lock {
	case "", LockFTWRL, LockBackup, LockAuto, LockNone:
	default:
		return nil, fmt.Errorf("cannot use lock %q: it must be ftwrl, backup, auto or none", cfg.Lock)
	}
	switch cfg.LongQueries {
	case LongQueriesWait, LongQueriesFail, LongQueriesKill:
	default:
		return nil, fmt.Errorf("cannot use long_queries %q: it must be wait, fail or kill", cfg.LongQueries)
	}
	if cfg.KillAfter < 0 || cfg.KillMaxRows < 0 {
		return nil, fmt.Errorf("cannot use kill_after %v and kill_max_rows %d: neither may be negative", cfg.KillAfter, cfg.KillMaxRows)
	}
	return &Database{cfg: cfg}, nil
}

// Check says whether the defaults file and what it refers to can be used. Every
// Connect reads them again, so that a rotated password is picked up; what Check
// found in them is not kept.
func (d *Database) Check() error {
	t, err := d.cfg.address().Target()
	if err == nil {
		_, err = t.DriverConfig()
	}
	return err
}

// uses are the parts that a plan has.
func (c Config) uses() []access.Use {
	uses := []access.Use{access.Always}
	switch c.Lock {
	case LockFTWRL, "":
		uses = append(uses, access.FTWRL)
	case LockBackup:
		uses = append(uses, access.Backup)
	case LockAuto:
		uses = append(uses, access.Auto)
	}
	// For the backup lock it only runs where the plan insists, see Settle; on MariaDB that takes no more than the lock does.
	if c.PreliminaryFlush == FlushAlways || c.PreliminaryFlush != FlushNever && c.Lock != LockNone && c.Lock != LockBackup {
		uses = append(uses, access.Flush)
	}
	if c.LongQueries == LongQueriesKill {
		uses = append(uses, access.Kill)
	}
	if c.StopApplier {
		uses = append(uses, access.Applier)
	}
	return uses
}

// address is the part of it that leads to the server.
func (c Config) address() wire.Address {
	return wire.Address{DefaultsFile: c.DefaultsFile, Socket: c.Socket, Host: c.Host, Port: c.Port, User: c.User, Password: c.Password}
}
