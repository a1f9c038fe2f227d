package sns

import (
	"fmt"
	"net/http"
	"strings"

	"stillpoint/localstack/internal/wire"
)

// Codes of the API's model, with the statuses that are not 400.
const (
	invalidParameter = "InvalidParameter"
	invalidValue     = "ParameterValueInvalid"
	denied           = "AuthorizationError"
	notFound         = "NotFound"
)

// invalid is AWS's error about a parameter; it begins with "Invalid parameter: ".
func invalid(format string, args ...any) *wire.Error {
	return wire.Errorf(invalidParameter, "Invalid parameter: "+format, args...)
}

func coded(code string, status int, format string, args ...any) *wire.Error {
	return &wire.Error{Code: code, Status: status, Message: fmt.Sprintf(format, args...)}
}

func noTopic() *wire.Error { return wire.Errorf(notFound, "Topic does not exist") }

func noSubscription() *wire.Error { return wire.Errorf(notFound, "Subscription does not exist") }

func unauthorized(format string, args ...any) *wire.Error {
	return coded(denied, http.StatusForbidden, format, args...)
}

// elements splits an ARN. name is the parameter that has it, for the error (recorded).
func elements(name, arn string) ([]string, *wire.Error) {
	parts := strings.Split(arn, ":")
	if len(parts) < 6 {
		return nil, invalid("%s Reason: An ARN must have at least 6 elements, not %d", name, len(parts))
	}
	return parts, nil
}

// topic finds a topic. A topic of another region is not known by the name of this one's endpoint (recorded); its account is not
// looked at: there is one.
func (s *Service) topic(name, arn string) (*topic, *wire.Error) {
	parts, apiErr := elements(name, arn)
	if apiErr != nil {
		return nil, apiErr
	}
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "sns" || parts[3] != s.Region {
		return nil, invalid("%s", name)
	}
	t, ok := s.topics[arn]
	if !ok {
		return nil, noTopic()
	}
	return t, nil
}
