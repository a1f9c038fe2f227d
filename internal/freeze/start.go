package freeze

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

// startWithin bounds the start of the guardian and its greeting.
const startWithin = 10 * time.Second

// start runs the guardian, checks its greeting and starts to watch it. After
// an error no process is left behind; the files are the caller's to close.
func (g *Guard) start(ctx context.Context, c Config) error {
	var err error
	if g.timer, err = newTimer(); err != nil {
		return err
	}
	if err := g.spawn(c); err != nil {
		return err
	}
	if err := g.greet(ctx); err != nil {
		// Nothing is frozen yet, so this guardian may simply be killed.
		_ = g.command.Process.Kill()
		_ = g.command.Wait()
		<-g.drained
		if said := g.said(); said != "" && errors.Is(err, errEnded) {
			err = fmt.Errorf("%w: %s", err, said)
		}
		var refused *snapshot.RefusedError
		if errors.As(err, &refused) {
			return err
		}
		return fmt.Errorf("cannot start the guardian: %w", err)
	}
	go g.watch()
	return nil
}

// spawn starts the process with its descriptors.
func (g *Guard) spawn(c Config) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot connect a guardian: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "guardian")
	defer func() { _ = theirs.Close() }() // or the end of the stream would never come
	g.sock = os.NewFile(uintptr(pair[0]), "worker")
	tail, stderr, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("cannot connect a guardian: %w", err)
	}
	defer stderr.Close()
	// Where nobody reads, what the guardian says is lost rather than waited for.
	if err := unix.SetNonblock(int(stderr.Fd()), true); err != nil {
		_ = tail.Close()
		return fmt.Errorf("cannot connect a guardian: %w", err)
	}
	g.command = exec.Command(c.Executable, c.Args...) //nolint:noctx // nothing but its socket and its deadline may end a guardian
	g.command.Args[0] = "stillpoint"                  // or whoever looks for it in a list of processes would find the name of a link
	g.command.Dir = "/"
	g.command.Env = environ()
	g.command.Stderr = stderr
	// A session of its own: no terminal's signals reach it.
	g.command.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	// Whoever holds the record's open file holds its lock.
	recordFile, dir, err := g.record.files()
	if err != nil {
		_ = tail.Close()
		return fmt.Errorf("cannot hand over the freeze record: %w", err)
	}
	defer recordFile.Close()
	defer dir.Close()
	g.command.ExtraFiles = []*os.File{theirs, g.rcuFile, g.lockFile, recordFile, dir}
	for _, t := range g.targets {
		g.command.ExtraFiles = append(g.command.ExtraFiles, t.file)
	}
	if err := g.command.Start(); err != nil {
		_ = tail.Close()
		return fmt.Errorf("cannot start the guardian: %w", err)
	}
	go g.drainStderr(tail)
	return nil
}

// greet hands over what the guardian needs and checks what it answers.
func (g *Guard) greet(ctx context.Context) error {
	own, err := ownBuild()
	if err != nil {
		return err
	}
	s := setup{Protocol: protocol, RCU: g.rcuFile != nil, Lock: g.lockFile != nil, Dir: g.record.dir >= 0, Record: g.record.spots}
	for _, t := range g.targets {
		s.Levels = append(s.Levels, t.level)
	}
	sock := int(g.sock.Fd())
	if err := sendJSON(sock, s); err != nil {
		return errors.Join(err, errEnded)
	}
	if err := awaitPacket(ctx, sock); err != nil {
		return err
	}
	var h hello
	if err := receiveJSON(sock, &h); err != nil {
		return err
	}
	switch {
	case h.Fault != "":
		return errors.New(h.Fault)
	case h.Protocol != protocol || !h.Build.same(own):
		return refuse("the guardian %s is not the same build as the worker: restart the worker", g.command.Path)
	case len(h.Devices) != len(g.targets):
		return fmt.Errorf("cannot hand over %d file systems: the guardian has %d", len(g.targets), len(h.Devices))
	}
	for i, t := range g.targets {
		if h.Devices[i] != t.place.device {
			return fmt.Errorf("cannot hand over %s: the guardian's descriptor leads to another file system", t.name)
		}
	}
	g.notes = append(g.notes, h.Notes...)
	guardian, err := processOf(g.command.Process.Pid)
	if err != nil {
		return err
	}
	if errno := g.record.setGuardian(guardian); errno != 0 {
		return fmt.Errorf("cannot write to the freeze record: %w", errno)
	}
	return nil
}

// awaitPacket waits until there is something to receive.
func awaitPacket(ctx context.Context, sock int) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	fds := []unix.PollFd{{Fd: int32(sock), Events: unix.POLLIN}}
	for {
		const slice = 20 // ms between two looks at ctx; a packet is noticed at once
		n, err := unix.Poll(fds, slice)
		switch {
		case err != nil && err != unix.EINTR:
			return fmt.Errorf("cannot wait for the guardian: %w", err)
		case err == nil && n > 0:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("cannot wait any longer for the guardian's greeting: %w", context.Cause(ctx))
		}
	}
}

// maxSaid is how many of the first bytes of the guardian's standard error are kept.
const maxSaid = 2 << 10

// drainStderr reads the guardian's standard error until it closes.
func (g *Guard) drainStderr(r *os.File) {
	defer close(g.drained)
	defer r.Close()
	var kept bytes.Buffer
	_, _ = io.CopyN(&kept, r, maxSaid)
	g.mu.Lock()
	g.stderr = strings.TrimSpace(kept.String())
	g.mu.Unlock()
	_, _ = io.Copy(io.Discard, r)
}

// said returns what the guardian wrote to its standard error.
func (g *Guard) said() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stderr
}

// files returns descriptors for a child to inherit; dir is nil where the record has no name.
func (r *record) files() (file, dir *os.File, err error) {
	fd, err := unix.FcntlInt(uintptr(r.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	file = os.NewFile(uintptr(fd), RecordName)
	if r.dir < 0 {
		return file, nil, nil
	}
	if fd, err = unix.FcntlInt(uintptr(r.dir), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return file, os.NewFile(uintptr(fd), "runtime directory"), nil
}
