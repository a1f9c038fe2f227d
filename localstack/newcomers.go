package localstack

import (
	"net"
	"net/http"
	"sync"
)

// newcomers are the connections on which no request has come yet. http.Server.Shutdown waits for them, for five seconds, and clients
// make some that they never use.
type newcomers struct {
	mu     sync.Mutex
	all    map[net.Conn]struct{}
	closed bool
}

// watch is the ConnState of the server.
func (n *newcomers) watch(c net.Conn, state http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(n.all, c)
	case n.closed:
		_ = c.Close()
	default:
		if n.all == nil {
			n.all = map[net.Conn]struct{}{}
		}
		n.all[c] = struct{}{}
	}
}

// close closes them, and those that still come.
func (n *newcomers) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for c := range n.all {
		_ = c.Close()
	}
}
