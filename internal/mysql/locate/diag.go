package locate

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Numbers of linux/sock_diag.h and linux/unix_diag.h, which x/sys/unix lacks.
const (
	sockDiagByFamily = 20
	udiagShowPeer    = 0x4
	unixDiagPeer     = 2
	sizeofUnixMsg    = 16 // struct unix_diag_msg
	diagPatience     = 2  // seconds
)

// unixPeerInode asks the kernel for the inode of the socket that the Unix
// socket with this inode is connected to (sock_diag(7)).
func unixPeerInode(inode uint32) (uint32, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, fmt.Errorf("cannot ask the kernel about sockets: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: diagPatience}); err != nil {
		return 0, fmt.Errorf("cannot ask the kernel about sockets: %w", err)
	}
	native := binary.NativeEndian
	ask := native.AppendUint32(nil, unix.NLMSG_HDRLEN+24)
	ask = native.AppendUint16(ask, sockDiagByFamily)
	ask = native.AppendUint16(ask, unix.NLM_F_REQUEST)
	ask = native.AppendUint32(ask, 1)          // sequence
	ask = native.AppendUint32(ask, 0)          // port: the kernel's
	ask = append(ask, unix.AF_UNIX, 0, 0, 0)   // family, protocol, padding
	ask = native.AppendUint32(ask, ^uint32(0)) // states: all
	ask = native.AppendUint32(ask, inode)      //
	ask = native.AppendUint32(ask, udiagShowPeer)
	ask = native.AppendUint64(ask, ^uint64(0)) // cookie: none
	if err := unix.Sendto(fd, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("cannot ask the kernel about sockets: %w", err)
	}
	answer := make([]byte, 8192)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return 0, fmt.Errorf("cannot read what the kernel says of sockets: %w", err)
	}
	return peerOf(answer[:n])
}

var errDiag = errors.New("the kernel's answer about sockets cannot be understood")

// peerOf picks UNIX_DIAG_PEER out of one netlink message.
func peerOf(message []byte) (uint32, error) {
	native := binary.NativeEndian
	if len(message) < unix.NLMSG_HDRLEN+4 {
		return 0, errDiag
	}
	body := message[unix.NLMSG_HDRLEN:]
	switch native.Uint16(message[4:]) {
	case unix.NLMSG_ERROR:
		return 0, fmt.Errorf("the kernel does not tell of sockets: %w", unix.Errno(-int32(native.Uint32(body))))
	case sockDiagByFamily:
	default:
		return 0, errDiag
	}
	if len(body) < sizeofUnixMsg {
		return 0, errDiag
	}
	for rest := body[sizeofUnixMsg:]; len(rest) >= unix.SizeofNlAttr; {
		length, kind := int(native.Uint16(rest)), native.Uint16(rest[2:])
		if length < unix.SizeofNlAttr || length > len(rest) {
			break
		}
		if kind == unixDiagPeer && length >= unix.SizeofNlAttr+4 {
			return native.Uint32(rest[unix.SizeofNlAttr:]), nil
		}
		rest = rest[min((length+3)&^3, len(rest)):]
	}
	return 0, errDiag
}
