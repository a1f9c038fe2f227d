package localstack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

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

// Calls are cut short by SIGKILL at any point. Whatever was answered is there afterwards, and no file that is not known.
func TestKilledAtAnyPoint(t *testing.T) {
	folder := t.TempDir()
	made := map[string]bool{} // of what was answered, and is not deleted
	for round := range 8 {
		client, kill := victim(t, folder)
		var mu sync.Mutex
		set := func(id string, there bool) {
			mu.Lock()
			defer mu.Unlock()
			made[id] = there
		}
		var doubtful sync.Map // being deleted when the server was killed
		var all errgroup.Group
		calls := make(chan struct{}, 1000)
		for range 3 {
			all.Go(func() error {
				for {
					v, err := client.CreateVolume(context.Background(), &ec2.CreateVolumeInput{Size: aws.Int32(1), AvailabilityZone: aws.String("eu-west-1a")})
					if err != nil {
						return nil // it was killed
					}
					set(*v.VolumeId, true)
					x, err := client.CreateSnapshot(context.Background(), &ec2.CreateSnapshotInput{VolumeId: v.VolumeId})
					if err != nil {
						return nil
					}
					set(*x.SnapshotId, true)
					doubtful.Store(*v.VolumeId, true)
					if _, err := client.DeleteVolume(context.Background(), &ec2.DeleteVolumeInput{VolumeId: v.VolumeId}); err != nil {
						return nil
					}
					set(*v.VolumeId, false)
					calls <- struct{}{}
				}
			})
		}
		for range 3 + 5*round {
			<-calls
		}
		time.Sleep(time.Duration(round) * 300 * time.Microsecond) // to be at another place of a call each time
		kill()
		must(struct{}{}, all.Wait())(t)

		log, told := logOf()
		s := must(localstack.Start(t.Context(), localstack.Config{Dir: folder, Keep: true, Logger: log}))(t)
		if strings.Contains(told.String(), `"level":"warn"`) {
			t.Errorf("round %d: it warned: %s", round, told)
		}
		found := map[string]bool{}
		client = clientOf(t, s.URL())
		for _, v := range must(client.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{}))(t).Volumes {
			found[*v.VolumeId] = true
		}
		for _, x := range must(client.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{}))(t).Snapshots {
			found[*x.SnapshotId] = true
		}
		for id, there := range made {
			if _, doubt := doubtful.Load(id); there && !found[id] && !doubt {
				t.Errorf("round %d: %s was made and is lost", round, id)
			} else if !there && found[id] {
				t.Errorf("round %d: %s was deleted and is back", round, id)
			}
		}
		files := 0
		for _, path := range must(filepath.Glob(filepath.Join(folder, "*.img")))(t) {
			files++
			if id := strings.TrimSuffix(filepath.Base(path), ".img"); !found[id] {
				t.Errorf("round %d: the file %s is of nothing", round, path)
			}
		}
		if files != len(found) {
			t.Errorf("round %d: %d files for %d volumes and snapshots", round, files, len(found))
		}
		made = found
		must(struct{}{}, s.Close())(t)
	}
	must(struct{}{}, must(localstack.Start(t.Context(), localstack.Config{Dir: folder}))(t).Close())(t)
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
	c.MoveClock(2 * time.Hour) // a pending one goes on by the clock, and a modification too
	if got := c.snapshots(t); got[1].State != "completed" {
		t.Errorf("after its time a snapshot is %s", got[1].State)
	}
	if info := must(os.Stat(filepath.Join(folder, id+".img")))(t); *c.volume(t, id).Size != 20 || info.Size() != 20<<30 {
		t.Errorf("the modified volume has %d bytes", info.Size())
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

func TestOneServerForAFolder(t *testing.T) {
	folder := t.TempDir()
	c := start(t, localstack.Config{Dir: folder})
	_, err := localstack.Start(t.Context(), localstack.Config{Dir: folder})
	if err == nil || !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())) || !strings.Contains(err.Error(), folder) {
		t.Errorf("the second server said %v", err)
	}
	c.newVolume(t, 1) // the first one is not disturbed
	must(struct{}{}, c.Close())(t)
	wantEmpty(t, folder)
	_, kill := victim(t, folder)
	if _, err := localstack.Start(t.Context(), localstack.Config{Dir: folder}); err == nil {
		t.Error("two processes use one folder")
	}
	kill()
	must(struct{}{}, must(localstack.Start(t.Context(), localstack.Config{Dir: folder}))(t).Close())(t)
}

