package localstack_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"stillpoint/localstack"
)

// From linux/fs.h.
const (
	fifreeze = 0xC0045877
	fithaw   = 0xC0045878
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("loop devices need root")
	}
	if _, err := exec.LookPath("mkfs.xfs"); err != nil {
		t.Skip("no mkfs.xfs")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("no loop devices here")
	}
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(context.Background(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// reflinkDir is a folder on a file system of its own that can clone files.
func reflinkDir(t *testing.T) string {
	t.Helper()
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	f := must(os.Create(image))(t)
	must(struct{}{}, errors.Join(f.Truncate(4<<30), f.Close()))(t)
	command(t, "mkfs.xfs", "-q", "-m", "reflink=1", image)
	mount(t, image, dir, "loop")
	return dir
}

// mount mounts until the end of the test, or until the function that it returns is called.
func mount(t *testing.T, what, where, options string) (unmount func()) {
	t.Helper()
	command(t, "mount", "-o", options, what, where)
	done := false
	unmount = func() {
		if !done {
			done = true
			command(t, "umount", where)
		}
	}
	t.Cleanup(unmount)
	return unmount
}

// disk makes a volume of 320 MiB, or one from a snapshot, attaches it, and returns its id and its block device.
func (c *cloud) disk(t *testing.T, instance, device, snapshot string) (id, path string) {
	t.Helper()
	in := &ec2.CreateVolumeInput{AvailabilityZone: aws.String("eu-west-1a")}
	if snapshot == "" {
		in.Size = aws.Int32(1)
		in.TagSpecifications = []types.TagSpecification{{ResourceType: types.ResourceTypeVolume, Tags: tags("localstack:size-mib", "320")}}
	} else {
		in.SnapshotId = &snapshot
	}
	id = *must(c.ec2.CreateVolume(t.Context(), in))(t).VolumeId
	must(c.ec2.AttachVolume(t.Context(), &ec2.AttachVolumeInput{VolumeId: &id, InstanceId: &instance, Device: &device}))(t)
	path, ok := c.Device(id)
	if !ok || !strings.HasPrefix(path, "/dev/loop") {
		t.Fatalf("the volume %s has the device %q", id, path)
	}
	return id, path
}

// dataSnapshots makes snapshots of all volumes but the root volume, by volume id.
func (c *cloud) dataSnapshots(t *testing.T, instance string) (map[string]string, error) {
	t.Helper()
	out, err := c.ec2.CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{
		InstanceSpecification: &types.InstanceSpecification{InstanceId: &instance, ExcludeBootVolume: aws.Bool(true)},
	})
	if err != nil {
		return nil, err
	}
	made := map[string]string{}
	for _, s := range out.Snapshots {
		made[*s.VolumeId] = *s.SnapshotId
	}
	return made, nil
}

func freeze(t *testing.T, dir string) (thaw func()) {
	t.Helper()
	f := must(os.Open(dir))(t)
	must(struct{}{}, unix.IoctlSetInt(int(f.Fd()), fifreeze, 0))(t)
	done := false
	thaw = func() {
		if !done {
			done = true
			must(struct{}{}, errors.Join(unix.IoctlSetInt(int(f.Fd()), fithaw, 0), f.Close()))(t)
		}
	}
	t.Cleanup(thaw)
	return thaw
}

func random(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	must(rand.Read(b))(t)
	return b
}

func TestSnapshotOfAFrozenFileSystem(t *testing.T) {
	needRoot(t)
	for name, dir := range map[string]func(*testing.T) string{
		"clone": reflinkDir,
		"copy":  func(t *testing.T) string { return t.TempDir() }, // unless it is on XFS or btrfs
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, localstack.Config{Dir: dir(t), SnapshotTime: -1})
			instance, _ := c.launch(t, 0)
			var ids, points []string
			var contents [][]byte
			for i, device := range []string{"/dev/sdf", "/dev/sdg"} {
				id, path := c.disk(t, instance, device, "")
				command(t, "mkfs.xfs", "-q", path)
				ids, points, contents = append(ids, id), append(points, t.TempDir()), append(contents, random(t, 16<<20+i))
				mount(t, path, points[i], "nouuid")
				must(struct{}{}, os.WriteFile(filepath.Join(points[i], "file"), contents[i], 0o600))(t)
			}
			var thaws []func()
			for _, p := range points {
				thaws = append(thaws, freeze(t, p))
			}
			made, err := c.dataSnapshots(t, instance)
			for _, thaw := range thaws {
				thaw()
			}
			must(made, err)(t)
			call := c.last(t, createSnapshots)
			t.Logf("%s; the whole call %v", call.Note, call.Duration)
			if !strings.HasSuffix(call.Note, "nothing was written meanwhile") {
				t.Error("the devices were written to while they were frozen")
			}
			if name == "clone" && (!strings.HasPrefix(call.Note, "ficlone of 2") || call.Duration > time.Second) {
				t.Errorf("it took %v", call.Duration)
			}
			for i, p := range points {
				must(struct{}{}, os.WriteFile(filepath.Join(p, "file"), random(t, 1<<20), 0o600))(t)
				must(struct{}{}, os.WriteFile(filepath.Join(p, "later"), nil, 0o600))(t)
				_, path := c.disk(t, instance, "/dev/sd"+string(rune('m'+i)), made[ids[i]])
				restored := t.TempDir()
				mount(t, path, restored, "ro,norecovery,nouuid")
				if got := must(os.ReadFile(filepath.Join(restored, "file")))(t); !bytes.Equal(got, contents[i]) {
					t.Errorf("the file in the snapshot of volume %d has %d bytes and differs", i, len(got))
				}
				if _, err := os.Stat(filepath.Join(restored, "later")); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("a file from after the snapshot is in it: %v", err)
				}
			}
		})
	}
}

