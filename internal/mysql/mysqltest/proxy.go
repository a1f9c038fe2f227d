package mysqltest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy is a proxy before a server's port, which can end or lose what goes through it.
type Proxy struct {
	listener net.Listener
	server   string
	mu       sync.Mutex
	conns    []*net.TCPConn
	// Lost: nothing goes through any more, and neither side is told.
	Lost atomic.Bool
	// NoTLS: the server's greeting loses the bit that offers it, as on a server without.
	NoTLS atomic.Bool
	done  sync.WaitGroup
}

// NewProxy is before the server at an address, and listens on a port of its own until the test ends.
func NewProxy(tb testing.TB, server string) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	w := &Proxy{listener: l, server: server}
	w.done.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			w.mu.Lock()
			w.conns = append(w.conns, client.(*net.TCPConn), up.(*net.TCPConn))
			w.mu.Unlock()
			w.done.Go(func() {
				if w.NoTLS.Load() && !greetWithoutTLS(up, client) {
					return
				}
				w.pump(up, client)
			})
			w.done.Go(func() { w.pump(client, up) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		w.Reset()
		w.done.Wait()
	})
	return w
}

// greetWithoutTLS passes on the server's first packet without CLIENT_SSL: a
// header of 4 bytes, a byte, the version with its NUL, 13 bytes, the capabilities.
func greetWithoutTLS(up, client net.Conn) bool {
	b := make([]byte, 4)
	if _, err := io.ReadFull(up, b); err != nil {
		return false
	}
	b = append(b, make([]byte, int(b[0])|int(b[1])<<8)...)
	if _, err := io.ReadFull(up, b[4:]); err != nil {
		return false
	}
	capabilities := 5 + bytes.IndexByte(b[5:], 0) + 1 + 13
	b[capabilities+1] &^= 0x08
	_, err := client.Write(b)
	return err == nil
}

// pump carries bytes one way. What is lost is read and thrown away, so that
// the kernel says nothing to the other side either; an end is not passed on then.
func (w *Proxy) pump(from, to net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if w.Lost.Load() {
			if err != nil {
				return
			}
			continue
		}
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if err == io.EOF {
				_ = to.(*net.TCPConn).CloseWrite()
			}
			return
		}
	}
}

// Reset ends every connection with a RST, on both sides.
func (w *Proxy) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
	w.conns = nil
}

func (w *Proxy) Port() uint16 { return uint16(w.listener.Addr().(*net.TCPAddr).Port) }