func TestStateThatCannotBeRead(t *testing.T) {
	for name, x := range map[string]struct{ state, want string }{
		"newer":       {`{"Version":2}`, "newer localstack"},
		"cut":         {`{"Version":1,"Volumes":[{`, "it is damaged"},
		"empty":       {``, "it is damaged"},
		"no version":  {`{}`, "it is damaged"},
		"path":        {`{"Version":1,"Volumes":[{"ID":"../../etc/passwd"}]}`, "it is damaged"},
		"null":        {`{"Version":1,"Snapshots":[null]}`, "it is damaged"},
		"other shape": {`{"Version":1,"Volumes":{"a":1}}`, "it is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			file, data := filepath.Join(folder, "state.json"), filepath.Join(folder, "vol-0123456789abcdef0.img")
			must(struct{}{}, errors.Join(os.WriteFile(file, []byte(x.state), 0o600), os.WriteFile(data, []byte("data"), 0o600)))(t)
			s, err := localstack.Start(t.Context(), localstack.Config{Dir: folder})
			if err == nil {
				_ = s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), x.want) || !strings.Contains(err.Error(), "folder") && !strings.Contains(err.Error(), "move it away") {
				t.Errorf("it said %v", err)
			}
			if got := must(os.ReadFile(file))(t); string(got) != x.state {
				t.Error("the file has changed")
			}
			must(os.Stat(data))(t)
			// The fix helps, and the folder is free again.
			must(struct{}{}, os.Rename(file, file+".away"))(t)
			must(struct{}{}, must(localstack.Start(t.Context(), localstack.Config{Dir: folder}))(t).Close())(t)
			must(os.Stat(data))(t)
		})
	}
}

// What a killed call has left half made goes; what nobody knows stays; what has lost its file is forgotten.
func TestFilesWithoutRecordsAndRecordsWithoutFiles(t *testing.T) {
	folder := t.TempDir()
	s := must(localstack.Start(t.Context(), localstack.Config{Dir: folder, Keep: true}))(t)
	client := clientOf(t, s.URL())
	var ids []string
	for range 3 {
		ids = append(ids, *must(client.CreateVolume(t.Context(), &ec2.CreateVolumeInput{Size: aws.Int32(1), AvailabilityZone: aws.String("eu-west-1a")}))(t).VolumeId)
	}
	must(struct{}{}, s.Close())(t)
	const half, foreign, clone = "snap-0123456789abcdef0", "vol-0fedcba9876543210", "snap-0fedcba9876543210"
	path := func(id string) string { return filepath.Join(folder, id+".img") }
	must(struct{}{}, errors.Join(
		os.WriteFile(path(half), []byte("half"), 0o600), os.WriteFile(path(foreign), []byte("foreign"), 0o600), os.WriteFile(path("my own"), nil, 0o600),
		// A clone that had not begun, one half made, a deletion that was done, and one that was not.
		os.WriteFile(filepath.Join(folder, "intent.json"), []byte(`["`+half+`","`+clone+`","`+ids[0]+`","`+ids[2]+`"]`), 0o600),
		os.WriteFile(filepath.Join(folder, "state.json.new"), []byte(`{"Vers`), 0o600), os.WriteFile(filepath.Join(folder, "intent.json.new"), nil, 0o600),
		os.Remove(path(ids[0])), os.Remove(path(ids[1])),
	))(t)
	log, told := logOf()
	c := start(t, localstack.Config{Dir: folder, Logger: log})
	var left []string
	for _, v := range must(c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{}))(t).Volumes {
		left = append(left, *v.VolumeId)
	}
	if !cmp.Equal(left, ids[2:]) {
		t.Errorf("left are %v, want %v", left, ids[2:])
	}
	var warned []string
	for line := range strings.Lines(told.String()) {
		var event struct{ Level, File string }
		must(struct{}{}, json.Unmarshal([]byte(line), &event))(t)
		if event.Level == "warn" {
			warned = append(warned, event.File)
		}
	}
	slices.Sort(warned)
	want := []string{path("my own"), path(foreign), path(ids[1])}
	slices.Sort(want)
	if !cmp.Equal(warned, want) {
		t.Errorf("it warned of %v, want %v", warned, want)
	}
	must(struct{}{}, c.Close())(t)
	var names []string
	for _, e := range must(os.ReadDir(folder))(t) {
		names = append(names, e.Name())
	}
	if want := []string{"my own.img", foreign + ".img"}; !cmp.Equal(names, want) {
		t.Errorf("left are %v, want %v", names, want)
	}
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

