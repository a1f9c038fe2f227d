package localstack

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/localstack/internal/calls"
	"stillpoint/localstack/internal/clock"
	"stillpoint/localstack/internal/disk"
	"stillpoint/localstack/internal/ec2"
	"stillpoint/localstack/internal/events"
	"stillpoint/localstack/internal/fault"
	"stillpoint/localstack/internal/host"
	"stillpoint/localstack/internal/identity"
	"stillpoint/localstack/internal/imds"
	"stillpoint/localstack/internal/scheduler"
	"stillpoint/localstack/internal/sns"
	"stillpoint/localstack/internal/sqs"
	"stillpoint/localstack/internal/target"
	"stillpoint/localstack/internal/wire"
)

// Config says how to start a Server. The zero value is usable.
type Config struct {
	// Dir holds the backing files of volumes and snapshots and the state of EC2, and nothing else. It is created if it is
	// missing, and should be on a file system that can clone files (XFS with reflink, btrfs): elsewhere a snapshot is a sparse
	// copy. One server at a time can use it. What a server that was killed has left in it, this one finds again. Empty: volumes
	// and snapshots have no block device and no data, which needs no privileges.
	Dir string

	// Keep lets Close leave the volumes and snapshots in Dir for the next server. Without it Close deletes all of them, also
	// those that an earlier server had kept.
	Keep bool

	// Addr is what to listen on. Empty is 127.0.0.1:0, a free port. Anything but a loopback address is refused.
	Addr string

	// Region is the one that ARNs and availability zones name. Empty is eu-west-1. Clients may sign for any.
	Region string

	// AccountID is twelve digits. Empty is 111122223333.
	AccountID string

	// Logger gets one debug event per call and warnings about what AWS would do silently. Nil: none.
	Logger *zerolog.Logger

	// SnapshotTime is how long a snapshot is pending before it is completed. Zero is one second, below zero is no time at all.
	SnapshotTime time.Duration

	// Seed decides what chance decides: which calls a fault spares, which latencies it draws, and when in their flexible time
	// windows schedules run. Zero is a seed that is not known beforehand; GET /_localstack/seed tells it.
	Seed uint64

	// Unlimited turns all token buckets and quotas of EC2 off, which are on as AWS documents them. See BehaveEC2 for some of them.
	Unlimited bool

	// HookRoots are what the certificates of https endpoints of SNS subscriptions are checked with. Nil: those of the system.
	HookRoots *x509.CertPool
}

// Server is a running local AWS. Its methods are safe for use by several goroutines.
type Server struct {
	config   Config
	log      zerolog.Logger
	listener net.Listener
	http     *http.Server
	new      newcomers
	served   chan struct{}
	started  time.Time

	// life ends when Close begins. Effects and waits hang on it instead of on the client's connection: AWS does what it was
	// asked to, whether or not the one who asked is still there.
	life context.Context
	end  context.CancelFunc

	clock  *clock.Clock
	keys   *identity.Registry
	calls  calls.Log
	faults *fault.Set
	sqs    *sqs.Service
	sns    *sns.Service
	ec2    *ec2.Service
	imds   *imds.Service
	disks  *disk.Store

	events    *events.Service
	scheduler *scheduler.Service

	forget    func() bool // stops watching the context of Start
	closeOnce sync.Once
	closeErr  error
}

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

// Start checks c, listens and serves until Close is called or ctx ends. It is listening when it returns.
func Start(ctx context.Context, c Config) (*Server, error) {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	if c.Region == "" {
		c.Region = "eu-west-1"
	}
	if c.AccountID == "" {
		c.AccountID = "111122223333"
	}
	if c.SnapshotTime == 0 {
		c.SnapshotTime = time.Second
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64() //nolint:gosec // dice, not keys
	}
	if !accountID.MatchString(c.AccountID) {
		return nil, fmt.Errorf("cannot start localstack: the account id %q is not twelve digits", c.AccountID)
	}
	if err := checkLoopback(c.Addr); err != nil {
		return nil, err
	}
	if c.Dir != "" {
		dir, err := prepareDir(c.Dir)
		if err != nil {
			return nil, fmt.Errorf("cannot create the folder for volumes: %w", err)
		}
		c.Dir = dir
	}
	log := zerolog.Nop()
	if c.Logger != nil {
		log = *c.Logger
	}

	if c.Dir == "" && c.Keep {
		return nil, errors.New("cannot keep volumes that have no data: Keep (--keep) needs a folder (--dir)")
	}

	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", c.Addr, err)
	}

	life, end := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{
		config: c, log: log, listener: listener, served: make(chan struct{}), started: time.Now(),
		life: life, end: end, clock: clock.New(), keys: identity.New(c.AccountID, c.Region),
		faults: fault.NewSet(c.Seed),
	}
	h := host.Host{
		URL: s.URL(), Region: c.Region, Account: c.AccountID, Clock: s.clock, Log: log, Life: life, Invoke: s.invoke,
	}
	s.sqs = sqs.New(h)
	s.sns = sns.New(h, s.sqs, c.HookRoots)
	targets := target.Targets{Host: h, Queue: s.sqs.Deliver, Topic: func(arn, text string) wire.Operation {
		return s.sns.Publish(arn, sns.Message{Text: text})
	}}
	s.events = events.New(targets)
	s.scheduler = scheduler.New(targets, s.faults.Seed)
	s.disks = &disk.Store{Dir: c.Dir}
	s.ec2 = ec2.New(h, s.disks, c.SnapshotTime)
	s.imds = imds.New(h, s.keys, s.ec2.Running)
	if err := s.ec2.Open(c.Keep); err != nil {
		end()
		s.clock.End()
		return nil, errors.Join(fmt.Errorf("cannot start localstack: %w", err), listener.Close())
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ConnState: s.new.watch}
	if c.Unlimited {
		s.ec2.Unlimit()
	}

	go func() {
		defer close(s.served)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error().Err(err).Msg("serving ended")
		}
	}()
	known := make(chan struct{}) // that s.forget is: ctx may have ended already
	s.forget = context.AfterFunc(ctx, func() {
		<-known
		_ = s.Close()
	})
	close(known)
	return s, nil
}

