package rig

import (
	"io"
	"net"
)

// Relay passes connections on to a Unix socket, as a port proxy does, until the listener is closed.
func Relay(l net.Listener, to string) {
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
}
