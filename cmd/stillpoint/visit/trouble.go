package visit

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"stillpoint/internal/doctor"
)

// troubleKinds are the codes by which AWS's services say what the doctor tells
// apart (the common errors in the API references of SQS, SNS, EC2 and STS).
var troubleKinds = map[string]doctor.TroubleKind{
	"AccessDenied": doctor.Denied, "AccessDeniedException": doctor.Denied, "AuthorizationError": doctor.Denied, "AuthorizationErrorException": doctor.Denied,
	"UnauthorizedOperation": doctor.Denied, "KMSAccessDenied": doctor.Denied, "KMS.AccessDeniedException": doctor.Denied, "KmsAccessDenied": doctor.Denied,

	"AuthFailure": doctor.NotKnown, "ExpiredToken": doctor.NotKnown, "ExpiredTokenException": doctor.NotKnown, "RequestExpired": doctor.NotKnown,
	"InvalidClientTokenId": doctor.NotKnown, "UnrecognizedClientException": doctor.NotKnown, "InvalidAccessKeyId": doctor.NotKnown, "SignatureDoesNotMatch": doctor.NotKnown,
	"InvalidSignatureException": doctor.NotKnown, "MissingAuthenticationToken": doctor.NotKnown, "IncompleteSignature": doctor.NotKnown, "InvalidSecurity": doctor.NotKnown,

	"QueueDoesNotExist": doctor.Gone, "AWS.SimpleQueueService.NonExistentQueue": doctor.Gone, "NotFound": doctor.Gone, "NotFoundException": doctor.Gone,
	"InvalidInstanceID.NotFound": doctor.Gone, "InvalidVolume.NotFound": doctor.Gone, "InvalidSnapshot.NotFound": doctor.Gone,

	"Throttling": doctor.Throttled, "ThrottlingException": doctor.Throttled, "ThrottledException": doctor.Throttled, "RequestThrottled": doctor.Throttled,
	"RequestLimitExceeded": doctor.Throttled, "TooManyRequestsException": doctor.Throttled, "SlowDown": doctor.Throttled, "ServiceUnavailable": doctor.Throttled,
}

// awsTrouble says what became of a call: err is the SDK's, action IAM's name for what was asked.
func awsTrouble(action, resource string, err error) doctor.Trouble {
	t := doctor.Trouble{Action: action, Resource: resource, Kind: doctor.Silent, Text: innermost(err)}
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() == "UnknownError" { // what answers without a code is not AWS
		return t
	}
	t.Code, t.Kind = api.ErrorCode(), troubleKinds[api.ErrorCode()]
	// The encoded part is some hundred characters that only sts:DecodeAuthorizationMessage can
	// read; below the first line of a refused signature stands the request, with its session token.
	t.Text, _, _ = strings.Cut(api.ErrorMessage(), "\n")
	t.Text, _, _ = strings.Cut(t.Text, " Encoded authorization failure message:")
	return t
}

// innermost is the sentence below the SDK's layers.
func innermost(err error) string {
	var unsent *smithyhttp.RequestSendError
	var op *smithy.OperationError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "it was waited for in vain"
	case errors.As(err, &unsent):
		return unsent.Err.Error()
	case errors.As(err, &op):
		return op.Err.Error()
	}
	return err.Error()
}
