package locate

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// established is TCP_ESTABLISHED of the kernel's tables.
const established = "01"

// tcpPeer finds the other end of a TCP connection in the tables of this network
// namespace: the socket whose own address is our remote one, and the reverse.
func tcpPeer(c net.Conn) (*Process, error) {
	ours, theirs := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
	if !ours.IsValid() || !theirs.IsValid() {
		return nil, &NotShownError{Why: "the connection does not say between which addresses it is"}
	}
	for _, table := range []string{"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"} {
		inode, err := tcpInode(table, theirs, ours)
		if err != nil {
			return nil, notShown(err, "the TCP connections of this host cannot be listed")
		}
		if inode != 0 {
			return holder(inode, 0)
		}
	}
	return nil, &NotShownError{Why: fmt.Sprintf("the other end of the connection to %s is not on this host, or in a container's network: connect through the server's Unix socket", theirs)}
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// tcpInode is the inode of the established socket between two addresses in one
// table; 0 where there is none.
func tcpInode(table string, local, remote netip.AddrPort) (uint64, error) {
	f, err := os.Open(table)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // no IPv6
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	return findTCP(f, local, remote)
}

// findTCP reads a table as in proc(5), /proc/net/tcp.
func findTCP(r io.Reader, local, remote netip.AddrPort) (uint64, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[3] != established {
			continue
		}
		if l, err := tableAddr(f[1]); err != nil || l != local {
			continue
		}
		if m, err := tableAddr(f[2]); err != nil || m != remote {
			continue
		}
		if inode, err := strconv.ParseUint(f[9], 10, 64); err == nil && inode != 0 {
			return inode, nil
		}
	}
	return 0, lines.Err()
}

// tableAddr reads "0100007F:0CEA": 32-bit words in the host's byte order, then the port.
func tableAddr(s string) (netip.AddrPort, error) {
	host, port, ok := strings.Cut(s, ":")
	words, err := hex.DecodeString(host)
	if !ok || err != nil || len(words)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("cannot read the address %q", s)
	}
	for i := 0; i < len(words); i += 4 {
		binary.NativeEndian.PutUint32(words[i:], binary.BigEndian.Uint32(words[i:]))
	}
	addr, ok := netip.AddrFromSlice(words)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, fmt.Errorf("cannot read the address %q", s)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), nil
}
