package visit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/config"
	"stillpoint/internal/doctor"
	"stillpoint/internal/journal"
)

// lookAtWorker says whether a worker runs, by the lock that it holds, and asks it how it is.
func (v *visit) lookAtWorker(ctx context.Context) []doctor.Finding {
	if v.file.QueueURL == "" { // none is wanted
		return nil
	}
	var w doctor.Working
	holder, held, err := journal.HeldBy(filepath.Join(v.file.RuntimeDir, "worker.lock"))
	if held {
		w.PID, w.Since = max(holder.PID, 1), holder.Since
	}
	switch {
	case err != nil:
		w.Err = err.Error()
	case held && knownAddr(v.file.HTTPAddr):
		w.Asked = true
		w.AskErr = text(askReady(ctx, v.file.HTTPAddr, &w))
	case !held:
		lookAtAddr(v.file.HTTPAddr, &w)
	}
	if !w.LastPoll.IsZero() { // it receives, by the same role
		v.notAsked = slices.DeleteFunc(v.notAsked, func(s string) bool { return s == "sqs:ReceiveMessage" })
	}
	return doctor.JudgeWorking(w, time.Now())
}

// knownAddr says that it is known where a worker listens: not nowhere, and not at whichever port is free.
func knownAddr(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && port != "0"
}

// lookAtAddr says whether a worker could listen at addr. It asks the kernel by the
// bind that a worker makes, and does not listen: two sockets with SO_REUSEADDR are
// in each other's way only where one of them listens (socket(7)), so that a worker which
// starts at this moment finds the address free.
func lookAtAddr(addr string, w *doctor.Working) {
	if !knownAddr(addr) {
		return
	}
	w.Addr = addr
	switch err := bind(addr); {
	case errors.Is(err, unix.EADDRINUSE):
		w.Listens = true
	case errors.Is(err, unix.EADDRNOTAVAIL):
		w.Foreign = true
	default:
		w.AddrErr = text(err)
	}
}

// bind binds a socket as net.Listen does, and closes it.
func bind(addr string) error {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return err
	}
	family, at := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: a.Port})
	if four := a.IP.To4(); four != nil {
		family, at = unix.AF_INET, &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(four)}
	} else if a.IP != nil {
		at = &unix.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP.To16())}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) && a.IP == nil { // a host without IPv6
		at = &unix.SockaddrInet4{Port: a.Port}
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	return unix.Bind(fd, at)
}

// readyTimeout bounds the worker's answer, which it has in memory.
const readyTimeout = 3 * time.Second

// askReady asks the worker at addr how it is.
func askReady(ctx context.Context, addr string, w *doctor.Working) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // and no proxy: it is on this host
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var said struct {
		OK       *bool     `json:"ok"`
		Why      []string  `json:"why"`
		LastPoll time.Time `json:"lastPoll"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&said); err != nil || said.OK == nil {
		return fmt.Errorf("what answers at %s is no worker", addr)
	}
	w.Why, w.LastPoll = said.Why, said.LastPoll
	return nil
}

// lookAtJournal reads the journal beside whoever writes it.
func (v *visit) lookAtJournal() (journal.Summary, error) {
	return journal.Summarize(v.file.StateDir, v.plans())
}

func (v *visit) lookAtOutbox(context.Context) []doctor.Finding {
	seen, err := v.lookAtJournal()
	if err != nil {
		return []doctor.Finding{doctor.Unchecked(err.Error(), "run the doctor as root; see the checks of state_dir")}
	}
	return []doctor.Finding{doctor.JudgeOutbox(doctor.Outbox{Entries: seen.Outbox, Oldest: seen.Oldest}, time.Now())}
}

func (v *visit) lookAtSuccess(p *config.Plan) []doctor.Finding {
	seen, err := v.lookAtJournal()
	if err != nil {
		return []doctor.Finding{doctor.Unchecked(err.Error(), "run the doctor as root; see the checks of state_dir")}
	}
	return []doctor.Finding{doctor.JudgeLastSuccess(p.Name, seen.LastSuccess[p.Name], seen.Requests, time.Now())}
}
