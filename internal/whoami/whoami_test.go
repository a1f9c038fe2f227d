package whoami

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"go.uber.org/goleak"

	"stillpoint/localstack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is a local AWS with one instance, and the configuration of a program on it.
func start(t *testing.T) (*localstack.Server, aws.Config, string) {
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
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_ENDPOINT_URL", s.URL())
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", s.URL())
	client := awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) { t.Cleanup(tr.CloseIdleConnections) })
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion("eu-west-1"), config.WithHTTPClient(client))
	if err != nil {
		t.Fatal(err)
	}
	keys := cfg.Copy()
	keys.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
	})
	run, err := ec2.NewFromConfig(keys).RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: aws.String("ami-1"), MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	return s, cfg, aws.ToString(run.Instances[0].InstanceId)
}

func TestWhoThisIs(t *testing.T) {
	s, cfg, id := start(t)
	for role, want := range map[string]string{"db1": "db1", "-": ""} {
		if err := s.SetMetadata(localstack.Metadata{Role: role}); err != nil {
			t.Fatal(err)
		}
		m, err := AskMetadata(t.Context(), cfg)
		if err != nil || m != (Metadata{InstanceID: id, Region: "eu-west-1", Account: "111122223333", Role: want}) {
			t.Errorf("%+v, %v", m, err)
		}
	}
	if err := s.SetMetadata(localstack.Metadata{Role: "db1"}); err != nil {
		t.Fatal(err)
	}
	c, err := FindCredentials(t.Context(), cfg)
	if err != nil || !c.Metadata || !c.Session || !c.Expires.After(time.Now()) {
		t.Errorf("%+v, %v", c, err)
	}
	caller, err := AskCaller(t.Context(), cfg)
	if err != nil || caller != (Caller{"arn:aws:sts::111122223333:assumed-role/db1/" + id, "111122223333"}) {
		t.Errorf("%+v, %v", caller, err)
	}
	// Version 1 is not asked: whatever it would say, a host that requires tokens says nothing.
	if err := s.SetFaults(localstack.Fault{Operation: "imds:PutToken", Code: "Forbidden", Status: 403}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetMetadata(localstack.Metadata{Role: "db1", HTTPTokens: "optional"}); err != nil {
		t.Fatal(err)
	}
	if m, err := AskMetadata(t.Context(), cfg); err == nil {
		t.Errorf("without a token: %+v", m)
	}
}

func TestClock(t *testing.T) {
	s, cfg, _ := start(t)
	var c Clock
	c.Watch(&cfg)
	if _, known := c.Skew(); known {
		t.Error("it is known before there was an answer")
	}
	within := func(want time.Duration) {
		t.Helper()
		got, known := c.Skew()
		if off := got.Ahead - want; !known || off > got.By || -off > got.By || got.By < time.Second/2 {
			t.Errorf("%+v (%v), want %s", got, known, want)
		}
	}
	if _, err := AskCaller(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	within(0)
	s.MoveClock(10 * time.Minute)
	c = Clock{}
	// An answer that is an error has a date too.
	if err := s.SetFaults(localstack.Fault{Operation: "sts:GetCallerIdentity", Code: "AccessDenied", Status: 403}); err != nil {
		t.Fatal(err)
	}
	if _, err := AskCaller(t.Context(), cfg); err == nil {
		t.Fatal("it was not denied")
	}
	within(-10 * time.Minute)
}

// What a proxy in between says of the time does not count.
func TestClockOfAProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusForbidden)
	}))
	defer proxy.Close()
	_, cfg, _ := start(t)
	cfg.BaseEndpoint = &proxy.URL
	var c Clock
	c.Watch(&cfg)
	_, _ = AskCaller(t.Context(), cfg)
	if got, known := c.Skew(); known {
		t.Errorf("%+v", got)
	}
}

func TestSkew(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 3, 4, 0, time.UTC)
	got := skew(at.Add(10*time.Second), at.Add(12*time.Second), at)
	if want := (Skew{Ahead: 10500 * time.Millisecond, By: 1500 * time.Millisecond}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestSynchronized(t *testing.T) {
	if _, err := Synchronized(); err != nil { // whichever it is, the kernel tells
		t.Skip(err)
	}
}

// What a credential_process writes is not repeated: it may be the secret. All else is
// as without: what it says of itself, and that it can be asked anew.
func TestDiscreet(t *testing.T) {
	cfg := aws.Config{Credentials: Discreet(aws.NewCredentialsCache(processcreds.NewProvider("echo opensesame")))}
	_, err := FindCredentials(t.Context(), cfg)
	if err == nil || strings.Contains(err.Error(), "opensesame") || !strings.Contains(err.Error(), "credential_process") {
		t.Errorf("%v", err)
	}
	asked := 0
	p := Discreet(aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		asked++
		return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
	})))
	for range 2 {
		if c, err := p.Retrieve(t.Context()); err != nil || c.AccessKeyID != "a" {
			t.Errorf("%+v, %v", c, err)
		}
	}
	p.(interface{ Invalidate() }).Invalidate()
	if _, err := p.Retrieve(t.Context()); err != nil || asked != 2 {
		t.Errorf("asked %d times: %v", asked, err)
	}
	if !aws.IsCredentialsProvider(Discreet(aws.NewCredentialsCache(aws.AnonymousCredentials{})), (*aws.AnonymousCredentials)(nil)) {
		t.Error("the SDK does not see what it wraps")
	}
}
