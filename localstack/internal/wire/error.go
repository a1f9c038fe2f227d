package wire

import (
	"fmt"
	"net/http"
)

// Error is an error as AWS answers it. It is no Go error on purpose: what reaches a client is decided where it is made.
type Error struct {
	Code    string // as clients see it: "InvalidSnapshot.NotFound", "ReceiptHandleIsInvalid"
	Message string
	Status  int    // zero: what AWS uses for Code, else 400
	Type    string // the JSON protocol's name of the error where it differs from Code: "QueueDoesNotExist"
}

// Errorf makes an Error with the status that AWS uses for code.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// statuses are the HTTP statuses of AWS's common errors that are not 400.
var statuses = map[string]int{
	"RequestLimitExceeded":    http.StatusServiceUnavailable,
	"ServiceUnavailable":      http.StatusServiceUnavailable,
	"Unavailable":             http.StatusServiceUnavailable,
	"InsufficientCapacity":    http.StatusInternalServerError,
	"InternalError":           http.StatusInternalServerError,
	"InternalException":       http.StatusInternalServerError,
	"InternalServerException": http.StatusInternalServerError,
	"InternalFailure":         http.StatusInternalServerError,
	"InternalServiceError":    http.StatusInternalServerError,
	"UnauthorizedOperation":   http.StatusForbidden,
	"AuthorizationError":      http.StatusForbidden,
	"AccessDenied":            http.StatusForbidden,
	"InvalidClientTokenId":    http.StatusForbidden,
	"SignatureDoesNotMatch":   http.StatusForbidden,
	"AuthFailure":             http.StatusUnauthorized,
	"NotFound":                http.StatusNotFound,
	"DryRunOperation":         http.StatusPreconditionFailed,
	"RequestEntityTooLarge":   http.StatusRequestEntityTooLarge,
	"InsufficientVolumeCount": http.StatusServiceUnavailable,
}

// HTTPStatus is the status of the answer.
func (e *Error) HTTPStatus() int {
	if e.Status != 0 {
		return e.Status
	}
	if s, ok := statuses[e.Code]; ok {
		return s
	}
	return http.StatusBadRequest
}

// Receiver tells whether the error is the service's fault, as against the sender's.
func (e *Error) Receiver() bool { return e.HTTPStatus() >= http.StatusInternalServerError }

// Fault says whose fault the error is: "Sender" or "Receiver".
func (e *Error) Fault() string {
	if e.Receiver() {
		return "Receiver"
	}
	return "Sender"
}
