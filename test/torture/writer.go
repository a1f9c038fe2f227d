package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"stillpoint/test/rig"
)

// rest is between two operations of a writing client.
const rest = 3 * time.Millisecond

// writerEnv holds the file that this program, started as a writer, writes to.
const writerEnv = "STILLPOINT_TORTURE_WRITER"

// writerMain is the plain writer on a volume: a process of its own, since what is
// blocked on a frozen file system cannot be killed. It tells when each write
// began and ended, by the machine's clock, and ends when nobody listens.
func writerMain(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	tell := func() error {
		return binary.Write(os.Stdout, binary.LittleEndian, time.Now().UnixNano())
	}
	for {
		if err := tell(); err != nil {
			return nil //nolint:nilerr // nobody listens any more
		}
		if _, err := f.WriteAt([]byte{'x'}, 0); err != nil {
			return err
		}
		if err := tell(); err != nil {
			return nil //nolint:nilerr // likewise
		}
		time.Sleep(rest)
	}
}

// startFileWriter starts a plain writer on a mount.
func startFileWriter(mount string) (m *meter, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self) //nolint:noctx // stop ends it
	cmd.Env = append(os.Environ(), writerEnv+"="+filepath.Join(mount, "written"))
	cmd.Stderr, cmd.Dir = os.Stderr, "/"
	out, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	cmd.Stdout = w
	child, err := rig.StartChild(cmd)
	_ = w.Close()
	if err != nil {
		return nil, nil, errors.Join(err, out.Close())
	}
	m = &meter{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for began := true; ; began = !began {
			var ns int64
			if err := binary.Read(out, binary.LittleEndian, &ns); err != nil {
				if !errors.Is(err, io.EOF) {
					m.fail(err)
				}
				return
			}
			if at := time.Unix(0, ns); began {
				m.begin(at)
			} else {
				m.end(at)
			}
		}
	}()
	return m, func() {
		_ = child.Kill()
		select {
		case <-child.Exited():
			<-read
		case <-time.After(5 * time.Second): // blocked on a frozen file system: the thaw ends it
		}
		_ = out.Close()
	}, nil
}

// startCommitter starts a client that commits in a loop.
func startCommitter(ctx context.Context, server *rig.Server) (m *meter, stop func(), err error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	conn, err := server.DB().Conn(ctx)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	for _, q := range []string{
		// With a schema of its own as the default one, a replay of the load's leaves it out.
		"CREATE DATABASE torture", "USE torture",
		"CREATE TABLE written (id INT PRIMARY KEY, n BIGINT NOT NULL) ENGINE=InnoDB",
		"CREATE TABLE idle (id INT PRIMARY KEY) ENGINE=InnoDB",
		"INSERT INTO written VALUES (1, 0)",
		"SET SESSION innodb_lock_wait_timeout = 86400, lock_wait_timeout = 86400, wait_timeout = 86400",
	} {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			cancel()
			return nil, nil, errors.Join(fmt.Errorf("cannot prepare the committing client: %w", err), conn.Close())
		}
	}
	m = &meter{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = conn.Close() }()
		for ctx.Err() == nil {
			m.begin(time.Now())
			if _, err := conn.ExecContext(ctx, "UPDATE written SET n = n + 1"); err != nil {
				if ctx.Err() == nil {
					m.fail(fmt.Errorf("the committing client: %w", err))
				}
				return
			}
			m.end(time.Now())
			time.Sleep(rest)
		}
	}()
	return m, func() { cancel(); <-done }, nil
}
