package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"stillpoint/cmd/stillpoint/parts"
	"stillpoint/internal/config"
	"stillpoint/messages"
)

// metadataTimeout bounds all that is asked of the instance's metadata.
const metadataTimeout = 5 * time.Second

// awsConfig is parts.AWS, whose error is one of the configuration.
func awsConfig(ctx context.Context, region string) (aws.Config, error) {
	cfg, err := parts.AWS(ctx, region)
	return cfg, coded(exitConfig, err)
}

// identify finds out who and where we are: the file, the AWS chain, and for
// what they leave open the instance's metadata. The region is never guessed.
func identify(ctx context.Context, f *config.File) (aws.Config, messages.Identity, error) {
	id := messages.Identity{InstanceID: f.InstanceID, Agent: agent()}
	cfg, err := awsConfig(ctx, f.Region)
	if err != nil {
		return cfg, id, err
	}
	if err := askMetadata(ctx, &cfg, &id); err != nil {
		return cfg, id, coded(exitConfig, fmt.Errorf("%w; set them in the configuration, or by --region and --instance-id", err))
	}
	return cfg, id, nil
}

// askMetadata asks the instance's metadata once for what is still open.
func askMetadata(ctx context.Context, cfg *aws.Config, id *messages.Identity) error {
	if cfg.Region == "" || id.InstanceID == "" {
		ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
		defer cancel()
		doc, err := imds.NewFromConfig(*cfg).GetInstanceIdentityDocument(ctx, nil)
		if err != nil {
			return fmt.Errorf("cannot learn %s from the instance's metadata: %w", missing(cfg.Region, id.InstanceID), err)
		}
		if cfg.Region == "" {
			cfg.Region = doc.Region
		}
		if id.InstanceID == "" {
			id.InstanceID = doc.InstanceID
		}
	}
	id.Region = cfg.Region
	return nil
}

func missing(region, instance string) string {
	var what []string
	if region == "" {
		what = append(what, "region")
	}
	if instance == "" {
		what = append(what, "instance id")
	}
	return strings.Join(what, " and ")
}
