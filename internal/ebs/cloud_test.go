package ebs

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"go.uber.org/goleak"

	"stillpoint/internal/snapshot"
	"stillpoint/localstack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var staticCredentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "STATIC", SecretAccessKey: "s"}, nil
})

// config is for an endpoint, with a connection pool of its own.
func config(t *testing.T, url string) aws.Config {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	t.Cleanup(transport.CloseIdleConnections)
	return aws.Config{
		Region: "eu-west-1", BaseEndpoint: aws.String(url), Credentials: staticCredentials,
		HTTPClient: &http.Client{Transport: transport},
	}
}

// cloud is a local AWS with one instance.
type cloud struct {
	*localstack.Server
	api      *ec2.Client
	instance string
	attached []snapshot.Attachment
}

func start(t *testing.T, data int) *cloud {
	t.Helper()
	s, err := localstack.Start(context.Background(), localstack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c := &cloud{Server: s, api: ec2.NewFromConfig(config(t, s.URL()))}
	c.instance = c.launch(t, data)
	c.attached, err = New(config(t, s.URL()), c.instance).Attached(t.Context())
	if err != nil || len(c.attached) != data+1 {
		t.Fatalf("attached: %v, %v", c.attached, err)
	}
	return c
}

func (c *cloud) launch(t *testing.T, data int) string {
	t.Helper()
	var mappings []types.BlockDeviceMapping
	for i := range data {
		mappings = append(mappings, types.BlockDeviceMapping{DeviceName: aws.String("/dev/sd" + string(rune('f'+i))), Ebs: &types.EbsBlockDevice{VolumeSize: aws.Int32(1)}})
	}
	out, err := c.api.RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: aws.String("ami-1"), MinCount: aws.Int32(1), MaxCount: aws.Int32(1), BlockDeviceMappings: mappings})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.Instances[0].InstanceId)
}

// set is one of the attached volumes with these indexes.
func (c *cloud) set(indexes ...int) snapshot.CreateSet {
	s := snapshot.CreateSet{Attached: c.attached, Description: "d", Tags: map[string]string{snapshot.TagRequestID: "r-1", snapshot.TagInstanceID: c.instance}}
	for _, i := range indexes {
		s.Volumes = append(s.Volumes, snapshot.Volume{ID: c.attached[i].VolumeID})
	}
	return s
}

// made counts what is in EC2, whoever made it.
func (c *cloud) made(t *testing.T) int {
	t.Helper()
	out, err := c.api.DescribeSnapshots(context.Background(), &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Snapshots)
}

func (c *cloud) count(operation string) (n int) {
	for _, call := range c.Calls() {
		if call.Operation == operation {
			n++
		}
	}
	return n
}

// front is a proxy before the local AWS that sees connections and signatures.
type front struct {
	URL string
	mu  sync.Mutex
	// connections is how many were opened; keys are the access keys of the calls by action.
	connections int
	keys        []string
}

var accessKey = regexp.MustCompile(`Credential=([^/]+)/`)

func proxy(t *testing.T, to string) *front {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{}
	transport := &http.Transport{}
	p := httputil.NewSingleHostReverseProxy(target)
	p.Transport = transport
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := ""
		if m := accessKey.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
			key = m[1]
		}
		f.mu.Lock()
		f.keys = append(f.keys, key)
		f.mu.Unlock()
		p.ServeHTTP(w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			f.mu.Lock()
			f.connections++
			f.mu.Unlock()
		}
	}
	s.Start()
	t.Cleanup(func() { s.Close(); transport.CloseIdleConnections() })
	f.URL = s.URL
	return f
}

func (f *front) seen() (connections int, keys []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.connections, append([]string{}, f.keys...)
}

// buildable is the configuration that the program gets from the SDK.
func buildable(t *testing.T, url string) aws.Config {
	cfg := config(t, url)
	b := awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
		t.Cleanup(tr.CloseIdleConnections)
	})
	cfg.HTTPClient = b
	return cfg
}
