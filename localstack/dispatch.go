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
			return unknown(service, action, wire.JSONParams(body), wire.FailJSON("1.1", ""))
		}
	}
	key, _, service := identity.Scope(r)
	if service == "scheduler" { // it has no Action: method and path say what is asked for
		return s.scheduler.Operation(r.Method, r.URL, body)
	}
	form, malformed := parameters(r, body)
	if service == "" {
		service = map[string]string{sqs.Version: "sqs", sns.Version: "sns", sts.Version: "sts", ec2.Version: "ec2"}[form.Get("Version")]
	}
	action, q := form.Get("Action"), wire.Query(form)
	if service == "" && sns.Unsigned(action) {
		service = "sns"
	}
	switch {
	case malformed != nil:
		op := unknown(service, action, q.Flat(), ec2.Fail)
		op.Do = func(context.Context, *wire.Call) (wire.Reply, *wire.Error) {
			return wire.Reply{}, wire.Errorf("MalformedQueryString", "cannot read the form that was posted: %v", malformed)
		}
		return op
	case service == "s3":
		return unknown(service, action, q.Flat(), failS3)
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
		return unknown(service, action, q.Flat(), ec2.Fail)
	}
}

// parameters are those of the query and those of a posted form. The error is about a form that cannot be read whole.
func parameters(r *http.Request, body []byte) (url.Values, error) {
	form := r.URL.Query()
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return form, nil //nolint:nilerr // no form was posted
	}
	posted, err := url.ParseQuery(string(body))
	for k, v := range posted {
		form[k] = append(form[k], v...)
	}
	return form, err
}

// unknown is a call of a service that is not there. fail answers as that service would, as far as that is known.
func unknown(service, action string, params map[string]string, fail func(*wire.Error) wire.Reply) wire.Operation {
	return wire.Operation{
		Name: service + ":" + action, Params: params, Fail: fail,
		Do: func(context.Context, *wire.Call) (wire.Reply, *wire.Error) {
			return wire.Reply{}, wire.Errorf("InvalidAction", "localstack has SQS, SNS, EventBridge and its Scheduler, STS and EC2, and none of them has %s:%s", service, action)
		},
	}
}

// failS3 answers errors as S3 does.
func failS3(e *wire.Error) wire.Reply {
	return wire.XML(e.HTTPStatus(), "", wire.Tree("Error", wire.El("Code", e.Code), wire.El("Message", e.Message)))
}
