package conformance

import (
	"regexp"

	"github.com/aws/aws-sdk-go-v2/service/sts"
)

var stsRows = []behaviour{
	{
		ID: "sts-get-caller-identity", Service: theSTS,
		Says:   "GetCallerIdentity answers the account of twelve digits, the ARN and the user id of whoever calls, and needs no permission.",
		Source: from(api("sts", "GetCallerIdentity")),
		Run: func(c *check) {
			out, err := c.sts.GetCallerIdentity(c.ctx, &sts.GetCallerIdentityInput{})
			if !c.ok("it answers", err) {
				return
			}
			c.equal("the account", *out.Account, c.account)
			c.is("an ARN of that account", regexp.MustCompile(`^arn:aws:(iam|sts)::`+c.account+`:.+`).MatchString(*out.Arn), *out.Arn)
			c.is("a user id", *out.UserId != "")
		},
	},
}
