package sqs

import (
	"net/http"

	"stillpoint/localstack/internal/wire"
)

// errorForm is how an error looks in the JSON protocol, where it is not as its code: its name there, whether that is one of the
// framework's rather than of SQS, and its status, where that is not 400.
//
// The names and statuses are those of the service's model (the trait awsQueryError of each error). That the statuses hold in the
// JSON protocol too was recorded for PurgeQueueInProgress; the API reference says 400 of all of them.
// https://github.com/localstack/localstack/blob/main/tests/aws/services/sqs/test_sqs.snapshot.json (test_successive_purge_calls_fail)
type errorForm struct {
	name   string
	common bool
	status int
}

const (
	prefix        = "AWS.SimpleQueueService."
	noSuchQueue   = prefix + "NonExistentQueue"
	invalidValue  = "InvalidParameterValue"
	missing       = "MissingParameter"
	accessDenied  = "AccessDenied"
	notFound      = "ResourceNotFoundException"
	overLimit     = "OverLimit"
	unknownName   = "InvalidAttributeName"
	badAttribute  = "InvalidAttributeValue"
	kmsDenied     = "KMS.AccessDeniedException"
	unsupported   = prefix + "UnsupportedOperation"
	invalidHandle = "ReceiptHandleIsInvalid"
)

var errorForms = map[string]errorForm{
	noSuchQueue:            {name: "QueueDoesNotExist"},
	"QueueAlreadyExists":   {name: "QueueNameExists"},
	unsupported:            {name: "UnsupportedOperation"},
	kmsDenied:              {name: "KmsAccessDenied"},
	overLimit:              {name: "OverLimit", status: http.StatusForbidden},
	notFound:               {name: notFound, status: http.StatusNotFound},
	invalidHandle:          {name: invalidHandle, status: http.StatusNotFound},
	"InvalidAddress":       {name: "InvalidAddress", status: http.StatusNotFound},
	"RequestThrottled":     {name: "RequestThrottled", status: http.StatusForbidden},
	invalidValue:           {name: "InvalidParameterValueException", common: true},
	missing:                {name: "MissingRequiredParameterException", common: true},
	accessDenied:           {name: "AccessDeniedException", common: true, status: http.StatusForbidden},
	"ThrottlingException":  {name: "ThrottlingException", common: true},
	"InternalFailure":      {name: "InternalFailure", common: true},
	"ServiceUnavailable":   {name: "ServiceUnavailableException", common: true},
	"InvalidClientTokenId": {name: "UnrecognizedClientException", common: true},

	"SerializationException":                {name: "SerializationException", common: true},
	"UnknownOperationException":             {name: "UnknownOperationException", common: true},
	prefix + "PurgeQueueInProgress":         {name: "PurgeQueueInProgress", status: http.StatusForbidden},
	prefix + "QueueDeletedRecently":         {name: "QueueDeletedRecently"},
	prefix + "BatchRequestTooLong":          {name: "BatchRequestTooLong"},
	prefix + "TooManyEntriesInBatchRequest": {name: "TooManyEntriesInBatchRequest"},
	prefix + "EmptyBatchRequest":            {name: "EmptyBatchRequest"},
	prefix + "BatchEntryIdsNotDistinct":     {name: "BatchEntryIdsNotDistinct"},
	prefix + "InvalidBatchEntryId":          {name: "InvalidBatchEntryId"},
	prefix + "MessageNotInflight":           {name: "MessageNotInflight"},
}

// failSQS answers an error in JSON 1.0. The header carries the code of the older query protocol, which SDKs prefer.
func failSQS(e *wire.Error) wire.Reply {
	typed, space := *e, "com.amazonaws.sqs#"
	if form, ok := errorForms[e.Code]; ok {
		typed.Type = form.name
		if form.common {
			space = "com.amazon.coral.service#"
		}
		if typed.Status == 0 {
			typed.Status = form.status
		}
	}
	reply := wire.FailJSON("1.0", space)(&typed)
	reply.Header = map[string]string{"x-amzn-query-error": e.Code + ";" + e.Fault()}
	return reply
}

// badParameter is AWS's sentence about a parameter.
func badParameter(value any, name, reason string) *wire.Error {
	return wire.Errorf(invalidValue, "Value %v for parameter %s is invalid. Reason: %s", value, name, reason)
}

func missingParameter(name string) *wire.Error {
	return wire.Errorf(missing, "The request must contain the parameter %s.", name)
}

// within checks a number that may be missing.
func within(name string, value *int, low, high, absent int) (int, *wire.Error) {
	if value == nil {
		return absent, nil
	}
	if *value < low || *value > high {
		return 0, wire.Errorf(invalidValue, "Value %d for parameter %s is invalid. Reason: Must be between %d and %d, if provided.", *value, name, low, high)
	}
	return *value, nil
}
