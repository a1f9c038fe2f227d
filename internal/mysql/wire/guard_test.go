package wire

import (
	"errors"
	"io"
	"net"
	"testing"
)

// A key that comes in pieces is seen as well; once signed in nothing is looked at.
func TestKeyGuard(t *testing.T) {
	for _, signedIn := range []bool{false, true} {
		here, there := net.Pipe()
		g := &keyGuard{Conn: here, signedIn: signedIn}
		go func() {
			for _, piece := range []string{"\x01---", "--BE", "GIN PUBLIC KEY", "-----"} {
				_, _ = there.Write([]byte(piece))
			}
			_ = there.Close()
		}()
		_, err := io.Copy(io.Discard, g)
		_ = here.Close()
		if refused := errors.Is(err, errServerKey); refused == signedIn || refused != g.refused {
			t.Errorf("signed in %v: %v", signedIn, err)
		}
	}
}
