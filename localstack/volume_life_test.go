package localstack_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"golang.org/x/sys/unix"

	"stillpoint/localstack"
)

// A volume that is modified becomes larger under the file system that is mounted on it.
func TestModifiedVolumeGrows(t *testing.T) {
	needRoot(t)
	c := start(t, localstack.Config{Dir: t.TempDir()})
	instance, _ := c.launch(t, 0)
	id, path := c.disk(t, instance, "/dev/sdf", "")
	command(t, "mkfs.xfs", "-q", path)
	point := t.TempDir()
	mount(t, path, point, "nouuid")
	device := func() int64 {
		f := must(os.Open(path))(t)
		defer f.Close()
		return must(f.Seek(0, io.SeekEnd))(t)
	}
	total := func() uint64 {
		var st unix.Statfs_t
		must(struct{}{}, unix.Statfs(point, &st))(t)
		return st.Blocks * uint64(st.Bsize)
	}
	must(c.ec2.ModifyVolume(t.Context(), &ec2.ModifyVolumeInput{VolumeId: &id, Size: aws.Int32(3)}))(t)
	if got := device(); got != 320<<20 {
		t.Errorf("while it is being modified the device has %d bytes", got)
	}
	c.MoveClock(5 * time.Second) // and nobody asks
	if got := device(); got != 3<<30 {
		t.Errorf("the device has %d bytes", got)
	}
	if got := total(); got > 320<<20 {
		t.Errorf("the file system has grown by itself, to %d bytes", got)
	}
	command(t, "xfs_growfs", point)
	if got := total(); got < 2900<<20 {
		t.Errorf("the file system has %d bytes", got)
	}
}

// Nothing can take a mounted device from the kernel, but everything else of a terminated instance goes.
func TestTerminateWhileMounted(t *testing.T) {
	needRoot(t)
	folder := t.TempDir()
	c := start(t, localstack.Config{Dir: folder})
	instance, volumes := c.launch(t, 2)
	path, _ := c.Device(volumes[2])
	command(t, "mkfs.xfs", "-q", path)
	unmount := mount(t, path, t.TempDir(), "nouuid")
	must(c.ec2.StopInstances(t.Context(), &ec2.StopInstancesInput{InstanceIds: []string{instance}}))(t)
	c.MoveClock(time.Minute)
	if got, _ := c.Device(volumes[2]); got != path {
		t.Errorf("when its instance is stopped, the volume has the device %q", got)
	}
	_, err := c.ec2.DetachVolume(t.Context(), &ec2.DetachVolumeInput{VolumeId: &volumes[2], Force: aws.Bool(true)})
	wantCode(t, err, "UnsupportedOperation")
	must(c.ec2.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{instance}}))(t)
	c.MoveClock(time.Minute)
	if i := c.instance(t, instance); i.State.Name != "terminated" {
		t.Errorf("the instance is %s", i.State.Name)
	}
	left := func() (out []string) {
		for _, v := range must(c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{}))(t).Volumes {
			out = append(out, *v.VolumeId)
		}
		return out
	}
	if got := left(); len(got) != 1 || got[0] != volumes[2] || backing(t, filepath.Join(folder, volumes[1]+".img")) {
		t.Errorf("left are %v", got)
	}
	unmount()
	eventually(t, "the last volume has gone", func() bool { return len(left()) == 0 })
	if files := must(filepath.Glob(filepath.Join(folder, "*.img")))(t); len(files) != 0 {
		t.Errorf("left are %v", files)
	}
}
