package whoami

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// metadataTimeout bounds all questions to the metadata together. They lie one hop
// away: what has not answered by then does not, such as the PUT for a token that
// comes from a container beyond the hop limit.
const metadataTimeout = 5 * time.Second

// Metadata is what an instance's metadata say of it.
type Metadata struct {
	InstanceID, Region, Account string
	// Role is that of the instance profile; "" where there is none.
	Role string
}

// AskMetadata asks them by IMDSv2 alone: version 1 is not fallen back to.
func AskMetadata(ctx context.Context, cfg aws.Config) (Metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	client := imds.NewFromConfig(cfg, func(o *imds.Options) { o.EnableFallback = aws.FalseTernary })
	document, err := client.GetInstanceIdentityDocument(ctx, nil)
	if err != nil {
		return Metadata{}, fmt.Errorf("cannot read the identity document: %w", plain(err))
	}
	m := Metadata{InstanceID: document.InstanceID, Region: document.Region, Account: document.AccountID}
	if m.Role, err = role(ctx, client); err != nil {
		return m, fmt.Errorf("cannot read which role there is: %w", plain(err))
	}
	return m, nil
}

// role is "" where there is no instance profile, which the metadata say by a 404.
func role(ctx context.Context, client *imds.Client) (string, error) {
	out, err := client.GetMetadata(ctx, &imds.GetMetadataInput{Path: "iam/security-credentials/"})
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusNotFound {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer out.Content.Close()
	text, err := io.ReadAll(io.LimitReader(out.Content, 4<<10))
	name, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return name, err
}

// plain is the innermost sentence of the SDK's error that is worth reading.
func plain(err error) error {
	var unsent *smithyhttp.RequestSendError
	var answer *smithyhttp.ResponseError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %s", metadataTimeout)
	case errors.As(err, &unsent):
		return unsent.Err
	case errors.As(err, &answer):
		return fmt.Errorf("HTTP %d", answer.HTTPStatusCode())
	}
	return err
}
