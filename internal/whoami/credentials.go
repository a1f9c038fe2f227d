package whoami

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// credentialsTimeout bounds how long the chain of providers may take.
const credentialsTimeout = 10 * time.Second

// callTimeout bounds one call to STS.
const callTimeout = 5 * time.Second

// Credentials are those that the program has, without what is secret.
type Credentials struct {
	// Source is the SDK's name for where they come from.
	Source string
	// Metadata says that they are those of the instance's role; Session that they are temporary.
	Metadata, Session bool
	// Expires is zero where it is not known, or never.
	Expires time.Time
}

// FindCredentials goes through the SDK's chain of providers, as every call does.
func FindCredentials(ctx context.Context, cfg aws.Config) (Credentials, error) {
	if cfg.Credentials == nil {
		return Credentials{}, errors.New("none are configured")
	}
	ctx, cancel := context.WithTimeout(ctx, credentialsTimeout)
	defer cancel()
	c, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return Credentials{}, err
	}
	found := Credentials{Source: c.Source, Metadata: c.Source == ec2rolecreds.ProviderName, Session: c.SessionToken != ""}
	if c.CanExpire {
		found.Expires = c.Expires
	}
	return found, nil
}

// Caller is whom AWS takes the program for. Every principal may ask that, by
// whatever policy (STS API reference, GetCallerIdentity).
type Caller struct{ ARN, Account string }

// AskCaller asks STS in the region of cfg.
func AskCaller(ctx context.Context, cfg aws.Config) (Caller, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return Caller{}, fmt.Errorf("cannot ask STS who this is: %w", err)
	}
	return Caller{ARN: aws.ToString(out.Arn), Account: aws.ToString(out.Account)}, nil
}
