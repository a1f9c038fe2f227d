// Package wire is how AWS's services speak: the query protocol with its XML, JSON, and errors in each of their forms. It knows no
// service.
package wire

import (
	"context"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"stillpoint/localstack/internal/calls"
)

// Anonymous is the principal of a call that nobody signed.
const Anonymous = "anonymous"

// Caller is who makes a call.
type Caller struct {
	Principal string // an ARN, the name of a service such as "sns.amazonaws.com", or Anonymous
	Account   string // twelve digits; of a service, the account on whose behalf it calls
	Region    string // that the call is meant for
	Source    string // of a service: the ARN of the topic, rule or schedule that it calls for; else empty
}

// Service tells whether the caller is one of AWS's services.
func (c Caller) Service() bool { return strings.HasSuffix(c.Principal, ".amazonaws.com") }

// Call is an operation that is being done: by whom, and its entry in the log.
type Call struct {
	Caller
	*calls.Record

	// Wrong is what a fault wants the answer to be, other than true; empty for nothing. An operation that offers it answers so.
	Wrong string
}

// Operation is one call on its way through the server: what was asked, and how to do it and to answer it.
type Operation struct {
	Name   string            // as IAM names the action: "sqs:SendMessage"
	Params map[string]string // for the log of calls
	Do     func(ctx context.Context, c *Call) (Reply, *Error)
	Fail   func(e *Error) Reply
}

// Invoke does an operation as the given caller, with the faults that are set for it and an entry in the log: how one service
// calls another. The error is nil if the caller got an answer that is none; a lost answer is an error with the code "Dropped".
type Invoke func(ctx context.Context, caller Caller, op Operation) (Reply, *Error)

// Reply is an answer that is ready to be written.
type Reply struct {
	Status      int
	ContentType string
	Header      map[string]string
	Body        []byte
}

// XML is an answer with n as its document in the name space ns.
func XML(status int, ns string, n Node) Reply {
	return Reply{Status: status, ContentType: "text/xml", Body: MarshalXML(ns, n)}
}

// FailXML answers errors as SNS and STS do.
func FailXML(ns string) func(e *Error) Reply {
	return func(e *Error) Reply {
		return XML(e.HTTPStatus(), ns, Tree("ErrorResponse",
			Tree("Error", El("Type", e.Fault()), El("Code", e.Code), El("Message", e.Message)),
			El("RequestId", uuid.NewString())))
	}
}

// JSON is an answer with v as its body. version is that of the protocol: "1.0" or "1.1".
func JSON(version string, v any) (Reply, *Error) {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return Reply{}, Errorf("InternalFailure", "cannot write the answer: %v", err)
	}
	return Reply{Status: http.StatusOK, ContentType: "application/x-amz-json-" + version, Body: text}, nil
}

// FailJSON answers errors as services with the JSON protocol do. space is in front of the type: "com.amazonaws.events#".
func FailJSON(version, space string) func(e *Error) Reply {
	return func(e *Error) Reply {
		kind := e.Type
		if kind == "" {
			kind = e.Code
		}
		text, err := json.Marshal(struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}{space + kind, e.Message})
		if err != nil {
			text = []byte("{}")
		}
		return Reply{Status: e.HTTPStatus(), ContentType: "application/x-amz-json-" + version, Body: text}
	}
}

// JSONParams flattens the members of a JSON object for the log of calls.
func JSONParams(body []byte) map[string]string {
	var members map[string]jsontext.Value
	if json.Unmarshal(body, &members) != nil {
		return nil
	}
	out := make(map[string]string, len(members))
	for k, v := range members {
		if v.Kind() == '"' {
			var text string
			if json.Unmarshal(v, &text) == nil {
				out[k] = text
				continue
			}
		}
		out[k] = string(v)
	}
	return out
}
