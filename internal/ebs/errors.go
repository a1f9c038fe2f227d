package ebs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"stillpoint/internal/snapshot"
)

// throttleWait is how long to wait after a throttle: the token buckets are
// refilled by the second (EC2 API reference, request throttling).
const throttleWait = 2 * time.Second

// quotaCodes are EC2's answers that name a limit; nothing was made. With each
// stands how long to wait before the first further try; 0: it will not do
// within minutes (EC2 API reference, error codes).
var quotaCodes = map[string]time.Duration{
	"RequestLimitExceeded":        throttleWait,
	"Client.RequestLimitExceeded": throttleWait,
	// So many snapshots in the account: someone has to delete some.
	"SnapshotLimitExceeded": 0,
	// So many of the account, or of one volume, that are not completed: minutes to hours.
	"ConcurrentSnapshotLimitExceeded": 30 * time.Second,
	"PendingSnapshotLimitExceeded":    30 * time.Second,
	// One snapshot of a volume in 15 s.
	"SnapshotCreationPerVolumeRateExceeded": 15 * time.Second,
}

// limit says whether the code names a limit, so that nothing was made, and
// after how long the call may be made again.
func limit(code string) (wait time.Duration, ok bool) {
	if wait, ok = quotaCodes[code]; ok {
		return wait, true
	}
	if throttled(code) {
		return throttleWait, true
	}
	return 0, false
}

// Code is the AWS error code in err; "" where there is none.
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func status(err error) int {
	var r *smithyhttp.ResponseError
	if errors.As(err, &r) {
		return r.HTTPStatusCode()
	}
	return 0
}

// throttled says that EC2 put the call off and nothing ran.
func throttled(code string) bool {
	_, ok := retry.DefaultThrottleErrorCodes[code]
	return ok
}

// unknownCode is what the SDK puts where an answer holds no code that it can
// read: it is not EC2's, but that of something in between.
const unknownCode = "UnknownError"

// refusal says that EC2 itself refused the call.
func refusal(err error) bool {
	code, s := Code(err), status(err)
	return code != "" && code != unknownCode && s >= 400 && s < 500
}

// createError classifies what a create call came back with: a limit, a refusal
// that proves that nothing was made, or an answer that leaves it open.
func createError(err error) error {
	code := Code(err)
	wait, limited := limit(code)
	switch {
	case limited:
		return &snapshot.QuotaError{Code: code, Wait: wait, Err: plain(err)}
	case refusal(err):
		return &snapshot.SnapshotRefusedError{Code: code, Err: plain(err)}
	case neverSent(err):
		return &snapshot.SnapshotRefusedError{Err: plain(err)}
	default:
		return &snapshot.AmbiguousError{Err: plain(err)}
	}
}

// neverSent says that the request did not leave the host.
func neverSent(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") {
		return true
	}
	return errors.As(err, new(*tls.CertificateVerificationError)) || // the handshake comes before the request
		errors.As(err, new(*v4.SigningError)) ||
		errors.As(err, new(*smithy.SerializationError)) ||
		errors.As(err, new(*smithy.InvalidParamsError))
}

// callError classifies the error of a call that changes nothing.
func callError(operation string, err error) error {
	code := Code(err)
	if _, limited := limit(code); refusal(err) && !limited {
		fix := ""
		switch code {
		case "UnauthorizedOperation", "AccessDenied":
			fix = fmt.Sprintf(": allow ec2:%s to the instance's role", operation)
		case "InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed":
			fix = ": check instance_id and region"
		}
		return &snapshot.RefusedError{Sentence: fmt.Sprintf("EC2 refuses %s (%s)%s", operation, code, fix), Err: plain(err)}
	}
	return &snapshot.OutOfReachError{What: "EC2 (" + operation + ")", Err: plain(err)}
}

// plain is the innermost sentence that is worth reading, without the SDK's
// layers around it, and still the same error for errors.As.
func plain(err error) error { return &plainError{err} }

type plainError struct{ error }

func (e *plainError) Unwrap() error { return e.error }

func (e *plainError) Error() string {
	var api smithy.APIError
	if errors.As(e.error, &api) {
		if api.ErrorCode() == unknownCode {
			return fmt.Sprintf("HTTP %d without an EC2 error code", status(e.error))
		}
		return api.ErrorCode() + ": " + api.ErrorMessage()
	}
	var unsent *smithyhttp.RequestSendError
	if errors.As(e.error, &unsent) {
		return unsent.Err.Error()
	}
	var unread *smithy.DeserializationError
	if errors.As(e.error, &unread) {
		return "the answer cannot be read: " + unread.Error()
	}
	var op *smithy.OperationError
	if errors.As(e.error, &op) {
		return op.Err.Error()
	}
	return e.error.Error()
}
