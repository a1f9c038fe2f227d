package localstack

import (
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// faultJSON is a Fault under /_localstack/faults. Latency is a Go duration such as "1.5s", or "".
type faultJSON struct {
	Operation string `json:"operation"`
	Latency   string `json:"latency,omitempty"`
	Code      string `json:"code,omitempty"`
	Status    int    `json:"status,omitzero"`
	After     bool   `json:"after,omitzero"`
	Drop      bool   `json:"drop,omitzero"`
	Hang      bool   `json:"hang,omitzero"`
	Times     int    `json:"times,omitzero"`
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
}

type healthJSON struct {
	Status    string    `json:"status"`
	Since     time.Time `json:"since"`
	Region    string    `json:"region"`
	AccountID string    `json:"accountId"`
	Dir       string    `json:"dir"`
	Notice    string    `json:"notice"`
}

// Notice says what nobody should overlook about this server.
const Notice = "a local AWS: SQS, SNS, STS and EC2 with EBS volumes, on loopback only, without authentication"

// serveAdmin answers what is under /_localstack/, which AWS does not have.
func (s *Server) serveAdmin(w http.ResponseWriter, r *http.Request, body []byte) {
	switch what := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/_localstack/"); what {
	case "GET health":
		writeJSON(w, healthJSON{"ok", s.started.UTC(), s.config.Region, s.config.AccountID, s.config.Dir, Notice})
	case "GET calls":
		out := []callJSON{}
		for _, c := range s.Calls() {
			out = append(out, callJSON{
				c.Time.UTC(), c.Operation, c.Principal, c.Source, c.Region, c.Resources, c.State, float64(c.Duration.Microseconds()) / 1000, c.Effect, c.Status,
				c.Err, c.Fault, c.Note, c.Params,
			})
		}
		writeJSON(w, out)
	case "GET volumes":
		writeJSON(w, s.ec2.Volumes())
	case "GET faults":
		writeJSON(w, s.faultsJSON())
	case "PUT faults":
		faults, err := readFaults(body)
		if err != nil {
			http.Error(w, "cannot read the faults: "+err.Error(), http.StatusBadRequest)
			return
		}
		s.SetFaults(faults...)
		writeJSON(w, s.faultsJSON())
	default:
		http.Error(w, "there is GET health, calls, volumes and faults, and PUT faults, under /_localstack/", http.StatusNotFound)
	}
}

func (s *Server) faultsJSON() []faultJSON {
	out := []faultJSON{}
	for _, f := range s.faults.List() {
		latency := ""
		if f.Latency > 0 {
			latency = f.Latency.String()
		}
		out = append(out, faultJSON{f.Operation, latency, f.Code, f.Status, f.After, f.Drop, f.Hang, f.Times})
	}
	return out
}

// readFaults reads a list of faults. Members that it does not know are an error: a fault that is misspelt would test nothing.
func readFaults(body []byte) ([]Fault, error) {
	var in []faultJSON
	if err := json.Unmarshal(body, &in, json.RejectUnknownMembers(true), json.MatchCaseInsensitiveNames(true)); err != nil {
		return nil, err
	}
	var out []Fault
	for _, f := range in {
		var latency time.Duration
		if f.Latency != "" {
			var err error
			if latency, err = time.ParseDuration(f.Latency); err != nil {
				return nil, err
			}
		}
		out = append(out, Fault{
			Operation: f.Operation, Latency: latency, Code: f.Code, Status: f.Status,
			After: f.After, Drop: f.Drop, Hang: f.Hang, Times: f.Times,
		})
	}
	return out, nil
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	// The client may be gone; there is nobody to tell.
	_ = json.MarshalWrite(w, v, jsontext.Multiline(true), json.Deterministic(true))
}
