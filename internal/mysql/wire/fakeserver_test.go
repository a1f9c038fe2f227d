package wire_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"testing"
)

// askFor is the port of a server that answers whoever signs in by asking for
// another way of authentication, with these challenges in turn, and refuses
// whoever answers.
func askFor(tb testing.TB, plugin string, challenges ...string) uint16 {
	tb.Helper()
	packet := func(seq byte, body string) []byte {
		return append([]byte{byte(len(body)), byte(len(body) >> 8), 0, seq}, body...)
	}
	// Protocol 10, version, thread, 8 bytes of challenge, capabilities (protocol
	// 41, secure connection, plugins), charset, status, the length of the
	// challenge, 10 zeros, the rest of it, the plugin.
	greeting := packet(0, "\x0a9.9.9\x00"+"\x01\x00\x00\x00"+"12345678\x00"+"\x00\x82"+"\x21"+"\x02\x00"+"\x08\x00"+"\x15"+
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"+"123456789012\x00"+"mysql_native_password\x00")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write(greeting)
			head := make([]byte, 4)
			if _, err := io.ReadFull(c, head); err == nil {
				_, _ = io.CopyN(io.Discard, c, int64(head[0])|int64(head[1])<<8)
				_, _ = c.Write(packet(2, "\xfe"+plugin+"\x00"+challenges[min(i, len(challenges)-1)]))
				if _, err := io.ReadFull(c, head); err == nil {
					_, _ = io.CopyN(io.Discard, c, int64(head[0])|int64(head[1])<<8)
					_, _ = c.Write(packet(4, "\xff\x15\x04#28000Access denied"))
				}
				_, _ = io.Copy(io.Discard, c)
			}
			_ = c.Close()
		}
	}()
	tb.Cleanup(func() { _ = l.Close(); <-done })
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// writeRSAKey writes the public half of a key that nobody has.
func writeRSAKey(tb testing.TB, path string) {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		tb.Fatal(err)
	}
}
