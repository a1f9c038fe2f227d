package host

import (
	"strconv"
	"strings"
	"time"

	"stillpoint/localstack/internal/policy"
	"stillpoint/localstack/internal/wire"
)

// Ask is what the policy of a resource is asked about a call. The server stands for AWS's endpoint, which is reached by TLS, and by
// loopback only. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
func (h Host) Ask(c wire.Caller, action, resource string) policy.Request {
	now := h.Clock.Now().UTC()
	keys := map[string][]string{
		"aws:SecureTransport":       {"true"},
		"aws:CurrentTime":           {now.Format(time.RFC3339)},
		"aws:EpochTime":             {strconv.FormatInt(now.Unix(), 10)},
		"aws:RequestedRegion":       {h.Region},
		"aws:PrincipalIsAWSService": {strconv.FormatBool(c.Service())},
		"aws:ViaAWSService":         {"false"},
	}
	r := policy.Request{Action: action, Resource: resource, Context: keys}
	switch {
	case c.Service():
		r.Principal.Service = c.Principal
		keys["aws:PrincipalServiceName"] = []string{c.Principal}
		if c.Source != "" {
			keys["aws:SourceArn"] = []string{c.Source}
		}
		if c.Account != "" {
			keys["aws:SourceAccount"] = []string{c.Account}
		}
	case c.Principal == wire.Anonymous:
		keys["aws:SourceIp"] = []string{"127.0.0.1"}
		keys["aws:PrincipalType"] = []string{"Anonymous"}
	default:
		r.Principal.ARN = c.Principal
		keys["aws:SourceIp"] = []string{"127.0.0.1"}
		keys["aws:PrincipalArn"] = []string{roleOf(c.Principal)}
		keys["aws:PrincipalAccount"] = []string{c.Account}
		if _, name, ok := strings.Cut(c.Principal, ":user/"); ok {
			keys["aws:username"] = []string{name}
		}
		if id := instanceOf(c.Principal); id != "" {
			keys["ec2:SourceInstanceARN"] = []string{"arn:aws:ec2:" + h.Region + ":" + c.Account + ":instance/" + id}
		}
	}
	return r
}

// roleOf is the value of aws:PrincipalArn: of a session "the ARN of the role that was assumed". The path of the role is not in the
// ARN of its session, so it is left out.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
func roleOf(principal string) string {
	parts := strings.SplitN(principal, ":", 6)
	if len(parts) != 6 || parts[2] != "sts" || !strings.HasPrefix(parts[5], "assumed-role/") {
		return principal
	}
	role, _, _ := strings.Cut(strings.TrimPrefix(parts[5], "assumed-role/"), "/")
	return "arn:aws:iam::" + parts[4] + ":role/" + role
}

// instanceOf is the instance whose role a session is: EC2 names it after that.
func instanceOf(principal string) string {
	_, session, ok := strings.Cut(principal, ":assumed-role/")
	_, name, named := strings.Cut(session, "/")
	if !ok || !named || !strings.HasPrefix(name, "i-") {
		return ""
	}
	return name
}
