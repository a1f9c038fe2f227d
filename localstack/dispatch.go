package localstack

import (
	"context"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"stillpoint/localstack/internal/ec2"
	"stillpoint/localstack/internal/identity"
	"stillpoint/localstack/internal/imds"
	"stillpoint/localstack/internal/sns"
	"stillpoint/localstack/internal/sqs"
	"stillpoint/localstack/internal/sts"
	"stillpoint/localstack/internal/wire"
)

// request is what a client asks for. With credentials that have expired it is refused: EC2 has a code of its own for that
// (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html), the others share one.
func (s *Server) request(r *http.Request, body []byte) wire.Operation {
	if imds.Mine(r.URL.Path) {
		return s.imds.Operation(r)
	}
	if strings.HasPrefix(r.URL.Path, sns.CertificatePath) {
		return s.sns.Certificate(r.URL.Path)
	}
	op := s.operation(r, body)
	if key, _, _ := identity.Scope(r); s.keys.Expired(key, s.clock.Now()) {
		op.Do = func(context.Context, *wire.Call) (wire.Reply, *wire.Error) {
			if strings.HasPrefix(op.Name, "ec2:") {
				return wire.Reply{}, wire.Errorf("RequestExpired", "Request has expired.")
			}
			return wire.Reply{}, &wire.Error{
				Code: "ExpiredToken", Type: "ExpiredTokenException", Status: http.StatusForbidden,
				Message: "The security token included in the request is expired",
			}
		}
	}
	return op
}

// operation finds out what a request asks for. Services with a JSON protocol say so in a header, the others in the scope of the
// signature, or else by the version of their API.
func (s *Server) operation(r *http.Request, body []byte) wire.Operation {
	if service, action, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		switch service {
		case "AmazonSQS":
			return s.sqs.Operation(action, body)
		case "AWSEvents":
			return s.events.Operation(action, body)
		default:
			return unknown(service, action, nil)
		}
	}
	key, _, service := identity.Scope(r)
	if service == "scheduler" { // it has no Action: method and path say what is asked for
		return s.scheduler.Operation(r.Method, r.URL, body)
	}
	form := parameters(r, body)
	if service == "" {
		service = map[string]string{sqs.Version: "sqs", sns.Version: "sns", sts.Version: "sts", ec2.Version: "ec2"}[form.Get("Version")]
	}
	action, q := form.Get("Action"), wire.Query(form)
	if service == "" && sns.Unsigned(action) {
		service = "sns"
	}
	switch service {
	case "sqs":
		return sqs.Query(action, q.Flat())
	case "sns":
		return s.sns.Operation(action, q)
	case "sts":
		return sts.Operation(action, q, s.keys, key)
	case "ec2":
		return s.ec2.Operation(action, q)
	default:
		return unknown(service, action, q.Flat())
	}
}

// parameters are those of the query and those of a posted form.
func parameters(r *http.Request, body []byte) url.Values {
	form := r.URL.Query()
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && media == "application/x-www-form-urlencoded" {
		if posted, err := url.ParseQuery(string(body)); err == nil {
			for k, v := range posted {
				form[k] = append(form[k], v...)
			}
		}
	}
	return form
}

// unknown is a call of a service that is not there.
func unknown(service, action string, params map[string]string) wire.Operation {
	return wire.Operation{
		Name: service + ":" + action, Params: params, Fail: ec2.Fail,
		Do: func(context.Context, *wire.Call) (wire.Reply, *wire.Error) {
			return wire.Reply{}, wire.Errorf("InvalidAction", "localstack knows SQS (JSON protocol), SNS, STS, EC2, EventBridge and its Scheduler, and cannot tell which of them %q is meant for", action)
		},
	}
}
