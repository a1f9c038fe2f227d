package localstack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"stillpoint/localstack"
)

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
		t.Skip("-short: 500 snapshots of 10 GiB are left out")
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
