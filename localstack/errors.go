package localstack

import (
	"fmt"
	"net/http"
)

// apiError is an error as AWS answers it. It is no Go error on purpose: what reaches a client is decided where it is made.
type apiError struct {
	Code    string // as clients see it: "InvalidSnapshot.NotFound", "ReceiptHandleIsInvalid"
	Message string
	Status  int    // zero: what AWS uses for Code, else 400
	Type    string // the JSON protocol's name of the error where it differs from Code: "QueueDoesNotExist"
}

func errf(code, format string, args ...any) *apiError {
	return &apiError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// statuses are the HTTP statuses of AWS's common errors that are not 400.
var statuses = map[string]int{
	"RequestLimitExceeded":    http.StatusServiceUnavailable,
	"ServiceUnavailable":      http.StatusServiceUnavailable,
	"Unavailable":             http.StatusServiceUnavailable,
	"InsufficientCapacity":    http.StatusInternalServerError,
	"InternalError":           http.StatusInternalServerError,
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

func (e *apiError) status() int {
	if e.Status != 0 {
		return e.Status
	}
	if s, ok := statuses[e.Code]; ok {
		return s
	}
	return http.StatusBadRequest
}

// receiver tells whether the error is the service's fault, as against the sender's.
func (e *apiError) receiver() bool { return e.status() >= http.StatusInternalServerError }
