package localstack

import (
	"context"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"stillpoint/localstack/internal/ec2"
	"stillpoint/localstack/internal/identity"
	"stillpoint/localstack/internal/sns"
	"stillpoint/localstack/internal/sqs"
	"stillpoint/localstack/internal/sts"
	"stillpoint/localstack/internal/wire"
)

// operation finds out what a request asks for. Services with a JSON protocol say so in a header, the others in the scope of the
// signature, or else by the version of their API.
func (s *Server) operation(r *http.Request, body []byte) wire.Operation {
	if service, action, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		switch service {
		case "AmazonSQS":
			return s.sqs.Operation(action, body)
		default:
			return unknown(service, action, nil)
		}
	}
	form := parameters(r, body)
	key, _, service := identity.Scope(r)
	if service == "" {
		service = map[string]string{sqs.Version: "sqs", sns.Version: "sns", sts.Version: "sts", ec2.Version: "ec2"}[form.Get("Version")]
	}
	action, q := form.Get("Action"), wire.Query(form)
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
			return wire.Reply{}, wire.Errorf("InvalidAction", "localstack knows SQS (JSON protocol), SNS, STS and EC2, and cannot tell which of them %q is meant for", action)
		},
	}
}