// prepareDir creates dir where it is missing, and returns its path as the kernel tells it of the files in it.
func prepareDir(dir string) (string, error) {
	// Not its parents: a folder that is misspelt shall not come to be on another disk.
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(dir)
}

// checkLoopback refuses an address that others could reach, because there is no authentication. A host name is refused too,
// except localhost: what it resolves to may change.
func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %q: %w", addr, err)
	}
	if !isLoopback(host) {
		return fmt.Errorf("cannot listen on %q: there is no authentication, so only loopback addresses such as 127.0.0.1:4566 are allowed", addr)
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// URL is where the server listens, as http://127.0.0.1:port, for AWS_ENDPOINT_URL or --endpoint-url.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Env is what to add to the environment of a program that shall use this server instead of AWS. The credentials are dummies.
func (s *Server) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.URL(),
		"AWS_REGION=" + s.config.Region,
		"AWS_DEFAULT_REGION=" + s.config.Region,
		"AWS_ACCESS_KEY_ID=localstack",
		"AWS_SECRET_ACCESS_KEY=localstack",
		"AWS_EC2_METADATA_SERVICE_ENDPOINT=" + s.URL(),
	}
}

// Fault makes calls of one operation slow or fail.
type Fault = fault.Fault

// Spread is a distribution of latencies.
type Spread = fault.Spread

// SetFaults replaces all faults; none clears them. Of several for one operation the first applies that is not used up and that
// chance does not spare. The error is about a fault that could not do what it says; then nothing has changed.
func (s *Server) SetFaults(f ...Fault) error {
	for _, one := range f {
		if err := one.Check(); err != nil {
			return err
		}
		if err := checkAction(one.Operation); err != nil {
			return err
		}
		if err := checkWrong(one); err != nil {
			return err
		}
	}
	return s.faults.Replace(f...)
}

// Call is an entry of the log of calls.
type Call = calls.Call

// Ask is a question that IAM would be asked about a call; package iam answers it.
type Ask = calls.Ask

// Calls returns the last calls, the oldest first.
func (s *Server) Calls() []Call { return s.calls.List() }

// Now is the time that AWS has here: that of the machine, and what MoveClock put it forward by.
func (s *Server) Now() time.Time { return s.clock.Now() }

// MoveClock puts the clock forward and does what comes due on the way, one after the other, each at its own time: schedules fire,
// messages become visible, snapshots are completed. Everything that AWS does by time goes by this clock; what a client waits for on
// its connection (a long poll, a fault's latency) does not. It returns when all of that is done: a rule that fires every minute takes
// about a second for 30 days. What is done on the way must not call it; neither may a web hook's handler that SNS waits for.
func (s *Server) MoveClock(d time.Duration) { s.clock.Move(d) }

// DeliverAgain has a queue deliver a message once more, as SQS may: one that is there, received or not, or one of the last sixteen
// that were deleted from it. The error names what is not there.
func (s *Server) DeliverAgain(queueName, messageID string) error {
	return s.sqs.Duplicate(queueName, messageID)
}

// Metadata says on which instance the instance metadata service answers, and how.
type Metadata = imds.Settings

// SetMetadata changes that. The error is about a setting that cannot be.
func (s *Server) SetMetadata(to Metadata) error { return s.imds.Set(to) }

// Device is the path of the loop device under an attached volume, such as /dev/loop3. It is false for a volume that is not
// attached, that is a root volume, or that has no data.
func (s *Server) Device(volumeID string) (string, bool) { return s.ec2.Device(volumeID) }

// Close stops serving, ends calls that wait, detaches every loop device that the server has, and unless Config.Keep deletes what it
// has in Dir. A device that is still mounted stays until it is unmounted, when the kernel detaches it, and its file stays for the
// next server to find; that is an error here. Errors are joined. Closing again does nothing and returns the same.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		s.forget()
		s.end()
		s.new.close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err := s.http.Shutdown(ctx)
		if err != nil {
			err = errors.Join(fmt.Errorf("cannot stop serving in good order: %w", err), s.http.Close())
		}
		<-s.served
		s.clock.End()
		s.sns.Close()
		s.sqs.Close()
		s.closeErr = errors.Join(err, s.ec2.Close())
	})
	return s.closeErr
}
