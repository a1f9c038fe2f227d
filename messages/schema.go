package messages

import (
	_ "embed" // the schemas are part of the program
	"fmt"
	"slices"
)

var (
	//go:embed request.schema.json
	requestSchema []byte
	//go:embed result.schema.json
	resultSchema []byte
)

// Schema returns the JSON Schema (draft 2020-12) named "request" or "result".
// The request's is of the request itself, without envelopes, and says less
// than Decode: what a schema cannot express (times ahead, duplicate keys) is
// in the descriptions.
func Schema(name string) ([]byte, error) {
	switch name {
	case "request":
		return slices.Clone(requestSchema), nil
	case "result":
		return slices.Clone(resultSchema), nil
	default:
		return nil, fmt.Errorf("cannot show the schema %s: there are request and result", quote(name))
	}
}
