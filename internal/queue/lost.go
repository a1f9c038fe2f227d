package queue

import (
	"errors"
	"strings"

	"github.com/aws/smithy-go"

	"stillpoint/internal/snapshot"
)

// asLost wraps err in a *snapshot.LeaseLostError where SQS says by its code
// that the receipt handle is of no use any more. InvalidParameterValue is what
// it says of a message that was deleted or received again ("not available for
// visibility timeout change"), and of one that may not be hidden any longer
// (12 h); our own parameters never earn it.
func asLost(err error) error {
	var coded smithy.APIError
	if !errors.As(err, &coded) {
		return err
	}
	code := coded.ErrorCode() // may have a prefix, such as "AWS.SimpleQueueService."
	switch code[strings.LastIndexByte(code, '.')+1:] {
	case "InvalidParameterValue", "ReceiptHandleIsInvalid", "MessageNotInflight":
		return &snapshot.LeaseLostError{Err: err}
	}
	return err
}
