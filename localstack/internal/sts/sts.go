// Package sts is the part of STS that tools use to see whether credentials work, and whose they are: GetCallerIdentity.
package sts

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"stillpoint/localstack/internal/identity"
	"stillpoint/localstack/internal/wire"
)

// Version is that of the API, which clients send.
const Version = "2011-06-15"

const space = "https://sts.amazonaws.com/doc/2011-06-15/"

// Operation is the call of an action.
func Operation(action string, q wire.Query, keys *identity.Registry, accessKeyID string) wire.Operation {
	return wire.Operation{
		Name: "sts:" + action, Params: q.Flat(), Fail: wire.FailXML(space),
		Do: func(_ context.Context, c *wire.Call) (wire.Reply, *wire.Error) {
			if action != "GetCallerIdentity" {
				return wire.Reply{}, wire.Errorf("InvalidAction", "localstack has no STS operation %q", action)
			}
			if c.Principal == wire.Anonymous {
				return wire.Reply{}, &wire.Error{Code: "MissingAuthenticationToken", Status: http.StatusForbidden, Message: "Request is missing Authentication Token"}
			}
			user := c.Account
			if key, ok := keys.Lookup(accessKeyID); ok {
				user = key.UserID
			} else if !strings.HasSuffix(c.Principal, ":root") {
				user = "AIDA" + strings.ToUpper(accessKeyID)
			}
			return wire.XML(http.StatusOK, space, wire.Tree("GetCallerIdentityResponse",
				wire.Tree("GetCallerIdentityResult",
					wire.El("Arn", c.Principal), wire.El("UserId", user), wire.El("Account", c.Account)),
				wire.Tree("ResponseMetadata", wire.El("RequestId", uuid.NewString())))), nil
		},
	}
}
