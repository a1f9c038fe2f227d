// Command localstack runs a local AWS until it gets SIGINT, SIGTERM or SIGHUP. See the package stillpoint/localstack.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"stillpoint/localstack"
)

type options struct {
	Dir          string        `help:"Folder for the files of volumes and snapshots, and nothing else; best on XFS with reflink. Without it, volumes have no data." placeholder:"DIR"`
	Keep         bool          `help:"Keep the volumes and snapshots in DIR for the next run. Without it they are deleted at the end, those that an earlier run kept too."`
	Unlimited    bool          `help:"Without EC2's token buckets and quotas."`
	Addr         string        `help:"Loopback address to listen on; port 0 takes a free one." default:"127.0.0.1:0"`
	Region       string        `help:"Region to be." default:"eu-west-1"`
	Account      string        `help:"Account to be: twelve digits." default:"111122223333"`
	SnapshotTime time.Duration `help:"How long a snapshot is pending." default:"1s"`
	Seed         uint64        `help:"What chance goes by: which calls a fault spares, which latencies it draws. The same seed repeats a run." placeholder:"N"`
	Verbose      bool          `short:"v" help:"Log every device and message that is lost, to standard error."`
}

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errUsage marks what is wrong with the command line.
var errUsage = errors.New("see localstack --help")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	code := exitOK
	switch {
	case errors.Is(err, errUsage):
		code = exitUsage
	case err != nil:
		code = exitFailed
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "localstack:", err)
	}
	os.Exit(code)
}

// run serves until ctx ends. Its error is of the start or of the end; that serving was ended is none.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	helped := false
	parser, err := kong.New(&o, kong.Name("localstack"),
		kong.Description("A local AWS: SQS, SNS, EventBridge rules, EventBridge Scheduler, STS, the instance metadata service, and EC2 with EBS volumes that are real block devices. One port, loopback only, no authentication."),
		kong.Writers(stdout, stderr), kong.Exit(func(int) { helped = true }))
	if err != nil {
		return fmt.Errorf("cannot read the command line: %w", err)
	}
	_, err = parser.Parse(args)
	if helped {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w; %w", err, errUsage)
	}
	if o.Dir != "" && os.Geteuid() != 0 {
		return errors.New("volumes with data are loop devices, which need root: run it with sudo, or without --dir")
	}
	if o.SnapshotTime < 0 {
		return fmt.Errorf("--snapshot-time is %s; 0 is no time at all; %w", o.SnapshotTime, errUsage)
	}
	level := zerolog.WarnLevel
	if o.Verbose {
		level = zerolog.DebugLevel
	}
	log := zerolog.New(stderr).Level(level).With().Timestamp().Logger()

	// The server outlives ctx by the time that it takes to end it in good order, so it must not watch ctx itself.
	server, err := localstack.Start(context.WithoutCancel(ctx), localstack.Config{
		Dir: o.Dir, Addr: o.Addr, Region: o.Region, AccountID: o.Account, Logger: &log, SnapshotTime: pending(o.SnapshotTime), Seed: o.Seed, Keep: o.Keep, Unlimited: o.Unlimited,
	})
	if err != nil {
		return err
	}
	if err := greet(stdout, server, o); err != nil {
		return errors.Join(fmt.Errorf("cannot print where it listens: %w", err), server.Close())
	}
	<-ctx.Done()
	return server.Close()
}

// pending turns the flag, where 0 means at once, into the Config's, where 0 means the default.
func pending(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// greet prints what to export and what to try first, as text that a shell can read.
func greet(w io.Writer, s *localstack.Server, o options) error {
	text := "# localstack: " + localstack.Notice + "\n"
	for _, pair := range s.Env() {
		text += "export " + pair + "\n"
	}
	for _, note := range s.Notes() {
		text += "# " + note + "\n"
	}
	text += "#\n# to begin with (version 1 of the aws command does not heed AWS_ENDPOINT_URL for SQS, and would call AWS itself, so name the endpoint):\n"
	for _, line := range []string{
		"sqs create-queue --queue-name requests",
		"sqs send-message --queue-url " + s.URL() + "/" + o.Account + "/requests --message-body '{}'",
		"ec2 run-instances --image-id ami-1 --block-device-mappings 'DeviceName=/dev/sdf,Ebs={VolumeSize=1}'",
	} {
		text += fmt.Sprintf("#   aws --endpoint-url %s %s\n", s.URL(), line)
	}
	text += "# what there is beside AWS (devices, faults, the clock, the log of calls, a dump of the state):\n"
	text += fmt.Sprintf("#   curl %s/_localstack/\n", s.URL())
	_, err := io.WriteString(w, text)
	return err
}
