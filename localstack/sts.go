package localstack

import (
	"context"
	"net/http"

	"github.com/google/uuid"
)

const (
	stsVersion = "2011-06-15"
	stsNS      = "https://sts.amazonaws.com/doc/2011-06-15/"
)

// stsOperation is the whole of STS here: GetCallerIdentity, which tools use to see whether credentials work.
func stsOperation(action string, q query, account string) operation {
	return operation{
		name: "sts:" + action, params: q.flat(), fail: failWith(stsNS),
		do: func(context.Context, *record) (reply, *apiError) {
			if action != "GetCallerIdentity" {
				return reply{}, errf("InvalidAction", "localstack has no STS operation %q", action)
			}
			return xmlReply(http.StatusOK, stsNS, tree("GetCallerIdentityResponse",
				tree("GetCallerIdentityResult",
					el("Arn", "arn:aws:iam::"+account+":root"), el("UserId", account), el("Account", account)),
				tree("ResponseMetadata", el("RequestId", uuid.NewString())))), nil
		},
	}
}

func xmlReply(status int, ns string, n node) reply {
	return reply{status: status, contentType: "text/xml", body: marshalXML(ns, n)}
}

// failWith answers errors as SNS and STS do.
func failWith(ns string) func(e *apiError) reply {
	return func(e *apiError) reply {
		kind := "Sender"
		if e.receiver() {
			kind = "Receiver"
		}
		return xmlReply(e.status(), ns, tree("ErrorResponse",
			tree("Error", el("Type", kind), el("Code", e.Code), el("Message", e.Message)),
			el("RequestId", uuid.NewString())))
	}
}
