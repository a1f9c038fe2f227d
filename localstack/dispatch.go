package localstack

import (
	"context"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// maxBody is more than the largest request of any of the services: a batch of SQS messages, 1 MiB, in JSON.
const maxBody = 8 << 20

// operation is one call on its way through the server: what was asked, and how to do it and to answer it.
type operation struct {
	name   string            // "sqs:SendMessage"
	params map[string]string // for the log of calls
	do     func(ctx context.Context, rec *record) (reply, *apiError)
	fail   func(e *apiError) reply
}

// reply is an answer that is ready to be written.
type reply struct {
	status      int
	contentType string
	header      map[string]string
	body        []byte
}

// ServeHTTP takes the calls of all services, and those under /_localstack/.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A page in a browser on this machine must not be able to use a server without authentication.
	if host, _, err := net.SplitHostPort(r.Host); (err == nil && !isLoopback(host)) || (err != nil && !isLoopback(r.Host)) || r.Header.Get("Origin") != "" {
		http.Error(w, "localstack answers to loopback names only, and not to web pages", http.StatusForbidden)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "cannot read the request: "+err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/_localstack/") {
		s.serveAdmin(w, r, body)
		return
	}
	s.run(w, r, s.operation(r, body))
}

// operation finds out which service is meant: SQS says so in a header, the others in the scope of the signature, or else by the
// version of their API.
func (s *Server) operation(r *http.Request, body []byte) operation {
	if target, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS."); ok {
		return s.sqs.operation(target, body)
	}
	form := r.URL.Query()
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && media == "application/x-www-form-urlencoded" {
		if posted, err := url.ParseQuery(string(body)); err == nil {
			for k, v := range posted {
				form[k] = append(form[k], v...)
			}
		}
	}
	service := signedService(r.Header.Get("Authorization"))
	if service == "" {
		service = map[string]string{snsVersion: "sns", stsVersion: "sts", ec2Version: "ec2"}[form.Get("Version")]
	}
	action := form.Get("Action")
	switch service {
	case "sns":
		return s.sns.operation(action, query(form))
	case "sts":
		return stsOperation(action, query(form), s.config.AccountID)
	case "ec2":
		return s.ec2.operation(action, query(form))
	default:
		return operation{
			name: service + ":" + action, params: query(form).flat(), fail: failEC2,
			do: func(context.Context, *record) (reply, *apiError) {
				return reply{}, errf("InvalidAction", "localstack knows SQS (JSON protocol), SNS, STS and EC2, and cannot tell which of them %q is meant for", action)
			},
		}
	}
}

// signedService takes the service's name from a Signature Version 4 header: Credential=key/date/region/service/aws4_request.
func signedService(authorization string) string {
	_, scope, ok := strings.Cut(authorization, "Credential=")
	if !ok {
		return ""
	}
	scope, _, _ = strings.Cut(scope, ",")
	parts := strings.Split(scope, "/")
	if len(parts) < 5 {
		return ""
	}
	return parts[len(parts)-2]
}

// run does op with the fault that is set for it, if any, and keeps a record.
func (s *Server) run(w http.ResponseWriter, r *http.Request, op operation) {
	rec := s.calls.begin(op.name, op.params)
	defer rec.end()
	fault := s.faults.take(op.name)
	rec.fault(fault)

	if instead := fault.Code != "" || fault.Drop || fault.Hang; instead && !fault.After {
		s.pause(fault.Latency)
		s.failAs(w, r, op, fault, rec)
		return
	}
	s.pause(fault.Latency / 2)
	answer, apiErr := op.do(s.life, rec)
	if apiErr != nil {
		answer = op.fail(apiErr)
	}
	rec.outcome(apiErr, answer.status)
	s.pause(fault.Latency - fault.Latency/2)
	if fault.Code != "" || fault.Drop || fault.Hang {
		s.failAs(w, r, op, fault, rec)
		return
	}
	s.write(w, op, answer)
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

// failAs lets a call end the way that f wants it to: no answer, no connection, or an error.
func (s *Server) failAs(w http.ResponseWriter, r *http.Request, op operation, f Fault, rec *record) {
	switch {
	case f.Hang:
		select {
		case <-r.Context().Done():
		case <-s.life.Done():
		}
		drop(w)
	case f.Drop:
		drop(w)
	default:
		e := &apiError{Code: f.Code, Message: "localstack was told to fail this call", Status: f.Status}
		answer := op.fail(e)
		if !f.After {
			rec.outcome(e, answer.status)
		}
		s.write(w, op, answer)
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

func (s *Server) write(w http.ResponseWriter, op operation, a reply) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	for k, v := range a.header {
		h.Set(k, v)
	}
	if h.Get("x-amzn-RequestId") == "" {
		h.Set("x-amzn-RequestId", uuid.NewString())
	}
	w.WriteHeader(a.status)
	if _, err := w.Write(a.body); err != nil {
		s.log.Debug().Err(err).Str("operation", op.name).Msg("the client did not take the answer")
	}
}
