package localstack_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"stillpoint/localstack"
)

// clientOf is a client for a server that another process is, or that a test closes itself.
func clientOf(t *testing.T, url string) *ec2.Client {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return ec2.New(ec2.Options{
		Region: "eu-west-1", BaseEndpoint: &url, HTTPClient: &http.Client{Transport: transport}, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		}),
	})
}

// victim starts a server on folder in a process of its own. kill kills it as the kernel does when memory runs out, and waits until
// it has gone.
func victim(t *testing.T, folder string) (client *ec2.Client, kill func()) {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), must(os.Executable())(t))
	cmd.Env = append(os.Environ(), victimDir+"="+folder)
	cmd.Stderr = os.Stderr
	out := must(cmd.StdoutPipe())(t)
	must(struct{}{}, cmd.Start())(t)
	done := false
	kill = func() {
		if !done {
			done = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(kill)
	line := make([]byte, 200)
	n := must(out.Read(line))(t)
	url := strings.TrimSpace(string(line[:n]))
	if !strings.HasPrefix(url, "http://") {
		t.Fatalf("the server said %q", url)
	}
	return clientOf(t, url), kill
}

// deviceOn is the loop device on a file, empty for none.
func deviceOn(t *testing.T, file string) string {
	t.Helper()
	for _, path := range must(filepath.Glob("/sys/block/loop*/loop/backing_file"))(t) {
		if text, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(text)) == file {
			return "/dev/" + strings.Split(path, "/")[3]
		}
	}
	return ""
}

// wantEmpty fails the test if anything is left in folder, or any loop device on a file in it.
func wantEmpty(t *testing.T, folder string) {
	t.Helper()
	for _, e := range must(os.ReadDir(folder))(t) {
		t.Errorf("%s is left", e.Name())
	}
	for _, path := range must(filepath.Glob("/sys/block/loop*/loop/backing_file"))(t) {
		if text, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(text), folder+"/") {
			t.Errorf("%s is left, on %s", strings.Split(path, "/")[3], text)
		}
	}
}

// logOf is a logger, and what it was told.
func logOf() (*zerolog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	log := zerolog.New(zerolog.SyncWriter(&b))
	return &log, &b
}

// A server is killed while a file system of its own is in use. The file system goes on, and the next server finds all of it.
func TestFoundAgainAfterSIGKILL(t *testing.T) {
	needRoot(t)
	folder := reflinkDir(t)
	client, kill := victim(t, folder)
	one := func(device string) types.BlockDeviceMapping {
		return types.BlockDeviceMapping{DeviceName: &device, Ebs: &types.EbsBlockDevice{VolumeSize: aws.Int32(1)}}
	}
	run := must(client.RunInstances(t.Context(), &ec2.RunInstancesInput{
		ImageId: aws.String("ami-1"), MinCount: aws.Int32(1), MaxCount: aws.Int32(1), BlockDeviceMappings: []types.BlockDeviceMapping{one("/dev/sdf"), one("/dev/sdg"), one("/dev/sdh")},
		TagSpecifications: []types.TagSpecification{{ResourceType: "instance", Tags: tags("Name", "db1")}},
	}))(t).Instances[0]
	instance := *run.InstanceId
	var ids, files []string
	for _, m := range run.BlockDeviceMappings[1:] {
		ids, files = append(ids, *m.Ebs.VolumeId), append(files, filepath.Join(folder, *m.Ebs.VolumeId+".img"))
	}
	const used, idle, leaving = 0, 1, 2
	device := deviceOn(t, files[used])
	command(t, "mkfs.xfs", "-q", device)
	point := t.TempDir()
	unmount := mount(t, device, point, "nouuid")
	before := random(t, 8<<20)
	must(struct{}{}, os.WriteFile(filepath.Join(point, "before"), before, 0o600))(t)
	gone := deviceOn(t, files[leaving])
	command(t, "mkfs.xfs", "-q", gone)
	unmountLeaving := mount(t, gone, t.TempDir(), "nouuid")
	must(client.DetachVolume(t.Context(), &ec2.DetachVolumeInput{VolumeId: &ids[leaving]}))(t)
	snap := must(client.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: &ids[idle], Description: aws.String("kept"), TagSpecifications: onSnapshots("request-id", "r1")}))(t)

	kill()
	after := random(t, 8<<20)
	must(struct{}{}, os.WriteFile(filepath.Join(point, "after"), after, 0o600))(t)
	command(t, "sync", "-f", point)
	eventually(t, "the device that nobody uses has gone", func() bool { return deviceOn(t, files[idle]) == "" })

	c := start(t, localstack.Config{Dir: folder})
	if got, ok := c.Device(ids[used]); !ok || got != device {
		t.Fatalf("the mounted volume has the device %q, it had %s", got, device)
	}
	if got, ok := c.Device(ids[idle]); !ok || deviceOn(t, files[idle]) != got {
		t.Errorf("the other volume has the device %q", got)
	}
	if i := c.instance(t, instance); i.State.Name != "running" || len(i.BlockDeviceMappings) != 4 || *i.Tags[0].Value != "db1" || !i.LaunchTime.Equal(*run.LaunchTime) {
		t.Errorf("the instance is now %+v", i)
	}
	if v := c.volume(t, ids[leaving]); v.Attachments[0].State != "detaching" {
		t.Errorf("the volume that was being detached is %s", v.Attachments[0].State)
	}
	if s := c.snapshots(t); len(s) != 1 || *s[0].SnapshotId != *snap.SnapshotId || !s[0].StartTime.Equal(*snap.StartTime) || *s[0].Description != "kept" || *s[0].Tags[0].Value != "r1" {
		t.Errorf("the snapshots are %+v", s)
	}
	unmountLeaving()
	eventually(t, "the volume is detached", func() bool { return c.volume(t, ids[leaving]).State == "available" })

	for name, want := range map[string][]byte{"before": before, "after": after} {
		if got := must(os.ReadFile(filepath.Join(point, name)))(t); !bytes.Equal(got, want) {
			t.Errorf("the file %q has changed", name)
		}
	}
	// It is held like any other: unmounted, it stays; detached, it goes.
	unmount()
	if deviceOn(t, files[used]) != device {
		t.Fatal("the device went with its mount, though the volume is attached")
	}
	must(struct{}{}, c.detach(t, ids[used]))(t)
	must(c.ec2.DeleteVolume(t.Context(), &ec2.DeleteVolumeInput{VolumeId: &ids[used]}))(t)
	if _, err := os.Stat(files[used]); !errors.Is(err, fs.ErrNotExist) || deviceOn(t, files[used]) != "" {
		t.Errorf("the deleted volume is not gone: %v", err)
	}
	must(struct{}{}, c.Close())(t)
	wantEmpty(t, folder)
}

