package locate

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Peer finds the process that holds the other end of a connection. The caller
// closes it.
//
// SO_PEERCRED alone would name the process that called listen(2) for a Unix
// socket, which with socket activation is the service manager. So the kernel is
// asked for the number of the socket at the other end, and the process is the
// one that has it open; only on a kernel that cannot be asked (no unix_diag) is
// it whoever listened. For TCP the other end is looked up in this network
// namespace's table: a server elsewhere, or behind address translation, is not in it.
func Peer(c net.Conn) (*Process, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil, &NotShownError{Why: fmt.Sprintf("a connection of type %T does not say who is at its other end", c)}
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	switch c.LocalAddr().(type) {
	case *net.UnixAddr:
		return unixPeer(raw)
	case *net.TCPAddr:
		return tcpPeer(c)
	}
	return nil, &NotShownError{Why: "a connection over " + c.LocalAddr().Network() + " does not say who is at its other end"}
}

func unixPeer(raw syscall.RawConn) (*Process, error) {
	var (
		st       unix.Stat_t
		listener *unix.Ucred
		statErr  error
		credErr  error
	)
	err := raw.Control(func(fd uintptr) {
		statErr = unix.Fstat(int(fd), &st)
		listener, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, statErr, credErr); err != nil {
		return nil, fmt.Errorf("cannot ask who is at the other end of the socket: %w", err)
	}
	other, err := unixPeerInode(uint32(st.Ino))
	if err == nil {
		return holder(uint64(other), int(listener.Pid))
	}
	p, openErr := open(int(listener.Pid)) // 0: a process of another PID namespace
	if openErr != nil {
		return nil, notShown(errors.Join(err, openErr), "the kernel does not say which process is at the other end of the socket")
	}
	return p, nil
}

// holder finds the process that has a socket; hint is tried first. Of several
// that share it (a server between fork and exec of a helper) it is the first.
func holder(socket uint64, hint int) (*Process, error) {
	if p, err := open(hint); err == nil {
		if has, err := p.holds(socket); err == nil && has {
			return p, nil
		}
		_ = p.Close()
	}
	var found *Process
	var denied error
	err := each(func(p *Process) bool {
		has, err := p.holds(socket)
		if has {
			found = p
			return false
		}
		if errors.Is(err, fs.ErrPermission) {
			denied = err
		}
		_ = p.Close()
		return true
	})
	switch {
	case err != nil:
		return nil, notShown(err, "the processes of this host cannot be listed")
	case found != nil:
		return found, nil
	case denied != nil:
		return nil, notShown(denied, "the process at the other end of the connection may not be looked at")
	}
	return nil, &NotShownError{Why: "no process that can be seen from here holds the other end of the connection: run where the server's processes are visible (on the host, not in a container)"}
}
