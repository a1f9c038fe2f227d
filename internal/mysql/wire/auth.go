package wire

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	driver "github.com/go-sql-driver/mysql"
)

// errServerKey says that the server wanted the password encrypted with a key
// that nobody vouches for.
var errServerKey = errors.New("it sent an RSA key of its own for the password")

// unknownPluginError names the way of authentication that the driver lacks.
type unknownPluginError struct {
	plugin string
	err    error
}

func (e *unknownPluginError) Error() string { return fmt.Sprintf("%s: %v", e.plugin, e.err) }
func (e *unknownPluginError) Unwrap() error { return e.err }

// keyGuard ends a connection on which the server sends a public key before the
// user is signed in.
//
// With caching_sha2_password and sha256_password a password that crosses TCP
// without TLS is encrypted with an RSA key that the server sends when asked.
// MySQL's own clients ask only with get-server-public-key, since whoever answers
// on the port could send one; the driver always does. The driver understands no
// other form than PEM.
type keyGuard struct {
	net.Conn
	tail []byte
	// signedIn: nothing is looked at any more.
	signedIn, refused bool
}

var pemBegin = []byte("-----BEGIN")

func (g *keyGuard) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if g.signedIn {
		return n, err
	}
	g.tail = append(g.tail, p[:n]...)
	if bytes.Contains(g.tail, pemBegin) {
		g.refused = true
		return 0, errServerKey
	}
	g.tail = bytes.Clone(g.tail[max(0, len(g.tail)-len(pemBegin)+1):])
	return n, err
}

// guardedDial dials like the driver does, with a keyGuard.
func guardedDial(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := plainDial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &keyGuard{Conn: nc}, nil
}

func plainDial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// connectNote hears what the driver would log while it connects and none of its
// errors has: the name of a plugin that it does not know, and why a connection
// ended. Nothing is ever written.
type connectNote struct {
	mu     sync.Mutex
	plugin string
	cause  error
}

func (n *connectNote) Print(v ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(v) == 0 {
		return
	}
	// Before what is said stands where in the driver.
	switch last := v[len(v)-1]; {
	case len(v) > 1 && v[len(v)-2] == "unknown auth plugin:":
		n.plugin = Printable(fmt.Sprint(last))
	case n.cause == nil:
		n.cause, _ = last.(error)
	}
}

// explain adds to the error of connecting what was heard.
func (n *connectNote) explain(err error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case errors.Is(err, driver.ErrUnknownPlugin) && n.plugin != "":
		return &unknownPluginError{n.plugin, err}
	case errors.Is(err, driver.ErrInvalidConn) && n.cause != nil:
		return fmt.Errorf("%w: %w", err, n.cause)
	}
	return err
}

// useServerKey has the driver encrypt passwords with the server's key in that file.
func useServerKey(cfg *driver.Config, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read server-public-key-path: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return fmt.Errorf("cannot use server-public-key-path %s: it holds no PEM", path)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("cannot use server-public-key-path %s: %w", path, err)
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("cannot use server-public-key-path %s: it holds no RSA key", path)
	}
	// The driver takes keys by a name alone.
	cfg.ServerPubKey = fmt.Sprintf("%x", sha256.Sum256(block.Bytes))
	driver.RegisterServerPubKey(cfg.ServerPubKey, public)
	return nil
}
