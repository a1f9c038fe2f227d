package ebs

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"stillpoint/internal/snapshot"
)

// answer is the SDK's error for an HTTP answer.
func answer(status int, code string) error {
	return &smithy.OperationError{ServiceID: "EC2", OperationName: "CreateSnapshots", Err: &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: &smithy.GenericAPIError{Code: code, Message: "because"},
	}}
}

func TestClassification(t *testing.T) {
	for _, tc := range []struct {
		name         string
		err          error
		create, call string
	}{
		{"RequestLimitExceeded", answer(503, "RequestLimitExceeded"), "quota", "out of reach"},
		{"Client.RequestLimitExceeded", answer(503, "Client.RequestLimitExceeded"), "quota", "out of reach"},
		{"SnapshotLimitExceeded", answer(400, "SnapshotLimitExceeded"), "quota", "out of reach"},
		{"ConcurrentSnapshotLimitExceeded", answer(400, "ConcurrentSnapshotLimitExceeded"), "quota", "out of reach"},
		{"PendingSnapshotLimitExceeded", answer(400, "PendingSnapshotLimitExceeded"), "quota", "out of reach"},
		{"SnapshotCreationPerVolumeRateExceeded", answer(400, "SnapshotCreationPerVolumeRateExceeded"), "quota", "out of reach"},
		{"Throttling", answer(400, "Throttling"), "quota", "out of reach"},
		{"EC2ThrottledException", answer(400, "EC2ThrottledException"), "quota", "out of reach"},
		{"SlowDown", answer(503, "SlowDown"), "quota", "out of reach"},
		{"UnauthorizedOperation", answer(403, "UnauthorizedOperation"), "refused", "refused before"},
		{"InvalidParameterValue", answer(400, "InvalidParameterValue"), "refused", "refused before"},
		{"InvalidVolume.NotFound", answer(400, "InvalidVolume.NotFound"), "refused", "refused before"},
		{"RequestExpired", answer(400, "RequestExpired"), "refused", "refused before"},
		{"a proxy's 4xx", answer(407, "UnknownError"), "ambiguous", "out of reach"},
		{"InternalError", answer(500, "InternalError"), "ambiguous", "out of reach"},
		{"Unavailable", answer(503, "Unavailable"), "ambiguous", "out of reach"},
		{"502 without a code", answer(502, "UnknownError"), "ambiguous", "out of reach"},
		{"4xx code with a 5xx status", answer(500, "InvalidParameterValue"), "ambiguous", "out of reach"},
		{"refused connection", &net.OpError{Op: "dial", Err: errors.New("connection refused")}, "refused", "out of reach"},
		{"proxy", &net.OpError{Op: "proxyconnect", Err: errors.New("connection refused")}, "refused", "out of reach"},
		{"no such host", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "ec2"}}, "refused", "out of reach"},
		{"reset", &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, "ambiguous", "out of reach"},
		{"broken pipe", &net.OpError{Op: "write", Err: errors.New("broken pipe")}, "ambiguous", "out of reach"},
		{"deadline", context.DeadlineExceeded, "ambiguous", "out of reach"},
		{"cancelled", context.Canceled, "ambiguous", "out of reach"},
		{"malformed", &smithy.DeserializationError{Err: errors.New("EOF")}, "ambiguous", "out of reach"},
		{"parameters", &smithy.InvalidParamsError{}, "refused", "out of reach"},
		{"serialization", &smithy.SerializationError{Err: errors.New("x")}, "refused", "out of reach"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := kind(createError(tc.err)); got != tc.create {
				t.Errorf("the create call's error is %s, want %s", got, tc.create)
			}
			err := callError("DescribeInstances", tc.err)
			if got := kind(err); got != tc.call {
				t.Errorf("another call's error is %s, want %s", got, tc.call)
			}
			if !errors.Is(createError(tc.err), tc.err) || strings.Contains(err.Error(), "%!") {
				t.Errorf("the cause is lost: %v", err)
			}
		})
	}
}

// What the SDK makes of real answers and of none.
func TestOnTheWire(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	serve := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(tls.Close)
	for name, tc := range map[string]struct{ url, want string }{
		"nobody listens":      {closed.URL, "refused"},
		"a wrong certificate": {tls.URL, "refused"},
		"garbage":             {serve(200, "<not xml"), "ambiguous"},
		"cut short":           {serve(200, `<CreateSnapshotsResponse><snapshotSet><item><snapshotId>snap-1`), "ambiguous"},
		"a proxy's page":      {serve(403, "<html><body>blocked</body></html>"), "ambiguous"},
		"a proxy's 408":       {serve(408, ""), "ambiguous"},
		"a gateway's page":    {serve(502, "<html>bad gateway</html>"), "ambiguous"},
		"EC2's refusal":       {serve(403, `<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors><RequestID>1</RequestID></Response>`), "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err := New(config(t, tc.url), "i-1").Create(ctx, many(0))
			if got := kind(err); got != tc.want {
				t.Errorf("it is %s, want %s: %v", got, tc.want, err)
			}
			if msg := err.Error(); strings.Contains(msg, "https response error") {
				t.Errorf("the SDK's layers are in it: %s", msg)
			}
		})
	}
}

// A call that never left is told as such, with its code.
func TestOutOfReachNamesTheCall(t *testing.T) {
	c := start(t, 0)
	client := New(config(t, c.URL()), c.instance)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var told []string
	client.OnError = func(op, code string) { told = append(told, op+"/"+code) }
	_, err := client.Find(ctx, "r-1")
	var away *snapshot.OutOfReachError
	if !errors.As(err, &away) || away.What != "EC2 (DescribeSnapshots)" || len(told) != 1 || told[0] != "DescribeSnapshots/" {
		t.Errorf("%v, told %v", err, told)
	}
}
