package parts

import (
	"context"
	"fmt"

	"stillpoint/internal/whoami"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
)

// AWS is the SDK's standard configuration, with the file's region where it has one.
func AWS(ctx context.Context, region string) (aws.Config, error) {
	// The SDK's own logger writes straight to standard error, and could block inside the window.
	opts := []func(*awsconfig.LoadOptions) error{awsconfig.WithLogger(logging.Nop{})}
	if region != "" {
		opts = append(opts, awsconfig.WithRegion(region))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return cfg, fmt.Errorf("cannot read the AWS configuration: %w", err)
	}
	cfg.Credentials = whoami.Discreet(cfg.Credentials)
	return cfg, nil
}
