package localstack

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"stillpoint/localstack/internal/fault"
)

// Notice says what nobody should overlook about this server.
const Notice = "a local AWS: SQS, SNS, EventBridge, Scheduler, STS, IMDS and EC2 with EBS volumes, on loopback only, without authentication"

const controlPath = "/_localstack/"

// control is one of the endpoints under /_localstack/, which AWS does not have. Its result is written as JSON; its error is the
// caller's fault.
type control struct {
	method, path string
	says         string // what it does, for the list of endpoints
	example      string // of a body; empty for those without
	do           func(s *Server, r *http.Request, body []byte) (any, error)
}

func controls() []control {
	return []control{
		{"GET", "", "this list", "", func(s *Server, _ *http.Request, _ []byte) (any, error) { return s.index(), nil }},
		{"GET", "health", "that it runs, where and since when", "", func(s *Server, _ *http.Request, _ []byte) (any, error) {
			return healthJSON{"ok", s.started.UTC(), s.config.Region, s.config.AccountID, s.config.Dir, Notice}, nil
		}},
		{"GET", "calls", "the last calls: by whom, to what, when, and how they ended; ?operation=ec2:CreateSnapshots for those of one, ?iam=true with what IAM would be asked", "", (*Server).showCalls},
		{"GET", "volumes", "the volumes, each with its device on this machine", "", func(s *Server, _ *http.Request, _ []byte) (any, error) {
			return s.ec2.Volumes(), nil
		}},
		{"GET", "state", "everything that there is", "", func(s *Server, _ *http.Request, _ []byte) (any, error) { return s.State(), nil }},
		{"GET", "faults", "what happens to calls", "", func(s *Server, _ *http.Request, _ []byte) (any, error) { return s.faults.List(), nil }},
		{"PUT", "faults", "replaces what happens to calls (docs/local-aws.md has all members)", `[{"operation":"ec2:CreateSnapshots","code":"RequestLimitExceeded","times":2},{"operation":"*","spread":{"kind":"lognormal","median":"40ms","p99":"400ms"}}]`, (*Server).putFaults},
		{"GET", "seed", "what the dice of the faults were set to", "", func(s *Server, _ *http.Request, _ []byte) (any, error) {
			return seedJSON{s.faults.Seed()}, nil
		}},
		{"PUT", "seed", "sets the dice, so that a run can be repeated", `{"seed":42}`, (*Server).putSeed},
		{"GET", "ec2", "how EC2 behaves with snapshots, and what it limits", "", func(s *Server, _ *http.Request, _ []byte) (any, error) {
			return s.EC2Behaviour(), nil
		}},
		{"PUT", "ec2", "changes what it names of that", `{"snapshotTime":"30s","failNext":1,"describeLagMax":"10s","volumeSpacing":"15s"}`, (*Server).putEC2},
		{"POST", "fail-snapshot", "ends a pending snapshot, and its whole set, in the state error", `{"id":"snap-...","message":"why"}`, (*Server).postFailSnapshot},
		{"POST", "deliver-again", "has a queue deliver a message once more, one that was just deleted too", `{"queue":"requests","messageId":"..."}`, (*Server).postDeliverAgain},
		{"GET", "imds", "which instance the metadata is that of, and how it is served", "", func(s *Server, _ *http.Request, _ []byte) (any, error) {
			return s.imds.InForce(), nil
		}},
		{"PUT", "imds", "changes what it names of that", `{"role":"stillpoint","httpTokens":"optional","tags":true}`, (*Server).putMetadata},
		{"GET", "clock", "the time here, and how far it was moved", "", func(s *Server, _ *http.Request, _ []byte) (any, error) { return s.clockJSON(), nil }},
		{"POST", "clock", "moves the clock forward, and does what comes due on the way (a rule that fires every minute takes about a second for 30 days)", `{"forward":"1h30m"}`, (*Server).postClock},
	}
}

