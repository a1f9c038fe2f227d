package ebs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"stillpoint/internal/snapshot"
)

// API is what the package calls of EC2.
type API interface {
	ec2.DescribeInstancesAPIClient
	ec2.DescribeVolumesAPIClient
	ec2.DescribeSnapshotsAPIClient
	CreateSnapshot(context.Context, *ec2.CreateSnapshotInput, ...func(*ec2.Options)) (*ec2.CreateSnapshotOutput, error)
	CreateSnapshots(context.Context, *ec2.CreateSnapshotsInput, ...func(*ec2.Options)) (*ec2.CreateSnapshotsOutput, error)
	CreateTags(context.Context, *ec2.CreateTagsInput, ...func(*ec2.Options)) (*ec2.CreateTagsOutput, error)
}

var (
	_ API          = (*ec2.Client)(nil)
	_ snapshot.EBS = (*Client)(nil)
)

// callTimeout bounds every call but the create call, retries included.
const callTimeout = 15 * time.Second

// beyondWindow is how much longer than the window its credentials must last:
// the look-up between Warm and the lock takes at most callTimeout of it.
const beyondWindow = time.Minute

// Client speaks to EC2 for one instance. It is safe for use by several goroutines.
type Client struct {
	instanceID string
	api        API
	// refresh returns credentials that are good for at least the window, and
	// is nil where the API was handed over ready-made.
	refresh func(ctx context.Context, window time.Duration) (aws.Credentials, error)
	// OnError is told of every call that failed, with AWS's code or "" where
	// there was no answer; it may be called by several goroutines. nil: nobody is.
	OnError func(operation, code string)

	now func() time.Time // nil: time.Now

	mu sync.Mutex
	// pinned are the credentials of the window; nil before the first Warm.
	pinned aws.CredentialsProvider
	// pinnedUntil is when they are no longer used: the next run must not begin
	// with those of the last one, which will have expired.
	pinnedUntil time.Time
}

// New makes a client from the program's AWS configuration. All its calls share
// one connection pool, so that a look-up warms the connection of the create call.
func New(cfg aws.Config, instanceID string) *Client {
	cfg = cfg.Copy()
	if b, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok || cfg.HTTPClient == nil {
		if b == nil {
			b = awshttp.NewBuildableClient()
		}
		cfg.HTTPClient = b.Freeze()
	}
	c := &Client{instanceID: instanceID, api: ec2.NewFromConfig(cfg)}
	c.refresh = func(ctx context.Context, window time.Duration) (aws.Credentials, error) {
		return outlasting(ctx, cfg.Credentials, c.clock().Add(window+beyondWindow))
	}
	return c
}

// NewFromAPI makes a client from an API; its Warm does nothing.
func NewFromAPI(api API, instanceID string) *Client {
	return &Client{instanceID: instanceID, api: api}
}

func (c *Client) clock() time.Time {
	if c.now != nil {
		return c.now()
	}
	return time.Now()
}

// outlasting retrieves credentials which stay valid until then; where the
// cached ones do not, they are asked for anew.
func outlasting(ctx context.Context, p aws.CredentialsProvider, until time.Time) (aws.Credentials, error) {
	if p == nil {
		return aws.Credentials{}, errors.New("no credentials are configured")
	}
	creds, err := p.Retrieve(ctx)
	if err != nil || !creds.CanExpire || creds.Expires.After(until) {
		return creds, err
	}
	if cache, ok := p.(interface{ Invalidate() }); ok {
		cache.Invalidate()
		creds, err = p.Retrieve(ctx)
	}
	if err == nil && creds.CanExpire && creds.Expires.Before(until) {
		err = fmt.Errorf("the credentials expire at %s, inside the window", creds.Expires.UTC().Format(time.RFC3339))
	}
	return creds, err
}

// Warm takes a copy of credentials that outlive the window; Find, CheckCreate
// and Create use it until then.
func (c *Client) Warm(ctx context.Context, window time.Duration) error {
	if c.refresh == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	until := c.clock().Add(window + beyondWindow)
	creds, err := c.refresh(ctx, window)
	if err != nil {
		return &snapshot.OutOfReachError{What: "AWS credentials", Err: err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pinnedUntil = until
	c.pinned = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return creds, nil })
	return nil
}

// usePinned makes a call use the window's credentials, as long as they are good.
func (c *Client) usePinned(o *ec2.Options) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pinned != nil && c.clock().Before(c.pinnedUntil) {
		o.Credentials = c.pinned
	}
}

// once makes a call that is never retried, whatever AWS_MAX_ATTEMPTS says.
// CreateSnapshots has no idempotency token, and the SDK's default retryer was
// seen to make six snapshots of three volumes with no error; and a throttle,
// which proves that nothing ran, is not to be waited out while writes are blocked.
func once(o *ec2.Options) { o.Retryer = aws.NopRetryer{} }

func (c *Client) failed(operation string, err error) {
	if c.OnError != nil && err != nil {
		c.OnError(operation, Code(err))
	}
}
