// Package scene sets the whole stage for Stillpoint on one machine: a local
// AWS with volumes that are real block devices, file systems on them, a real
// MariaDB or MySQL under load, the queue, the topic and a queue that hears the results,
// and the worker as a process of its own. Tests, demo and benchmark use it.
package scene

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stillpoint/localstack"
	"stillpoint/test/rig"
)

// Config says which stage to set.
type Config struct {
	// Stillpoint is the program under test.
	Stillpoint string
	// Filesystem is that of the database's volume: "xfs" (also for "") or "ext4".
	Filesystem string
	// Extra adds a second volume with a file system of that kind, frozen along; "": none.
	Extra string
	// VolumeMiB is the size of a volume. Zero means 512.
	VolumeMiB int
	// InstanceType is EC2's; "" is what the local AWS takes for one. It decides how many volumes can be attached.
	InstanceType string
	// NoDatabase leaves the server out.
	NoDatabase bool
	// Flavor is the server's. "" means MariaDB.
	Flavor rig.Flavor
	// ServerOptions are further arguments of the server.
	ServerOptions []string
	// RestoreOptions are further arguments of the server on a restored set.
	RestoreOptions []string
	// BinlogOnExtra puts the binlogs on the second volume, which Extra adds.
	BinlogOnExtra bool
	// Privileges are those of the program's account, such as "BACKUP_ADMIN ON *.*".
	// Nil means what a quiesce with FTWRL needs at the least.
	Privileges []string
	// Journals are the engines without transactions that have a table in the load.
	// Nil means all of the server's, an empty slice none.
	Journals []string
	// Writers are the load's. Zero: no load is started.
	Writers int
	// Pause is each writer's rest between two rounds. Zero: none, which keeps every core busy.
	Pause time.Duration
	// Role is that of the instance: the program gets its credentials from the metadata. "": it has keys in its environment.
	Role string
	// Queues makes the queue and the topic in place of the scene's own, and sets QueueURL, DeadLetterURL and TopicARN. nil: the scene does.
	Queues func(context.Context, *Scene) error
	// PlanYAML and MySQLYAML are further lines for the plan and its mysql
	// section, FileYAML for the file itself; each line is indented as needed.
	PlanYAML, MySQLYAML, FileYAML string
	// SnapshotTime is how long snapshots stay pending. Zero: 300 ms.
	SnapshotTime time.Duration
	// Say is told of each step; nil: nobody is.
	Say func(format string, args ...any)
}

// Volume is one EBS volume of the instance with its file system.
type Volume struct {
	ID, Device, Mount, Filesystem string
}

// Scene is a stage that is set.
type Scene struct {
	Config     Config
	Dir        string
	AWS        *localstack.Server
	EC2        *ec2.Client
	SQS        *sqs.Client
	SNS        *sns.Client
	Events     *eventbridge.Client
	Scheduler  *scheduler.Client
	InstanceID string
	Volumes    []Volume // the database's first
	Server     *rig.Server
	Load       *rig.Load

	QueueURL, DeadLetterURL, ResultsURL, TopicARN string
	// Env is further environment of the programs that are started from now on.
	Env []string
	// ConfigPath is the worker's file, DefaultsFile the database's credentials,
	// RuntimeDir the worker's runtime_dir.
	ConfigPath, DefaultsFile, RuntimeDir string

	stack    rig.Stack
	restores int
	// replayed holds what the original's binlog says up to replayedTo; nil before the first proof.
	replayed   *rig.Server
	replayedTo rig.Position
}

// Password is that of the database user of the scene; tests look for it where it must not be.
const Password = "s3cret-Passw0rd!"