// A start that fails half-way lets go what it has taken.
func TestStartThatFails(t *testing.T) {
	needRoot(t)
	folder := t.TempDir()
	s := must(localstack.Start(t.Context(), localstack.Config{Dir: folder, Keep: true}))(t)
	c := &cloud{Server: s, ec2: clientOf(t, s.URL())}
	_, volumes := c.launch(t, 2)
	must(struct{}{}, s.Close())(t)
	// A loop device cannot be put on what is no file.
	file := filepath.Join(folder, volumes[2]+".img")
	must(struct{}{}, os.Chmod(file, 0o400))(t)
	must(struct{}{}, os.Rename(file, file+".away"))(t)
	must(struct{}{}, os.WriteFile(file, nil, 0o600))(t)
	command(t, "chattr", "+i", file)
	t.Cleanup(func() { _ = exec.Command("chattr", "-i", file).Run() })
	s, err := localstack.Start(t.Context(), localstack.Config{Dir: folder})
	if err == nil {
		_ = s.Close()
		t.Fatal("it started")
	}
	if !strings.Contains(err.Error(), volumes[2]) {
		t.Errorf("it said %v", err)
	}
	eventually(t, "the first device is released", func() bool { return deviceOn(t, filepath.Join(folder, volumes[1]+".img")) == "" })
	command(t, "chattr", "-i", file)
	must(struct{}{}, os.Rename(file+".away", file))(t)
	must(struct{}{}, os.Chmod(file, 0o600))(t)
	c = start(t, localstack.Config{Dir: folder})
	if _, ok := c.Device(volumes[2]); !ok {
		t.Error("repaired, the volume has no device")
	}
}

// 500 snapshots of a volume of 10 GiB share what has not changed between them.
func TestFiveHundredSnapshots(t *testing.T) {
	needRoot(t)
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	folder := reflinkDir(t) // of 4 GiB
	used := func() int64 {
		var st unix.Statfs_t
		command(t, "sync", "-f", folder)
		must(struct{}{}, unix.Statfs(folder, &st))(t)
		return int64(st.Blocks-st.Bfree) * st.Bsize
	}
	c := start(t, localstack.Config{Dir: folder, SnapshotTime: -1})
	instance, _ := c.launch(t, 0)
	id := c.newVolume(t, 10)
	must(struct{}{}, c.attach(t, id, instance, "/dev/sdf"))(t)
	path, _ := c.Device(id)
	device := must(os.OpenFile(path, os.O_WRONLY|unix.O_DSYNC, 0))(t)
	defer device.Close()
	must(device.Write(random(t, 64<<20)))(t)
	before := used()
	began := time.Now()
	var first, last time.Duration
	const n, block = 500, 64 << 10
	for i := range n {
		must(device.WriteAt(random(t, block), int64(i)*block))(t)
		c.MoveClock(time.Second) // for the limits of AWS
		call := time.Now()
		must(c.ec2.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: &id, TagSpecifications: onSnapshots("request-id", fmt.Sprint("r", i))}))(t)
		if took := time.Since(call); i < 50 {
			first += took / 50
		} else if i >= n-50 {
			last += took / 50
		}
	}
	grown := used() - before
	info := must(os.Stat(filepath.Join(folder, "state.json")))(t)
	t.Logf("%d snapshots of 10 GiB with 64 MiB of data and %d KiB written before each: %.1f MiB of disk, %v in all; a call takes %v at the start and %v at the end; the state file has %d KiB",
		n, block>>10, float64(grown)/(1<<20), time.Since(began).Round(time.Millisecond), first.Round(time.Microsecond), last.Round(time.Microsecond), info.Size()>>10)
	if got := len(c.snapshots(t)); got != n {
		t.Errorf("there are %d snapshots", got)
	}
	if grown > 300<<20 {
		t.Errorf("they take %d MiB", grown>>20)
	}
	must(struct{}{}, device.Close())(t)
	end := time.Now()
	must(struct{}{}, c.Close())(t)
	t.Logf("Close took %v", time.Since(end).Round(time.Millisecond))
	wantEmpty(t, folder)
}
