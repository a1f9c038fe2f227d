package doctor

import (
	"fmt"
	"strings"
)

// TroubleKind is what became of a call to AWS that did not do as asked.
type TroubleKind int

// Other: an answer that is none of these. Denied: by a policy. NotKnown: the
// credentials are not good, or the clock is wrong. Gone: what was asked about is
// not there. Throttled: ask again later. Silent: no answer of AWS's came.
const (
	Other TroubleKind = iota
	Denied
	NotKnown
	Gone
	Throttled
	Silent
)

// Trouble is a call to AWS that did not do as asked.
type Trouble struct {
	Kind TroubleKind
	// Action is IAM's name for it, such as sqs:GetQueueAttributes.
	Action string
	// Resource is the ARN, URL or id that it was about; "" or "*": none in particular.
	Resource string
	// Code is AWS's error code; "" where it did not answer.
	Code string
	// Text is what AWS said, or what stood in the way.
	Text string
}

// Finding judges it, where a snapshot cannot do without the call.
func (t Trouble) Finding() Finding {
	f := Bad(t.said(), t.fix())
	switch t.Kind {
	case Silent:
		f.Checked = false
	case Throttled:
		f.Status, f.Checked = Warn, false
	}
	return f
}

// Minor judges it, where only the doctor, or a safeguard, asks.
func (t Trouble) Minor() Finding {
	f := t.Finding()
	f.Status, f.Checked, f.Message = Warn, false, "not checked: "+f.Message
	return f
}

func (t Trouble) said() string {
	about := ""
	if t.Resource != "" && t.Resource != "*" {
		about = " on " + t.Resource
	}
	service, _, _ := strings.Cut(t.Action, ":")
	service = strings.ToUpper(service)
	switch t.Kind {
	case Denied:
		return fmt.Sprintf("%s%s is denied (%s): %s", t.Action, about, t.Code, t.Text)
	case NotKnown:
		return fmt.Sprintf("%s does not take the credentials (%s): %s", service, t.Code, t.Text)
	case Gone:
		return fmt.Sprintf("what it is about is not there: %s%s says %s", t.Action, about, t.Code)
	case Throttled:
		return fmt.Sprintf("%s puts calls off (%s)", service, t.Code)
	case Silent:
		return fmt.Sprintf("no answer from %s to %s: %s", service, t.Action, t.Text)
	default:
		return fmt.Sprintf("%s%s fails (%s): %s", t.Action, about, t.Code, t.Text)
	}
}

func (t Trouble) fix() string {
	service, _, _ := strings.Cut(t.Action, ":")
	switch t.Kind {
	case Denied:
		return "add this to the policy of whoever asks (instance.yaml has it with all that belongs to it): " + t.Statement() +
			"; where AWS speaks of an explicit deny, take that out of the policy it names (of the resource, the organization or the VPC endpoint)"
	case NotKnown:
		return "see identity.credentials and clock.skew; then look whether the role still exists"
	case Gone:
		switch service {
		case "sns":
			return "correct its name in the file, or make it again (deploy fleet.yaml)"
		case "ec2":
			return "correct region, instance_id or volumes in the file: EC2 knows it under another name, or in another region"
		}
		return "correct its name in the file, or make it again (deploy instance.yaml)"
	case Throttled:
		return "run the doctor again in a minute"
	case Silent:
		return fmt.Sprintf("check the way to it: route and security group (443 out), a VPC endpoint for %s with private DNS, and HTTPS_PROXY, NO_PROXY and AWS_ENDPOINT_URL in the environment", service)
	default:
		return "see what AWS says"
	}
}

// Statement is what has to be in a policy so that the call is allowed.
func (t Trouble) Statement() string {
	resource := t.Resource
	if !strings.HasPrefix(resource, "arn:") {
		resource = "*"
	}
	return fmt.Sprintf(`{"Effect": "Allow", "Action": "%s", "Resource": "%s"}`, t.Action, resource)
}
