package sqs

import (
	"context"

	"stillpoint/localstack/internal/wire"
)

// Version is that of the API, which clients of the query protocol send.
const Version = "2012-11-05"

// Query refuses an action in the query protocol, which SDKs and CLIs spoke until the end of 2023.
func Query(action string, params map[string]string) wire.Operation {
	return wire.Operation{
		Name: "sqs:" + action, Params: params, Fail: wire.FailXML("http://queue.amazonaws.com/doc/2012-11-05/"),
		Do: func(context.Context, *wire.Call) (wire.Reply, *wire.Error) {
			return wire.Reply{}, wire.Errorf(unsupported, "localstack speaks SQS in the JSON protocol only, not in the query protocol that this call of %q came in: use an SDK, boto3 or aws CLI of 2024 or later", action)
		},
	}
}
