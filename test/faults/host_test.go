package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// freeze and thaw do what an administrator does by hand.
func freeze(mount string) error { return fsfreeze("-f", mount) }
func thaw(mount string) error   { return fsfreeze("-u", mount) }

func fsfreeze(flag, mount string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "fsfreeze", flag, mount).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot fsfreeze %s %s: %w: %s", flag, mount, err, out)
	}
	return nil
}

// stillFrozen thaws what somebody else is supposed to have frozen all along.
func stillFrozen(mount string) error {
	if err := thaw(mount); err != nil {
		return fmt.Errorf("somebody else's freeze is gone: %w", err)
	}
	return nil
}

// killDatabase ends the server as the OOM killer would; where the volume is frozen it goes when that is thawed.
func (b *bench) killDatabase() error { return b.s.Server.Kill() }

// stopDatabase asks the server to stop, as a service manager does, and does not wait.
func (b *bench) stopDatabase() error {
	return syscall.Kill(b.s.Server.PID(), syscall.SIGTERM)
}

// startDatabase starts the server again on what is there, and the load with it.
func (b *bench) startDatabase() error {
	ctx, cancel := context.WithTimeout(b.ctx, 40*time.Second)
	defer cancel()
	_ = b.s.Server.Wait(ctx) // it was killed, or told to stop
	_ = b.s.Load.Stop()      // its connections are gone
	if err := b.s.StartServer(b.ctx); err != nil {
		return err
	}
	return b.s.StartLoad(b.ctx)
}

// purge drops the binlogs of earlier cells, which would fill the volume.
func (b *bench) purge() error {
	for _, statement := range []string{"FLUSH BINARY LOGS", "PURGE BINARY LOGS BEFORE NOW()"} {
		if _, err := b.s.Server.DB().ExecContext(b.ctx, statement); err != nil {
			return fmt.Errorf("cannot %s: %w", statement, err)
		}
	}
	return nil
}

// killSessions ends every session of the worker's user, as an administrator does.
func (b *bench) killSessions() (err error) {
	db := b.s.Server.DB()
	rows, err := db.QueryContext(b.ctx, "SELECT id FROM information_schema.processlist WHERE user='stillpoint'")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(ids) == 0 {
		return errors.New("the worker has no session to kill")
	}
	for _, id := range ids {
		if _, err := db.ExecContext(b.ctx, "KILL "+strconv.FormatInt(id, 10)); err != nil {
			return err
		}
	}
	return nil
}

// fill leaves no block of the file system under state_dir free.
func (b *bench) fill() error {
	f, err := os.OpenFile(filepath.Join(b.state, "filler"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	for _, size := range []int{1 << 20, 64 << 10, 4 << 10, 512} {
		block := make([]byte, size)
		for err == nil {
			if _, err = f.Write(block); err == nil {
				err = f.Sync() // the allocation is put off until then
			}
		}
		err = nil
	}
	return f.Close()
}

// free gives the room back.
func (b *bench) free() error { return os.Remove(filepath.Join(b.state, "filler")) }

// setClock sets the wall clock of the worker, as far as the harness can (see cmd/stillpoint/clock_on.go).
func (b *bench) setClock(ahead time.Duration) error {
	return os.WriteFile(b.clock, []byte(ahead.String()), 0o600)
}

// logs are those of the newest workers.
func (b *bench) logs(n int) (out []string) {
	for i := max(0, b.workers-n); i < b.workers; i++ {
		text, err := os.ReadFile(filepath.Join(b.s.Dir, fmt.Sprintf("worker-%d.log", i)))
		if err != nil {
			text = []byte(err.Error())
		}
		out = append(out, string(text))
	}
	return slices.Clip(out)
}