// New sets the stage. On error everything that was set up is taken down again.
func New(ctx context.Context, c Config) (_ *Scene, err error) {
	c.Filesystem, c.Flavor = cmp.Or(c.Filesystem, "xfs"), cmp.Or(c.Flavor, rig.MariaDB)
	c.VolumeMiB, c.SnapshotTime = cmp.Or(c.VolumeMiB, 512), cmp.Or(c.SnapshotTime, 300*time.Millisecond)
	missing := rig.Missing()
	if lacks := c.Flavor.Missing(); lacks != "" && !c.NoDatabase {
		missing = append(missing, lacks)
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("this machine lacks %s", strings.Join(missing, ", "))
	}
	if c.Say == nil {
		c.Say = func(string, ...any) {}
	}
	s := &Scene{Config: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.Dir, err = os.MkdirTemp("", "stillpoint-"); err != nil {
		return nil, fmt.Errorf("cannot make a folder for the scene: %w", err)
	}
	s.stack.Add("the scene's folder", func(context.Context) error { return os.RemoveAll(s.Dir) })
	for _, step := range []func(context.Context) error{s.startAWS, s.makeRuntimeDir, s.makeVolumes, s.startDatabase, s.makeQueues, s.writeConfig, s.startLoad} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close takes everything down, in reverse.
func (s *Scene) Close() error { return s.stack.Close() }

// Defer adds a step for Close.
func (s *Scene) Defer(name string, undo func(context.Context) error) { s.stack.Add(name, undo) }

func (s *Scene) startAWS(ctx context.Context) error {
	store, err := rig.NewStore(ctx, s.Dir, 16*s.Config.VolumeMiB+1024)
	if err != nil {
		return err
	}
	s.stack.Add("the store", func(context.Context) error { return store.Close() })
	s.AWS, err = localstack.Start(context.WithoutCancel(ctx), localstack.Config{Dir: store.Dir(), SnapshotTime: s.Config.SnapshotTime})
	if err != nil {
		return err
	}
	s.stack.Add("the local AWS", func(context.Context) error { return s.AWS.Close() })
	s.Config.Say("local AWS at %s (loopback only, no authentication)", s.AWS.URL())
	cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion("eu-west-1"), awsconfig.WithBaseEndpoint(s.AWS.URL()),
		awsconfig.WithCredentialsProvider(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		})))
	if err != nil {
		return err
	}
	s.EC2, s.SQS, s.SNS = ec2.NewFromConfig(cfg), sqs.NewFromConfig(cfg), sns.NewFromConfig(cfg)
	s.Events, s.Scheduler = eventbridge.NewFromConfig(cfg), scheduler.NewFromConfig(cfg)
	return nil
}

// makeRuntimeDir mounts what /run is on a host: the record of a freeze is
// written to inside the window, where the journal of a disk could be in the way.
func (s *Scene) makeRuntimeDir(ctx context.Context) error {
	s.RuntimeDir = filepath.Join(s.Dir, "runtime")
	return s.mount(ctx, "tmpfs", s.RuntimeDir, "tmpfs", "mode=0755", "size=16m")
}

func (s *Scene) makeVolumes(ctx context.Context) error {
	run, err := s.EC2.RunInstances(ctx, &ec2.RunInstancesInput{
		ImageId: aws.String("ami-12345678"), InstanceType: types.InstanceType(s.Config.InstanceType), MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
	})
	if err != nil {
		return fmt.Errorf("cannot run an instance: %w", err)
	}
	s.InstanceID = aws.ToString(run.Instances[0].InstanceId)
	if s.Config.Role != "" {
		if err := s.AWS.SetMetadata(localstack.Metadata{Instance: s.InstanceID, Role: s.Config.Role}); err != nil {
			return err
		}
	}
	kinds := []string{s.Config.Filesystem}
	if s.Config.Extra != "" {
		kinds = append(kinds, s.Config.Extra)
	}
	for i, kind := range kinds {
		v := Volume{Filesystem: kind, Mount: filepath.Join(s.Dir, fmt.Sprintf("data%d", i+1))}
		made, err := s.EC2.CreateVolume(ctx, &ec2.CreateVolumeInput{
			AvailabilityZone: aws.String("eu-west-1a"), Size: aws.Int32(10),
			TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeVolume, Tags: []types.Tag{
				{Key: aws.String("localstack:size-mib"), Value: aws.String(strconv.Itoa(s.Config.VolumeMiB))},
				{Key: aws.String("team"), Value: aws.String("storage")},
			}}},
		})
		if err != nil {
			return fmt.Errorf("cannot create a volume: %w", err)
		}
		v.ID = aws.ToString(made.VolumeId)
		if v.Device, err = s.attach(ctx, v.ID, fmt.Sprintf("/dev/sd%c", 'f'+i)); err != nil {
			return err
		}
		if err := rig.Format(ctx, v.Device, kind); err != nil {
			return err
		}
		if err := s.mount(ctx, v.Device, v.Mount, kind); err != nil {
			return err
		}
		s.Volumes = append(s.Volumes, v)
		s.Config.Say("%s on %s: %s mounted on %s", v.ID, v.Device, kind, v.Mount)
	}
	return nil
}