func TestVolumeSizes(t *testing.T) {
	needRoot(t)
	c := start(t, localstack.Config{Dir: t.TempDir(), SnapshotTime: -1})
	instance, volumes := c.launch(t, 1)
	small, _ := c.disk(t, instance, "/dev/sdm", "")
	made := must(c.dataSnapshots(t, instance))(t)
	same, _ := c.disk(t, instance, "/dev/sdn", made[small])
	grown := *must(c.ec2.CreateVolume(t.Context(), &ec2.CreateVolumeInput{SnapshotId: aws.String(made[small]), Size: aws.Int32(2), AvailabilityZone: aws.String("eu-west-1a")}))(t).VolumeId
	_, body := c.request(t, "GET", "/_localstack/volumes", "", nil)
	var list []struct {
		ID, Device, Instance, Attachment, File, SnapshotID string
		Bytes                                              int64
	}
	must(struct{}{}, json.Unmarshal([]byte(body), &list))(t)
	want := map[string]int64{volumes[0]: 8 << 30, volumes[1]: 1 << 30, small: 320 << 20, same: 320 << 20, grown: 2 << 30}
	for _, v := range list {
		if v.Bytes != want[v.ID] {
			t.Errorf("%s has %d bytes, want %d", v.ID, v.Bytes, want[v.ID])
		}
		if path, _ := c.Device(v.ID); path != v.Device || (path == "") != (v.ID == volumes[0] || v.ID == grown) {
			t.Errorf("%s has the device %q", v.ID, v.Device)
		}
		delete(want, v.ID)
	}
	if len(want) != 0 {
		t.Errorf("not listed: %v", want)
	}
	must(c.ec2.DeleteVolume(t.Context(), &ec2.DeleteVolumeInput{VolumeId: &grown}))(t)
	must(c.ec2.DeleteSnapshot(t.Context(), &ec2.DeleteSnapshotInput{SnapshotId: aws.String(made[small])}))(t)
	for _, v := range list {
		_, err := os.Stat(v.File)
		if gone := errors.Is(err, fs.ErrNotExist); gone != (v.ID == grown) {
			t.Errorf("the file of %s: %v", v.ID, err)
		}
	}
}

// backing tells whether some loop device is on that file.
func backing(t *testing.T, file string) bool {
	t.Helper()
	for _, path := range must(filepath.Glob("/sys/block/loop*/loop/backing_file"))(t) {
		if text, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(text)) == file {
			return true
		}
	}
	return false
}

