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
	"syscall"
	"time"

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
	case held && v.file.HTTPAddr != "":
		w.Asked = true
		w.AskErr = text(askReady(ctx, v.file.HTTPAddr, &w))
	case !held:
		lookAtAddr(ctx, v.file.HTTPAddr, &w)
	}
	if !w.LastPoll.IsZero() { // it receives, by the same role
		v.notAsked = slices.DeleteFunc(v.notAsked, func(s string) bool { return s == "sqs:ReceiveMessage" })
	}
	return doctor.JudgeWorking(w, time.Now())
}

// readyTimeout bounds the worker's answer, which it has in memory.
const readyTimeout = 3 * time.Second

// lookAtAddr says whether somebody listens where a worker would. It connects, and does
// not listen itself: a worker that starts at this moment must find the address free.
func lookAtAddr(ctx context.Context, addr string, w *doctor.Working) {
	if _, port, err := net.SplitHostPort(addr); err != nil || port == "0" { // off, or whichever is free
		return
	}
	w.Addr = addr
	conn, err := (&net.Dialer{Timeout: readyTimeout}).DialContext(ctx, "tcp", addr)
	switch {
	case err == nil:
		_ = conn.Close()
		w.Listens = true
	case !errors.Is(err, syscall.ECONNREFUSED):
		w.AddrErr = err.Error()
	}
}

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
