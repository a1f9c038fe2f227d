package visit

import (
	"testing"

	"github.com/aws/smithy-go"

	"stillpoint/internal/doctor"
)

// Of what AWS says the first line is told: below it may stand the request, with its token.
func TestTroubleIsOneLine(t *testing.T) {
	for message, want := range map[string]string{
		"The request signature we calculated does not match.\n\nThe Canonical String for this request should have been\n'POST\n/\n\nx-amz-security-token:opensesame'": "The request signature we calculated does not match.",
		"You are not authorized. Encoded authorization failure message: x-Y_z":                                                                                        "You are not authorized.",
	} {
		got := awsTrouble("sqs:X", "", &smithy.GenericAPIError{Code: "SignatureDoesNotMatch", Message: message})
		if got.Text != want || got.Kind != doctor.NotKnown {
			t.Errorf("%+v", got)
		}
	}
}
