package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// wireError is a refusal that was not seen through the SDK.
type wireError struct {
	status              int
	code, kind, message string // kind is the modelled name of the error, with its namespace
}

func (e *wireError) Error() string {
	return fmt.Sprintf("%s, HTTP %d: %s", e.code, e.status, e.message)
}

// sqsJSON makes a call of SQS as it stands, for what the SDK does not send: zeros, and what it checks itself.
func (c *check) sqsJSON(action string, in map[string]any) (map[string]any, error) {
	status, header, body := c.post("AmazonSQS."+action, "application/x-amz-json-1.0", in)
	out := map[string]any{}
	if err := json.Unmarshal(body, &out); err != nil && len(body) > 0 {
		return nil, &wireError{status: status, message: "an answer that is not JSON: " + string(body[:min(len(body), 80)])}
	}
	if status == http.StatusOK {
		return out, nil
	}
	kind, _ := out["__type"].(string)
	message, _ := out["message"].(string)
	if message == "" {
		message, _ = out["Message"].(string)
	}
	code, _, _ := strings.Cut(header.Get("X-Amzn-Query-Error"), ";")
	if code == "" {
		code = kind[strings.LastIndex(kind, "#")+1:]
	}
	return nil, &wireError{status: status, code: code, kind: kind, message: message}
}

// post sends a body, which is made JSON, as a client of a service with a JSON protocol does.
func (c *check) post(target, media string, in any) (status int, header http.Header, out []byte) {
	body := must(json.Marshal(in))(c)
	r := must(http.NewRequestWithContext(c.ctx, http.MethodPost, c.url+"/", bytes.NewReader(body)))(c)
	service := "sqs"
	if !strings.HasPrefix(target, "AmazonSQS.") {
		service = "events"
	}
	r.Header.Set("X-Amz-Target", target)
	r.Header.Set("Content-Type", media)
	// Neither target looks at signatures, but they do at what they are for.
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/"+region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	answer := must(c.http.Do(r))(c)
	defer answer.Body.Close()
	return answer.StatusCode, answer.Header, must(io.ReadAll(answer.Body))(c)
}
