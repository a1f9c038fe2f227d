package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"runtime"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// printed is what a run of the aws CLI left behind.
type printed struct {
	Out, Err string
	Exit     int
}

// atOnce holds one for each run of the aws CLI that is under way: a run takes most of a second of a processor.
var atOnce = make(chan struct{}, max(2, runtime.NumCPU()))

// cli runs the aws CLI against the target. It names the endpoint on the command line: version 1 takes no notice of AWS_ENDPOINT_URL
// for SQS, whose old addresses it still knows.
func (c *check) cli(args ...string) printed {
	cmd := exec.CommandContext(c.ctx, "aws", append([]string{"--endpoint-url", c.url, "--region", region, "--output", "json"}, args...)...)
	cmd.Env = c.env()
	var out, err bytes.Buffer
	atOnce <- struct{}{}
	defer func() { <-atOnce }()
	cmd.Stdout, cmd.Stderr = &out, &err
	failed := cmd.Run()
	var exit *exec.ExitError
	if failed != nil && !errors.As(failed, &exit) {
		c.need("the aws CLI can be run", false, failed)
	}
	return printed{strings.TrimSpace(out.String()), strings.TrimSpace(err.String()), cmd.ProcessState.ExitCode()}
}

// cliJSON is what a run of the aws CLI printed, which has to succeed.
func (c *check) cliJSON(args ...string) map[string]any {
	p := c.cli(args...)
	c.need("it exits with 0", p.Exit == 0, p.Exit, p.Err)
	out := map[string]any{}
	if p.Out != "" {
		err := json.Unmarshal([]byte(p.Out), &out)
		c.need("it prints JSON", err == nil, p.Out)
	}
	return out
}

// cliRefused expects that the service refused a call of the aws CLI: 255 is version 1, 254 version 2.
func (c *check) cliRefused(p printed, code, operation, words string) {
	c.is("it exits with 254 or 255", p.Exit == 254 || p.Exit == 255, p.Exit)
	c.equal("nothing on standard output", p.Out, "")
	want := "An error occurred (" + code + ") when calling the " + operation + " operation"
	c.is("the error on standard error", strings.Contains(p.Err, want), p.Err)
	c.is("in AWS's words", strings.Contains(p.Err, words), p.Err)
}

// clientInstance launches an instance for a client to look at, and returns its id and that of its root volume.
func (c *check) clientInstance() (instance, volume string) {
	out := must(c.ec2.RunInstances(c.ctx, &ec2.RunInstancesInput{ImageId: ptr("ami-12c6146b"), MinCount: ptr(int32(1)), MaxCount: ptr(int32(1))}))(c)
	instance = *out.Instances[0].InstanceId
	is := must(c.ec2.DescribeInstances(c.ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{instance}}))(c)
	mappings := is.Reservations[0].Instances[0].BlockDeviceMappings
	c.need("it has a root volume", len(mappings) > 0)
	return instance, *mappings[0].Ebs.VolumeId
}

// clientSnapshot makes a snapshot of a volume, with a tag that nothing else has, and waits until it is completed.
func (c *check) clientSnapshot(volume string) (id, tag string) {
	tag = c.name()
	id = *must(c.ec2.CreateSnapshot(c.ctx, &ec2.CreateSnapshotInput{VolumeId: &volume, TagSpecifications: snapshotTag("conformance", tag)}))(c).SnapshotId
	c.soon("the snapshot is completed", func() bool {
		out := must(c.ec2.DescribeSnapshots(c.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{id}}))(c)
		return out.Snapshots[0].State == "completed"
	})
	return id, tag
}
