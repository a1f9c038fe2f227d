package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
)

const (
	// notifyWithin bounds one message to the service manager, whose queue may be full.
	notifyWithin = time.Second
	// extendBy is how much longer the service manager is asked to wait, again
	// and again, while a start waits for a device.
	extendBy    = time.Minute
	extendEvery = 15 * time.Second
)

// manager speaks to the service manager (sd_notify(3)) through a socket that
// is opened once. Without a service manager it is nil, and does nothing. It is
// never used by the path that owes a thaw: a message may wait.
type manager struct {
	log zerolog.Logger

	mu     sync.Mutex
	addr   *net.UnixAddr
	conn   *net.UnixConn // nil: to be opened
	failed bool
}

// openManager returns nil where no service manager asks for messages. One that
// cannot be reached is a warning, not a reason to leave a database unsaved.
func openManager(log zerolog.Logger) *manager {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	m := &manager{log: log, addr: &net.UnixAddr{Name: name, Net: "unixgram"}}
	if !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "@") {
		log.Warn().Str("notify_socket", name).Msg("cannot speak to the service manager: NOTIFY_SOCKET is no Unix socket")
		return nil
	}
	return m
}

// send sends one message of assignments, separated by newlines.
func (m *manager) send(state string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.write(state)
	if err != nil { // the manager may have been started anew behind the same name
		err = m.write(state)
	}
	if err != nil && !m.failed {
		m.log.Warn().Err(err).Msg("cannot tell the service manager how the worker is doing: trying again with the next message")
	}
	m.failed = err != nil
}

func (m *manager) write(state string) error {
	if m.conn == nil {
		c, err := net.DialUnix("unixgram", nil, m.addr)
		if err != nil {
			return fmt.Errorf("cannot reach the service manager: %w", err)
		}
		m.conn = c
	}
	err := m.conn.SetWriteDeadline(time.Now().Add(notifyWithin))
	if err == nil {
		_, err = m.conn.Write([]byte(state))
	}
	if err != nil {
		_ = m.conn.Close()
		m.conn = nil
	}
	return err
}

func (m *manager) close() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn != nil {
		_ = m.conn.Close()
		m.conn = nil
	}
}

func (m *manager) status(text string) { m.send("STATUS=" + oneLine(text)) }

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// ready ends a start or a reload.
func (m *manager) ready(status string) {
	m.send(daemon.SdNotifyReady + "\nSTATUS=" + oneLine(status))
}

// reloading begins a reload; Type=notify-reload wants the time as well.
func (m *manager) reloading() {
	m.send(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// stopping begins the end, and asks for the time that it may take.
func (m *manager) stopping(within time.Duration) {
	m.send(fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d\nSTATUS=stopping", daemon.SdNotifyStopping, within.Microseconds()))
}

// waiting does what a start has to wait for, for as long as it takes: a start
// that the service manager ends half-way would only begin anew.
func (m *manager) waiting(what string, do func()) {
	if m == nil {
		do()
		return
	}
	m.status(what)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for t := time.NewTicker(extendEvery); ; {
			m.send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", extendBy.Microseconds()))
			select {
			case <-done:
				t.Stop()
				return
			case <-t.C:
				m.log.Warn().Msg("the start still waits: " + what)
			}
		}
	})
	defer wg.Wait()
	defer close(done)
	do()
}
