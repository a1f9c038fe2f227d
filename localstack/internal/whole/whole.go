// Package whole lets tests on one machine read answers in one piece.
package whole

import (
	"bytes"
	"io"
	"net/http"
)

// Answers is a transport that reads an answer to its end before the SDK gets it. The SDK closes the body of a request as soon as it
// has the head of the answer; if net/http has not seen the end of that body yet, it takes this for an error and closes the connection,
// so that an answer of more than 4 KiB breaks off. That needs a server as near as this one, and a busy machine.
func Answers(next http.RoundTripper) http.RoundTripper { return answers{next} }

type answers struct{ next http.RoundTripper }

// RoundTrip is for http.Client.
func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := a.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, err
}