func TestDetach(t *testing.T) {
	needRoot(t)
	folder := t.TempDir()
	c := start(t, localstack.Config{Dir: folder})
	instance, _ := c.launch(t, 0)
	id, path := c.disk(t, instance, "/dev/sdf", "")
	command(t, "mkfs.xfs", "-q", path)
	unmount := mount(t, path, t.TempDir(), "nouuid")
	state := func() types.VolumeState {
		return must(c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{VolumeIds: []string{id}}))(t).Volumes[0].State
	}
	must(c.ec2.DetachVolume(t.Context(), &ec2.DetachVolumeInput{VolumeId: &id}))(t)
	if got := state(); got != types.VolumeStateInUse {
		t.Errorf("detached while it is mounted, the volume is %s", got)
	}
	_, err := c.ec2.DeleteVolume(t.Context(), &ec2.DeleteVolumeInput{VolumeId: &id})
	wantCode(t, err, "VolumeInUse")
	unmount()
	eventually(t, "the volume is available", func() bool { return state() == types.VolumeStateAvailable })
	if _, ok := c.Device(id); ok || backing(t, filepath.Join(folder, id+".img")) {
		t.Error("it still has a loop device")
	}
	must(c.ec2.AttachVolume(t.Context(), &ec2.AttachVolumeInput{VolumeId: &id, InstanceId: &instance, Device: aws.String("/dev/sdg")}))(t)
	if !backing(t, filepath.Join(folder, id+".img")) {
		t.Error("attached again, it has no loop device")
	}
	must(struct{}{}, c.Close())(t)
	if backing(t, filepath.Join(folder, id+".img")) {
		t.Error("Close left a loop device")
	}
}

// Several users of loop devices at once take the free ones from each other.
func TestManyAttachAtOnce(t *testing.T) {
	needRoot(t)
	var all errgroup.Group
	for range 3 {
		c := start(t, localstack.Config{Dir: t.TempDir()})
		all.Go(func() error {
			var mappings []types.BlockDeviceMapping
			for i := range 6 {
				mappings = append(mappings, types.BlockDeviceMapping{DeviceName: aws.String("/dev/sd" + string(rune('f'+i))), Ebs: &types.EbsBlockDevice{VolumeSize: aws.Int32(1)}})
			}
			_, err := c.ec2.RunInstances(context.Background(), &ec2.RunInstancesInput{ImageId: aws.String("ami-1"), MinCount: aws.Int32(1), MaxCount: aws.Int32(1), BlockDeviceMappings: mappings})
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
}

// However the server ends, the kernel takes its devices down; one that is mounted when it is unmounted.
func TestKilledServerLeavesNoDevice(t *testing.T) {
	needRoot(t)
	folder := t.TempDir()
	client, kill := victim(t, folder)
	run := must(client.RunInstances(t.Context(), &ec2.RunInstancesInput{
		ImageId: aws.String("ami-1"), MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		BlockDeviceMappings: []types.BlockDeviceMapping{
			{DeviceName: aws.String("/dev/sdf"), Ebs: &types.EbsBlockDevice{VolumeSize: aws.Int32(1)}},
			{DeviceName: aws.String("/dev/sdg"), Ebs: &types.EbsBlockDevice{VolumeSize: aws.Int32(1)}},
		},
	}))(t)
	var files []string
	for _, m := range run.Instances[0].BlockDeviceMappings[1:] {
		files = append(files, filepath.Join(folder, *m.Ebs.VolumeId+".img"))
	}
	mounted := ""
	for _, path := range must(filepath.Glob("/sys/block/loop*/loop/backing_file"))(t) {
		if text, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(text)) == files[1] {
			mounted = "/dev/" + strings.Split(path, "/")[3]
		}
	}
	command(t, "mkfs.xfs", "-q", mounted)
	point := t.TempDir()
	unmount := mount(t, mounted, point, "nouuid")
	if !backing(t, files[0]) || !backing(t, files[1]) {
		t.Fatal("the volumes have no devices")
	}

	kill()
	eventually(t, "the device that nobody uses has gone", func() bool { return !backing(t, files[0]) })
	must(struct{}{}, os.WriteFile(filepath.Join(point, "file"), random(t, 1<<20), 0o600))(t)
	if !backing(t, files[1]) {
		t.Error("the mounted device has gone")
	}
	unmount()
	eventually(t, "the device that was mounted has gone", func() bool { return !backing(t, files[1]) })
}