func (s *Scene) attach(ctx context.Context, volumeID, name string) (device string, err error) {
	if _, err := s.EC2.AttachVolume(ctx, &ec2.AttachVolumeInput{
		InstanceId: aws.String(s.InstanceID), VolumeId: aws.String(volumeID), Device: aws.String(name),
	}); err != nil {
		return "", fmt.Errorf("cannot attach %s: %w", volumeID, err)
	}
	device, ok := s.AWS.Device(volumeID)
	if !ok {
		return "", fmt.Errorf("cannot find the device of %s", volumeID)
	}
	return device, nil
}

func (s *Scene) mount(ctx context.Context, device, dir, kind string, options ...string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := rig.Mount(ctx, device, dir, kind, options...); err != nil {
		return err
	}
	s.stack.Add("mount "+dir, func(context.Context) error { return rig.Unmount(dir) })
	return nil
}

func (s *Scene) makeQueues(ctx context.Context) error {
	if s.Config.Queues != nil {
		if err := s.Config.Queues(ctx, s); err != nil {
			return err
		}
		return s.hearResults(ctx)
	}
	queue := func(name string, attributes map[string]string) (string, error) {
		out, err := s.SQS.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: attributes})
		if err != nil {
			return "", fmt.Errorf("cannot create queue %s: %w", name, err)
		}
		return aws.ToString(out.QueueUrl), nil
	}
	const arn = arns + "sqs:" + place
	var err error
	if s.DeadLetterURL, err = queue("stillpoint-dead", nil); err != nil {
		return err
	}
	if s.QueueURL, err = queue("stillpoint-db1", map[string]string{
		"RedrivePolicy": `{"deadLetterTargetArn":"` + arn + `stillpoint-dead","maxReceiveCount":10}`,
		"Policy":        allow(arn+"stillpoint-db1", "events.amazonaws.com", "sns.amazonaws.com"),
	}); err != nil {
		return err
	}
	topic, err := s.SNS.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String("stillpoint-results")})
	if err != nil {
		return fmt.Errorf("cannot create the topic: %w", err)
	}
	s.TopicARN = aws.ToString(topic.TopicArn)
	return s.hearResults(ctx)
}

// hearResults makes a queue that hears all that is published.
func (s *Scene) hearResults(ctx context.Context) error {
	const arn = arns + "sqs:" + place + "results"
	out, err := s.SQS.CreateQueue(ctx, &sqs.CreateQueueInput{
		QueueName: aws.String("results"), Attributes: map[string]string{"Policy": allow(arn, "sns.amazonaws.com")},
	})
	if err != nil {
		return fmt.Errorf("cannot create the queue for the results: %w", err)
	}
	s.ResultsURL = aws.ToString(out.QueueUrl)
	if _, err := s.SNS.Subscribe(ctx, &sns.SubscribeInput{TopicArn: aws.String(s.TopicARN), Protocol: aws.String("sqs"), Endpoint: aws.String(arn)}); err != nil {
		return fmt.Errorf("cannot subscribe to the topic: %w", err)
	}
	return nil
}

