package localstack

import (
	"fmt"
	"slices"
	"strings"

	"stillpoint/localstack/internal/ec2"
	"stillpoint/localstack/internal/events"
	"stillpoint/localstack/internal/fault"
	"stillpoint/localstack/internal/scheduler"
	"stillpoint/localstack/internal/sns"
	"stillpoint/localstack/internal/sqs"
)

// actions are all operations that a call can be, those included that are not AWS's: a rule or a schedule that runs, and a request
// to a web hook.
var actions = func() []string {
	all := []string{"events:Invoke", "scheduler:Invoke", "sns:Deliver", "sts:GetCallerIdentity", "imds:Get", "imds:PutToken"}
	for service, names := range map[string][]string{
		"ec2": ec2.Actions(), "sqs": sqs.Actions(), "sns": sns.Actions(), "events": events.Actions(), "scheduler": scheduler.Actions(),
	} {
		for _, name := range names {
			all = append(all, service+":"+name)
		}
	}
	slices.Sort(all)
	return all
}()

// checkAction refuses a pattern that no operation matches: it would be waited for in vain.
func checkAction(pattern string) error {
	if slices.ContainsFunc(actions, func(a string) bool { return fault.Match(pattern, a) }) {
		return nil
	}
	if i := slices.IndexFunc(actions, func(a string) bool { return strings.EqualFold(a, pattern) }); i >= 0 {
		return fmt.Errorf("there is no operation %q; it is written %s", pattern, actions[i])
	}
	service, _, _ := strings.Cut(pattern, ":")
	var near []string
	for _, a := range actions {
		if strings.EqualFold(a[:strings.Index(a, ":")+1], service+":") {
			near = append(near, a)
		}
	}
	if len(near) == 0 {
		return fmt.Errorf("there is no operation %q: the services are ec2, events, imds, scheduler, sns, sqs and sts, as in ec2:CreateSnapshots", pattern)
	}
	return fmt.Errorf("there is no operation %q; there are %s", pattern, strings.Join(near, ", "))
}