// serveControl answers what is under /_localstack/.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request, body []byte) {
	path := strings.TrimPrefix(r.URL.Path, controlPath)
	for _, c := range controls() {
		if c.method != r.Method || c.path != path {
			continue
		}
		out, err := c.do(s, r, body)
		if err != nil {
			http.Error(w, fmt.Sprintf("cannot do %s %s: %v", r.Method, r.URL.Path, err), http.StatusBadRequest)
			return
		}
		// What a client sent is in some of it as it came: what is no UTF-8 is replaced.
		text, err := json.Marshal(out, jsontext.Multiline(true), json.Deterministic(true), jsontext.AllowInvalidUTF8(true), writeDurations)
		if err != nil {
			http.Error(w, fmt.Sprintf("localstack cannot write the answer of %s %s: %v", r.Method, r.URL.Path, err), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text) // the client may be gone; there is nobody to tell
		return
	}
	http.Error(w, fmt.Sprintf("there is no %s %s; GET %s lists what there is", r.Method, r.URL.Path, controlPath), http.StatusNotFound)
}

type indexJSON struct {
	Request string `json:"request"`
	Says    string `json:"says"`
	Body    string `json:"body,omitempty"`
}

func (s *Server) index() (out []indexJSON) {
	for _, c := range controls() {
		out = append(out, indexJSON{c.method + " " + s.URL() + controlPath + c.path, c.says, c.example})
	}
	return out
}

// Durations are text such as "1.5s" on these endpoints.
var (
	writeDurations = json.WithMarshalers(json.MarshalToFunc(func(e *jsontext.Encoder, d time.Duration) error {
		return e.WriteToken(jsontext.String(d.String()))
	}))
	readDurations = json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, to *time.Duration) error {
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		if token.Kind() != '"' {
			return errors.New(`a duration is text with a unit, such as "500ms" or "1h30m"`)
		}
		*to, err = time.ParseDuration(token.String())
		if err != nil {
			return fmt.Errorf("%q is no duration; write it as 500ms or 1h30m", token.String())
		}
		return nil
	}))
)

// read takes in what it was sent. Members that it does not know are an error: a fault that is misspelt would test nothing.
func read(body []byte, to any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return errors.New("the body is empty; GET " + controlPath + " shows an example for each endpoint")
	}
	err := json.Unmarshal(body, to, json.RejectUnknownMembers(true), readDurations)
	if err == nil {
		return nil
	}
	known := members(reflect.TypeOf(to))
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return fmt.Errorf("this is no JSON: %w", err)
	}
	why := semantic.Err
	if why == nil {
		why = fmt.Errorf("this does not go there: %.80s", body)
	}
	at := string(semantic.JSONPointer)
	if at == "" {
		at = "the whole"
	}
	return fmt.Errorf("at %s: %w; it takes %s", at, why, known)
}

// members lists what an object, or each of a list, can hold.
func members(of reflect.Type) string {
	list := "an object with "
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		if of.Kind() == reflect.Slice {
			list = "a list of objects with "
		}
		of = of.Elem()
	}
	var names []string
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return list + strings.Join(names, ", ")
}

type healthJSON struct {
	Status    string    `json:"status"`
	Since     time.Time `json:"since"`
	Region    string    `json:"region"`
	AccountID string    `json:"accountId"`
	Dir       string    `json:"dir"`
	Notice    string    `json:"notice"`
}

type callJSON struct {
	Time       time.Time         `json:"time"`
	Operation  string            `json:"operation"`
	Principal  string            `json:"principal"`
	Source     string            `json:"source,omitempty"`
	Region     string            `json:"region,omitempty"`
	Resources  []string          `json:"resources,omitempty"`
	State      string            `json:"state"`
	DurationMS float64           `json:"durationMs"`
	Effect     bool              `json:"effect"`
	Status     int               `json:"status,omitzero"`
	Err        string            `json:"err,omitempty"`
	Fault      string            `json:"fault,omitempty"`
	Note       string            `json:"note,omitempty"`
	Params     map[string]string `json:"params,omitempty"`
	IAM        []askJSON         `json:"iam,omitempty"`
}