func (s *Scene) writeConfig(context.Context) error {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("queue_url: %s", s.QueueURL)
	p("topic_arn: %s", s.TopicARN)
	p("region: eu-west-1\ninstance_id: %s", s.InstanceID)
	p("state_dir: %s\nruntime_dir: %s", filepath.Join(s.Dir, "state"), s.RuntimeDir)
	if !strings.Contains(s.Config.FileYAML, "http_addr") {
		p(`http_addr: ""`)
	}
	b.WriteString(indent(s.Config.FileYAML, ""))
	p("default_plan: nightly\nplans:\n  nightly:")
	if !s.Config.NoDatabase {
		p("    mysql:\n      defaults_file: %s", s.DefaultsFile)
		b.WriteString(indent(s.Config.MySQLYAML, "      "))
	}
	if plan := "\n" + s.Config.PlanYAML; !strings.Contains(plan, "\nfreeze:") && !strings.Contains(plan, "\nno_freeze:") {
		p("    freeze: [%s]", strings.Join(s.mounts(), ", "))
	}
	ids := make([]string, len(s.Volumes))
	for i, v := range s.Volumes {
		ids[i] = v.ID
	}
	p("    volumes: [%s]", strings.Join(ids, ", "))
	b.WriteString(indent(s.Config.PlanYAML, "    "))
	s.ConfigPath = filepath.Join(s.Dir, "stillpoint.yaml")
	return os.WriteFile(s.ConfigPath, []byte(b.String()), 0o600)
}

// Configure changes the further lines of the plan and of its mysql section, for the next program that reads the file.
func (s *Scene) Configure(planYAML, mysqlYAML string) error {
	s.Config.PlanYAML, s.Config.MySQLYAML = planYAML, mysqlYAML
	return s.writeConfig(context.Background())
}

func (s *Scene) mounts() []string {
	m := make([]string, len(s.Volumes))
	for i, v := range s.Volumes {
		m[i] = v.Mount
	}
	return m
}

func indent(text, by string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			b.WriteString(by + strings.TrimRight(line, "\n") + "\n")
		}
	}
	return b.String()
}

// Command is the program under test with the scene's AWS in its environment.
func (s *Scene) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.Config.Stillpoint, args...)
	cmd.Env = slices.Concat(os.Environ(), s.AWS.Env(), s.Env)
	if s.Config.Role != "" {
		cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool {
			return strings.HasPrefix(v, "AWS_ACCESS_KEY_ID=") || strings.HasPrefix(v, "AWS_SECRET_ACCESS_KEY=") || strings.HasPrefix(v, "AWS_SESSION_TOKEN=")
		})
		cmd.Env = append(cmd.Env, "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
	}
	cmd.Dir = "/"
	return cmd
}

// Worker is a worker process.
type Worker struct {
	*rig.Child
	log string
}

// StartWorker starts the worker. Close stops it, should it still run then.
func (s *Scene) StartWorker(ctx context.Context, args ...string) (*Worker, error) {
	log, err := os.CreateTemp(s.Dir, "worker-*.log")
	if err != nil {
		return nil, fmt.Errorf("cannot make the worker's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := s.Command(context.WithoutCancel(ctx), append([]string{"worker", "--config", s.ConfigPath, "--log-format", "json"}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	child, err := rig.StartChild(cmd)
	if err != nil {
		return nil, err
	}
	w := &Worker{child, log.Name()}
	s.stack.Add("the worker", func(ctx context.Context) error { return s.StopNow(ctx, w) })
	return w, nil
}

// stopWithin is how long a worker may take for SIGTERM: a poll of 20 s may be under way.
const stopWithin = 40 * time.Second

// Stop sends SIGTERM and waits; a worker that does not end is killed, which is an error.
func (w *Worker) Stop(ctx context.Context) error {
	select {
	case <-w.Exited():
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	if err := w.Signal(os.Interrupt); err != nil {
		return err
	}
	if err := w.Wait(ctx); err != nil {
		return errors.Join(fmt.Errorf("the worker did not end well: %w", err), w.Kill())
	}
	return nil
}

// StopNow is Stop for the end of a scene: it ends the poll under way by a
// message that nobody will work on. (A worker never cancels a poll.)
func (s *Scene) StopNow(ctx context.Context, w *Worker) error {
	select {
	case <-w.Exited():
		return nil
	default:
	}
	if err := w.Signal(os.Interrupt); err != nil {
		return err
	}
	for range 500 { // until it has heard
		if strings.Contains(w.Log(), "stopping: waiting") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for range 2 { // the poll of a worker that was killed may take the first one
		if _, err := s.Send(ctx, `{"plan":"nobody-works-on-this"}`); err != nil {
			return err
		}
	}
	return w.Stop(ctx)
}

// Log is what the worker has logged so far.
func (w *Worker) Log() string {
	b, err := os.ReadFile(w.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

var _ io.Closer = (*Scene)(nil)