func TestKeep(t *testing.T) {
	folder := t.TempDir()
	s := must(localstack.Start(t.Context(), localstack.Config{Dir: folder, Keep: true, SnapshotTime: time.Hour}))(t)
	client := clientOf(t, s.URL())
	in := &ec2.CreateVolumeInput{Size: aws.Int32(10), AvailabilityZone: aws.String("eu-west-1a"), ClientToken: aws.String("t")}
	id := *must(client.CreateVolume(t.Context(), in))(t).VolumeId
	snap := must(client.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: &id}))(t)
	s.MoveClock(24 * time.Hour)
	other := *must(client.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: &id}))(t).SnapshotId
	must(client.ModifyVolume(t.Context(), &ec2.ModifyVolumeInput{VolumeId: &id, Size: aws.Int32(20)}))(t)
	now := s.Now()
	must(struct{}{}, s.Close())(t)
	must(struct{}{}, s.Close())(t)

	c := start(t, localstack.Config{Dir: folder, SnapshotTime: time.Second})
	if c.Now().Before(now) {
		t.Errorf("the clock went back from %v to %v", now, c.Now())
	}
	got := c.snapshots(t)
	if len(got) != 2 || *got[0].SnapshotId != *snap.SnapshotId || got[0].State != "completed" || *got[1].SnapshotId != other || got[1].State != "pending" {
		t.Fatalf("the snapshots are %+v", got)
	}
	c.MoveClock(2 * time.Hour) // a pending one goes on by the clock, and a modification too, though nobody asks
	if info := must(os.Stat(filepath.Join(folder, id+".img")))(t); info.Size() != 20<<30 || *c.volume(t, id).Size != 20 {
		t.Errorf("the modified volume has %d bytes", info.Size())
	}
	if got := c.snapshots(t); got[1].State != "completed" {
		t.Errorf("after its time a snapshot is %s", got[1].State)
	}
	if again := *must(c.ec2.CreateVolume(t.Context(), in))(t).VolumeId; again != id {
		t.Errorf("the token of %s made %s", id, again)
	}
	state := must(os.ReadFile(filepath.Join(folder, "state.json")))(t)
	for _, want := range []string{id, other, *snap.SnapshotId, `"Version":1`} {
		if !bytes.Contains(state, []byte(want)) {
			t.Errorf("the state has no %s: %s", want, state)
		}
	}
	must(struct{}{}, c.Close())(t)
	wantEmpty(t, folder)
}

// A device that cannot be let go is an error that names it, and what is on it is found again.
func TestCloseWhileMounted(t *testing.T) {
	needRoot(t)
	for name, end := range map[string]func(s *localstack.Server, cancel func()) error{
		"closed":  func(s *localstack.Server, _ func()) error { return s.Close() },
		"context": func(s *localstack.Server, cancel func()) error { cancel(); return s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := must(localstack.Start(ctx, localstack.Config{Dir: folder}))(t)
			c := &cloud{Server: s, ec2: clientOf(t, s.URL())}
			instance, volumes := c.launch(t, 2)
			device, _ := c.Device(volumes[2])
			command(t, "mkfs.xfs", "-q", device)
			unmount := mount(t, device, t.TempDir(), "nouuid")
			must(c.ec2.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: &volumes[1]}))(t)

			err := end(s, cancel)
			if err == nil || !strings.Contains(err.Error(), volumes[2]) || !strings.Contains(err.Error(), device) {
				t.Errorf("Close said %v", err)
			}
			if again := s.Close(); again == nil || err == nil || again.Error() != err.Error() {
				t.Errorf("closed again, it said %v", again)
			}
			var names []string
			for _, e := range must(os.ReadDir(folder))(t) {
				names = append(names, e.Name())
			}
			if want := []string{"state.json", volumes[2] + ".img"}; !cmp.Equal(names, want) {
				t.Errorf("left are %v, want %v", names, want)
			}
			next := start(t, localstack.Config{Dir: folder})
			if got, _ := next.Device(volumes[2]); got != device || *next.volume(t, volumes[2]).Attachments[0].InstanceId != instance {
				t.Errorf("the next server has it as %q", got)
			}
			unmount()
			must(struct{}{}, next.Close())(t)
			wantEmpty(t, folder)
		})
	}
}
