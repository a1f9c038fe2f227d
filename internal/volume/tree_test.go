package volume

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree is a fake sysfs with a fake mountinfo. Mount points are real directories.
type tree struct {
	t     *testing.T
	root  string
	dirs  map[string]string // sysfs directory by device name
	lines []string
}

func plant(t *testing.T) *tree {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &tree{t: t, root: root, dirs: map[string]string{}}
}

func (x *tree) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *tree) write(path, text string) {
	x.t.Helper()
	x.must(os.MkdirAll(filepath.Dir(path), 0o755))
	x.must(os.WriteFile(path, []byte(text+"\n"), 0o600))
}

func (x *tree) sys(parts ...string) string {
	return filepath.Join(append([]string{x.root, "sys"}, parts...)...)
}

// device makes a directory for a block device and the links to it.
func (x *tree) device(dir, name, number string) string {
	x.t.Helper()
	x.must(os.MkdirAll(dir, 0o755))
	x.dirs[name] = dir
	for _, link := range []string{x.sys("dev/block", number), x.sys("class/block", name)} {
		x.must(os.MkdirAll(filepath.Dir(link), 0o755))
		x.must(os.Symlink(dir, link))
	}
	return dir
}

// disk makes a whole disk; serial and model may be "".
func (x *tree) disk(name, number, serial, model string) {
	x.t.Helper()
	d := x.device(x.sys("devices/bus", name), name, number)
	x.must(os.MkdirAll(filepath.Join(d, "queue"), 0o755))
	if serial != "" {
		x.write(filepath.Join(d, "device/serial"), serial+"   ")
	}
	if model != "" {
		x.write(filepath.Join(d, "device/model"), model+"     ")
	}
}

func (x *tree) nvme(name, number, id string) {
	x.t.Helper()
	x.disk(name, number, strings.ReplaceAll(id, "-", ""), "Amazon Elastic Block Store")
}

// part makes a partition in the directory of its disk.
func (x *tree) part(disk, name, number string) {
	x.t.Helper()
	x.write(filepath.Join(x.device(filepath.Join(x.dirs[disk], name), name, number), "partition"), "1")
}

// layer makes a device-mapper or md device on others.
func (x *tree) layer(name, number, mapped string, on ...string) {
	x.t.Helper()
	d := x.device(x.sys("devices/virtual/block", name), name, number)
	x.must(os.MkdirAll(filepath.Join(d, "slaves"), 0o755))
	if mapped != "" {
		x.write(filepath.Join(d, "dm/name"), mapped)
	}
	for _, o := range on {
		x.must(os.Symlink(x.dirs[o], filepath.Join(d, "slaves", o)))
	}
}

// at is the mount point of this name.
func (x *tree) at(name string) string {
	p := filepath.Join(x.root, "mnt", name)
	x.must(os.MkdirAll(p, 0o755))
	return p
}

// mount adds a line of mountinfo; rest is "fstype source vfs-options".
func (x *tree) mount(name, number, rest string) {
	x.t.Helper()
	x.mountID(len(x.lines)+100, 1, name, number, rest)
}

func (x *tree) mountID(id, parent int, name, number, rest string) {
	x.t.Helper()
	x.lines = append(x.lines, fmt.Sprintf("%d %d %s / %s rw,relatime shared:1 - %s", id, parent, number, x.at(name), rest))
}

func (x *tree) resolver() *Resolver {
	info := filepath.Join(x.root, "mountinfo")
	x.write(info, strings.Join(append([]string{"1 0 0:1 / / rw - rootfs rootfs rw"}, x.lines...), "\n"))
	return &Resolver{Sys: x.sys(), Mountinfo: info}
}