type askJSON struct {
	Action   string              `json:"action"`
	Resource string              `json:"resource"`
	Context  map[string][]string `json:"context"`
}

func (s *Server) showCalls(r *http.Request, _ []byte) (any, error) {
	for name := range r.URL.Query() {
		if name != "operation" && name != "iam" {
			return nil, fmt.Errorf("there is no parameter %q, only operation, as in ?operation=ec2:CreateSnapshots, and iam, as in ?iam=true", name)
		}
	}
	only := r.URL.Query().Get("operation")
	if only != "" {
		if err := checkAction(only); err != nil {
			return nil, err
		}
	}
	out := []callJSON{}
	for _, c := range s.Calls() {
		if only != "" && !fault.Match(only, c.Operation) {
			continue
		}
		out = append(out, callJSON{
			c.Time.UTC(), c.Operation, c.Principal, c.Source, c.Region, c.Resources, c.State, float64(c.Duration.Microseconds()) / 1000,
			c.Effect, c.Status, c.Err, c.Fault, c.Note, c.Params, nil,
		})
		if r.URL.Query().Get("iam") != "true" {
			continue
		}
		for _, a := range c.Asks {
			out[len(out)-1].IAM = append(out[len(out)-1].IAM, askJSON(a))
		}
	}
	return out, nil
}

func (s *Server) putFaults(_ *http.Request, body []byte) (any, error) {
	var faults []Fault
	if err := read(body, &faults); err != nil {
		return nil, err
	}
	if err := s.SetFaults(faults...); err != nil {
		return nil, err
	}
	return s.faults.List(), nil
}

type seedJSON struct {
	Seed uint64 `json:"seed"`
}

func (s *Server) putSeed(_ *http.Request, body []byte) (any, error) {
	in := seedJSON{}
	if err := read(body, &in); err != nil {
		return nil, err
	}
	s.faults.Reseed(in.Seed)
	return in, nil
}

func (s *Server) putEC2(_ *http.Request, body []byte) (any, error) {
	b := s.EC2Behaviour()
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, err
	}
	if err := s.BehaveEC2(b); err != nil {
		return nil, err
	}
	return b, nil
}

func (s *Server) postFailSnapshot(_ *http.Request, body []byte) (any, error) {
	var in struct {
		ID      string `json:"id"`
		Message string `json:"message"` // empty: none
	}
	if err := read(body, &in); err != nil {
		return nil, err
	}
	if in.ID == "" {
		return nil, errors.New(`"id" is the snapshot's, as in {"id":"snap-0123456789abcdef0","message":"why"}`)
	}
	if err := s.FailSnapshot(in.ID, in.Message); err != nil {
		return nil, err
	}
	return in, nil
}

func (s *Server) postDeliverAgain(_ *http.Request, body []byte) (any, error) {
	var in struct {
		Queue     string `json:"queue"` // its name
		MessageID string `json:"messageId"`
	}
	if err := read(body, &in); err != nil {
		return nil, err
	}
	return in, s.DeliverAgain(in.Queue, in.MessageID)
}

func (s *Server) putMetadata(_ *http.Request, body []byte) (any, error) {
	in := s.imds.Settings()
	if err := read(body, &in); err != nil {
		return nil, err
	}
	if err := s.SetMetadata(in); err != nil {
		return nil, err
	}
	return s.imds.InForce(), nil
}

type clockJSON struct {
	Now   time.Time     `json:"now"`
	Ahead time.Duration `json:"ahead"` // of the machine's clock
}

func (s *Server) clockJSON() clockJSON { return clockJSON{s.clock.Now().UTC(), s.clock.Ahead()} }

func (s *Server) postClock(_ *http.Request, body []byte) (any, error) {
	var in struct {
		Forward time.Duration `json:"forward"`
	}
	if err := read(body, &in); err != nil {
		return nil, err
	}
	if in.Forward <= 0 {
		return nil, errors.New(`"forward" is how far, such as "1h30m"; AWS's time does not go back`)
	}
	s.MoveClock(in.Forward)
	return s.clockJSON(), nil
}
