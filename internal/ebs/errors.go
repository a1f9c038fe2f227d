package ebs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"stillpoint/internal/snapshot"
)

// quotaCodes are EC2's answers that name a limit; nothing was made. The last
// three are not in the SDK's list of throttles, so they surface at once (EC2
// API reference, error codes).
var quotaCodes = map[string]bool{
	"RequestLimitExceeded":                  true,
	"Client.RequestLimitExceeded":           true,
	"SnapshotLimitExceeded":                 true,
	"ConcurrentSnapshotLimitExceeded":       true,
	"PendingSnapshotLimitExceeded":          true,
	"SnapshotCreationPerVolumeRateExceeded": true,
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
	switch {
	case quotaCodes[code] || throttled(code):
		return &snapshot.QuotaError{Code: code, Err: plain(err)}
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
	if refusal(err) && !quotaCodes[code] && !throttled(code) {
		fix := ""
		if code == "UnauthorizedOperation" || code == "AccessDenied" {
			fix = fmt.Sprintf(": allow ec2:%s to the instance's role", operation)
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
