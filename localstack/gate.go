package localstack

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"stillpoint/localstack/internal/calls"
	"stillpoint/localstack/internal/fault"
	"stillpoint/localstack/internal/wire"
)

// maxBody is more than the largest request of any of the services: a batch of SQS messages, 1 MiB, in JSON.
const maxBody = 8 << 20

// ServeHTTP takes the calls of all services, and those under /_localstack/.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A page in a browser on this machine must not be able to use a server without authentication.
	if host, _, err := net.SplitHostPort(r.Host); (err == nil && !isLoopback(host)) || (err != nil && !isLoopback(r.Host)) || r.Header.Get("Origin") != "" {
		http.Error(w, "localstack answers to loopback names only, and not to web pages", http.StatusForbidden)
		return
	}
	body, err := s.body(w, r)
	if err != nil {
		status := http.StatusBadRequest
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "cannot read the request: "+err.Error(), status)
		return
	}
	if strings.HasPrefix(r.URL.Path, controlPath) {
		s.serveControl(w, r, body)
		return
	}
	s.serve(w, r, s.keys.Caller(r), s.request(r, body))
}

// body reads a request to its end, or to that of the server: a client that sends no more does not keep it from closing.
func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	stop := context.AfterFunc(s.life, func() {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // what cannot have one is read to its end
	})
	defer stop()
	return io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
}

// serve does the operation of a client, with the fault that is set for it, if any, and keeps a record.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, caller wire.Caller, op wire.Operation) {
	rec := s.begin(caller, op)
	defer rec.End()
	answer, f := s.do(caller, op, rec)
	gone := func() {
		select {
		case <-r.Context().Done():
		case <-s.life.Done():
		}
	}
	switch {
	case f.Hang:
		gone()
		drop(w)
	case f.Drop:
		drop(w)
	case f.Cut:
		s.writeHalf(w, op, answer)
	case f.HalfOpen:
		s.writeHalf(w, op, answer)
		gone()
	default:
		s.write(w, op, answer)
	}
}

// invoke is what a service calls another one with. A lost answer is an error: there is no connection that could hang.
func (s *Server) invoke(ctx context.Context, caller wire.Caller, op wire.Operation) (wire.Reply, *wire.Error) {
	var failed *wire.Error
	inner := op
	inner.Do = func(ctx context.Context, c *wire.Call) (wire.Reply, *wire.Error) {
		answer, apiErr := op.Do(ctx, c)
		failed = apiErr
		return answer, apiErr
	}
	rec := s.begin(caller, inner)
	defer rec.End()
	answer, f := s.do(caller, inner, rec)
	if f.Lost() {
		return wire.Reply{}, &wire.Error{Code: "Dropped", Status: http.StatusBadGateway, Message: "localstack was told to lose the answer"}
	}
	if f.Code != "" {
		return wire.Reply{}, told(f)
	}
	return answer, failed
}

func (s *Server) begin(caller wire.Caller, op wire.Operation) *calls.Record {
	return s.calls.Begin(calls.Call{
		Operation: op.Name, Params: op.Params, Principal: caller.Principal, Source: caller.Source, Region: caller.Region,
	})
}

// do does op, as far as the fault that is set for it lets it, and returns the answer and that fault.
func (s *Server) do(caller wire.Caller, op wire.Operation, rec *calls.Record) (wire.Reply, fault.Fault) {
	f := s.faults.Take(op.Name, caller.Principal)
	rec.Fault(f.String())
	if f.Instead() {
		s.pause(f.Latency)
		if f.Code == "" {
			return wire.Reply{}, f
		}
		answer := op.Fail(told(f))
		rec.Outcome(f.Code, answer.Status)
		return answer, f
	}
	before, after := f.Waits()
	s.pause(before)
	answer, apiErr := op.Do(s.life, &wire.Call{Caller: caller, Record: rec, Wrong: f.Wrong})
	if apiErr != nil {
		answer = op.Fail(apiErr)
		rec.Outcome(apiErr.Code, answer.Status)
	} else {
		rec.Outcome("", answer.Status)
	}
	s.pause(after)
	if f.Code != "" {
		return op.Fail(told(f)), f
	}
	return answer, f
}

// told is the error that a fault asks for.
func told(f fault.Fault) *wire.Error {
	return &wire.Error{Code: f.Code, Message: "localstack was told to fail this call", Status: f.Status}
}

// pause waits, but not beyond the end of the server. It does not end with the client: a call that has arrived takes effect.
func (s *Server) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.life.Done():
	}
}

// drop closes the connection without an answer.
func drop(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if conn, _, err := h.Hijack(); err == nil {
			_ = conn.Close()
		}
	}
}

func (s *Server) write(w http.ResponseWriter, op wire.Operation, a wire.Reply) {
	s.head(w, a)
	if _, err := w.Write(a.Body); err != nil {
		s.log.Debug().Err(err).Str("operation", op.Name).Msg("the client did not take the answer")
	}
}

// writeHalf sends half of an answer whose length it announces whole. When the handler returns, the connection is closed for that.
func (s *Server) writeHalf(w http.ResponseWriter, op wire.Operation, a wire.Reply) {
	w.Header().Set("Content-Length", strconv.Itoa(max(len(a.Body), 2)))
	s.head(w, a)
	_, err := w.Write(a.Body[:len(a.Body)/2])
	if err := errors.Join(err, http.NewResponseController(w).Flush()); err != nil {
		s.log.Debug().Err(err).Str("operation", op.Name).Msg("the client did not take half of the answer")
	}
}

// head begins an answer. Its Date is the time here, which clients compare their own clock with.
func (s *Server) head(w http.ResponseWriter, a wire.Reply) {
	h := w.Header()
	h.Set("Date", s.clock.Now().UTC().Format(http.TimeFormat))
	h.Set("Content-Type", a.ContentType)
	for k, v := range a.Header {
		h.Set(k, v)
	}
	if h.Get("x-amzn-RequestId") == "" {
		h.Set("x-amzn-RequestId", uuid.NewString())
	}
	w.WriteHeader(a.Status)
}
