package whoami

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
)

// Discreet is the SDK's cached provider with errors that can be logged and published:
// that of a credential_process whose output is no JSON bears the output (processcreds,
// Provider.fetchCredentials), which may hold the keys.
func Discreet(p aws.CredentialsProvider) aws.CredentialsProvider {
	if cache, ok := p.(*aws.CredentialsCache); ok {
		return discreet{cache}
	}
	return p
}

// discreet has the cache's other methods, which the SDK and ebs.Client ask for.
type discreet struct{ *aws.CredentialsCache }

// Retrieve is the cache's, but for such an error.
func (d discreet) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := d.CredentialsCache.Retrieve(ctx)
	if errors.As(err, new(*processcreds.ProviderError)) {
		return aws.Credentials{}, errors.New("the profile's credential_process fails, or writes what is no credentials in JSON: run it by hand")
	}
	return c, err
}
