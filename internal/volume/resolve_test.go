package volume

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

const (
	rootVolume = "vol-0000000000000000f"
	volA       = "vol-0aaaaaaaaaaaaaaaa"
	volB       = "vol-0bbbbbbbbbbbbbbbb"
	volC       = "vol-0cccccccccccccccc"
)

// attached is what EC2 says of the instance, unless a row says otherwise.
var attached = []snapshot.Attachment{
	{VolumeID: rootVolume, DeviceName: "/dev/xvda", Root: true},
	{VolumeID: volA, DeviceName: "/dev/sdf"}, {VolumeID: volB, DeviceName: "/dev/sdg"}, {VolumeID: volC, DeviceName: "/dev/sdh"},
}

func TestLayouts(t *testing.T) {
	hvm := []snapshot.Attachment{{VolumeID: rootVolume, DeviceName: "/dev/sda1", Root: true}, {VolumeID: volA, DeviceName: "/dev/sdf"}}
	for _, tc := range []struct {
		name     string
		plant    func(x *tree)
		mounts   []string // default: "data"
		listed   []string
		attached []snapshot.Attachment
		want     string // volume@mount, in order
		refused  string // or what the refusal says
	}{
		{name: "NVMe disk", plant: func(x *tree) { x.nvme("nvme1n1", "259:0", volA); x.mount("data", "259:0", "xfs /dev/nvme1n1 rw") }, want: volA + "@data"},
		{name: "NVMe serial with a dash", plant: func(x *tree) {
			x.disk("nvme1n1", "259:0", volA, "Amazon Elastic Block Store")
			x.mount("data", "259:0", "xfs /dev/nvme1n1 rw")
		}, want: volA + "@data"},
		{name: "NVMe partition", plant: func(x *tree) {
			x.nvme("nvme0n1", "259:0", rootVolume)
			x.part("nvme0n1", "nvme0n1p1", "259:1")
			x.mount("data", "259:1", "xfs /dev/nvme0n1p1 rw")
		}, want: rootVolume + "@data"},
		{name: "xvd disk, sd at EC2", plant: func(x *tree) { x.disk("xvdf", "202:80", "", ""); x.mount("data", "202:80", "ext4 /dev/xvdf rw") }, want: volA + "@data"},
		{name: "sd disk, xvd at EC2", plant: func(x *tree) { x.disk("sda", "8:0", "", ""); x.mount("data", "8:0", "ext4 /dev/sda rw") }, want: rootVolume + "@data"},
		{name: "xvd partition", plant: func(x *tree) {
			x.disk("xvdg", "202:96", "", "")
			x.part("xvdg", "xvdg1", "202:97")
			x.mount("data", "202:97", "ext4 /dev/xvdg1 rw")
		}, want: volB + "@data"},
		{name: "xvda1 of the disk xvda, sda1 at EC2", attached: hvm, plant: func(x *tree) {
			x.disk("xvda", "202:0", "", "")
			x.part("xvda", "xvda1", "202:1")
			x.mount("data", "202:1", "ext4 /dev/xvda1 rw")
		}, want: rootVolume + "@data"},
		{name: "xvda1 without a disk", attached: hvm, plant: func(x *tree) { x.disk("xvda1", "202:1", "", ""); x.mount("data", "202:1", "ext4 /dev/xvda1 rw") }, want: rootVolume + "@data"},
		{name: "xvda1 a partition without a disk", attached: hvm, plant: func(x *tree) {
			x.write(filepath.Join(x.device(x.sys("devices/vbd-51713/xvda1"), "xvda1", "202:1"), "partition"), "1")
			x.mount("data", "202:1", "ext4 /dev/xvda1 rw")
		}, want: rootVolume + "@data"},
		{name: "a disk of two letters", attached: append(attached[:1:1], snapshot.Attachment{VolumeID: volA, DeviceName: "/dev/xvdba"}, snapshot.Attachment{VolumeID: volB, DeviceName: "/dev/sdb"}),
			plant: func(x *tree) { x.disk("xvdba", "202:1", "", ""); x.mount("data", "202:1", "xfs /dev/xvdba rw") }, want: volA + "@data"},
		{name: "ambiguous Xen name", attached: append(attached[:2:2], snapshot.Attachment{VolumeID: volC, DeviceName: "/dev/xvdf"}),
			plant: func(x *tree) { x.disk("xvdf", "202:80", "", ""); x.mount("data", "202:80", "ext4 /dev/xvdf rw") }, refused: "could be " + volA + " or " + volC},
		{name: "Xen name that EC2 does not know", plant: func(x *tree) { x.disk("xvdz", "202:80", "", ""); x.mount("data", "202:80", "ext4 /dev/xvdz rw") }, refused: "list the set under volumes"},
		{name: "LVM over two", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.nvme("nvme2n1", "259:1", volB)
			x.layer("dm-0", "253:0", "vg-data", "nvme1n1", "nvme2n1")
			x.mount("data", "253:0", "xfs /dev/mapper/vg-data rw")
		}, want: volA + "@data " + volB + "@data"},
		{name: "md over partitions", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.nvme("nvme2n1", "259:1", volB)
			x.part("nvme1n1", "nvme1n1p1", "259:2")
			x.part("nvme2n1", "nvme2n1p1", "259:3")
			x.layer("md127", "9:127", "", "nvme1n1p1", "nvme2n1p1")
			x.mount("data", "9:127", "xfs /dev/md127 rw")
		}, want: volA + "@data " + volB + "@data"},
		{name: "partition of md", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.layer("md0", "9:0", "", "nvme1n1")
			x.part("md0", "md0p1", "259:9")
			x.mount("data", "259:9", "xfs /dev/md0p1 rw")
		}, want: volA + "@data"},
		{name: "dm-crypt on LVM on md", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.nvme("nvme2n1", "259:1", volB)
			x.layer("md0", "9:0", "", "nvme1n1", "nvme2n1")
			x.layer("dm-0", "253:0", "vg-data", "md0")
			x.layer("dm-1", "253:1", "crypt", "dm-0")
			x.mount("data", "253:1", "ext4 /dev/mapper/crypt rw")
		}, want: volA + "@data " + volB + "@data"},
		{name: "XFS with an external log", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.nvme("nvme2n1", "259:1", volB)
			x.part("nvme2n1", "nvme2n1p1", "259:2")
			x.mount("data", "259:0", "xfs /dev/nvme1n1 rw,attr2,logdev=/dev/nvme2n1p1,noquota")
		}, want: volA + "@data " + volB + "@data"},
		{name: "XFS with log and realtime on LVM", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.nvme("nvme2n1", "259:1", volB)
			x.nvme("nvme3n1", "259:2", volC)
			x.layer("dm-0", "253:0", "vg-other", "nvme3n1")
			x.layer("dm-1", "253:1", "vg-log", "nvme2n1")
			x.layer("dm-2", "253:2", "vg-rt", "nvme3n1")
			x.mount("data", "259:0", "xfs /dev/nvme1n1 rw,logdev=/dev/mapper/vg-log,rtdev=/dev/mapper/vg-rt")
		}, want: volA + "@data " + volB + "@data " + volC + "@data"},
		{name: "external log that is not there", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.mount("data", "259:0", "xfs /dev/nvme1n1 rw,logdev=/dev/mapper/stillpoint-none")
		}, refused: "cannot tell which disk"},
		{name: "bind mount", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.mount("data", "259:0", "xfs /dev/nvme1n1 rw")
			x.lines = append(x.lines, strings.Replace(strings.Replace(x.lines[0], " / ", " /sub/dir ", 1), x.at("data"), x.at("bound"), 1))
		}, mounts: []string{"bound", "data"}, want: volA + "@bound"},
		{name: "stacked", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.nvme("nvme2n1", "259:1", volB)
			x.mountID(50, 1, "data", "259:0", "xfs /dev/nvme1n1 rw")
			x.mountID(51, 50, "data", "259:1", "xfs /dev/nvme2n1 rw")
		}, want: volB + "@data"},
		{name: "stacked, listed in another order", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.nvme("nvme2n1", "259:1", volB)
			x.mountID(51, 50, "data", "259:1", "xfs /dev/nvme2n1 rw")
			x.mountID(50, 1, "data", "259:0", "xfs /dev/nvme1n1 rw")
		}, want: volB + "@data"},
		{name: "btrfs", plant: func(x *tree) { x.nvme("nvme1n1", "259:0", volA); x.mount("data", "0:45", "btrfs /dev/nvme1n1 rw") }, refused: "list the set under volumes"},
		{name: "btrfs, listed", plant: func(x *tree) { x.mount("data", "0:45", "btrfs /dev/nvme1n1 rw") }, listed: []string{volA, volB}, want: volA + "@ " + volB + "@"},
		{name: "btrfs over two, from sysfs", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.nvme("nvme2n1", "259:1", volB)
			for _, d := range []string{"nvme1n1", "nvme2n1"} {
				x.must(os.MkdirAll(x.sys("fs/btrfs/1234/devices"), 0o755))
				x.must(os.Symlink(x.dirs[d], x.sys("fs/btrfs/1234/devices", d)))
			}
			x.mount("data", "0:45", "btrfs /dev/nvme2n1 rw")
		}, want: volA + "@data " + volB + "@data"},
		{name: "one device, two volumes on the list", plant: func(x *tree) { x.disk("loop3", "7:3", "", ""); x.mount("data", "7:3", "xfs /dev/loop3 rw") },
			listed: []string{volA, volB}, refused: "list just those"},
		{name: "what is mounted is named like a disk", plant: func(x *tree) { x.mount("data", "0:45", "tmpfs sdf rw") }, refused: "list the set under volumes"},
		{name: "loop, listed", plant: func(x *tree) { x.disk("loop3", "7:3", "", ""); x.mount("data", "7:3", "xfs /dev/loop3 rw") }, listed: []string{volC}, want: volC + "@data"},
		{name: "loop, not listed", plant: func(x *tree) { x.disk("loop3", "7:3", "", ""); x.mount("data", "7:3", "xfs /dev/loop3 rw") }, refused: "lies on loop3, which does not say"},
		{name: "several silent", plant: func(x *tree) {
			x.disk("loop3", "7:3", "", "")
			x.disk("loop4", "7:4", "", "")
			x.mount("data", "7:3", "xfs /dev/loop3 rw")
			x.mount("log", "7:4", "xfs /dev/loop4 rw")
		}, mounts: []string{"data", "log"}, listed: []string{volA, volB}, want: volA + "@ " + volB + "@"},
		{name: "one silent, one not", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.disk("loop4", "7:4", "", "")
			x.mount("data", "259:0", "xfs /dev/nvme1n1 rw")
			x.mount("log", "7:4", "xfs /dev/loop4 rw")
		}, mounts: []string{"data", "log"}, listed: []string{volB, volA}, want: volA + "@data " + volB + "@log"},
		{name: "silent, and nothing left on the list", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.disk("loop4", "7:4", "", "")
			x.mount("data", "259:0", "xfs /dev/nvme1n1 rw")
			x.mount("log", "7:4", "xfs /dev/loop4 rw")
		}, mounts: []string{"data", "log"}, listed: []string{volA}, refused: "leave none for"},
		{name: "agreed", plant: func(x *tree) { x.nvme("nvme1n1", "259:0", volA); x.mount("data", "259:0", "xfs /dev/nvme1n1 rw") }, listed: []string{volA}, want: volA + "@data"},
		{name: "found and not listed", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.nvme("nvme2n1", "259:1", volB)
			x.mount("data", "259:0", "xfs /dev/nvme1n1 rw")
			x.mount("log", "259:1", "xfs /dev/nvme2n1 rw")
		}, mounts: []string{"data", "log"}, listed: []string{volA}, refused: volB + ", which the plan's volumes do not list"},
		{name: "listed and not found", plant: func(x *tree) { x.nvme("nvme1n1", "259:0", volA); x.mount("data", "259:0", "xfs /dev/nvme1n1 rw") }, listed: []string{volA, volB}, refused: "list " + volB + ", and no mount point"},
		{name: "listed and not attached", plant: func(*tree) {}, listed: []string{"vol-0dddddddddddddddd"}, mounts: []string{}, refused: "is not attached to this instance"},
		{name: "volumes alone", plant: func(*tree) {}, listed: []string{volB, volA}, mounts: []string{}, want: volB + "@ " + volA + "@"},
		{name: "serial that EC2 does not know", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", "vol-0dddddddddddddddd")
			x.mount("data", "259:0", "xfs /dev/nvme1n1 rw")
		}, refused: "EC2 does not know that volume"},
		{name: "serial that EC2 does not know, listed", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", "vol-0dddddddddddddddd")
			x.mount("data", "259:0", "xfs /dev/nvme1n1 rw")
		}, listed: []string{volA}, refused: "EC2 does not know that volume"},
		{name: "a serial of another kind", plant: func(x *tree) {
			x.disk("vda", "252:0", "QM0001", "")
			x.mount("data", "252:0", "xfs /dev/vda rw")
		}, refused: `its serial "QM0001" is no volume id`},
		{name: "instance store", plant: func(x *tree) {
			x.disk("nvme1n1", "259:0", "AWS1234", "Amazon EC2 NVMe Instance Storage")
			x.mount("data", "259:0", "xfs /dev/nvme1n1 rw")
		}, listed: []string{volA}, refused: "instance store"},
		{name: "instance store under LVM", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.disk("nvme2n1", "259:1", "AWS1234", "Amazon EC2 NVMe Instance Storage")
			x.layer("dm-0", "253:0", "vg-data", "nvme1n1", "nvme2n1")
			x.mount("data", "253:0", "xfs /dev/mapper/vg-data rw")
		}, refused: "instance store"},
		{name: "not a mount point", plant: func(x *tree) { x.at("data") }, refused: "is not a mount point"},
		{name: "nothing there", plant: func(*tree) {}, mounts: []string{"../none"}, refused: "does not exist"},
		{name: "symlink", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.mount("data", "259:0", "xfs /dev/nvme1n1 rw")
			x.must(os.Symlink(x.at("data"), filepath.Join(x.root, "mnt", "link")))
		}, mounts: []string{"link"}, want: volA + "@link"},
		{name: "a space in the path", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.mount("my data", "259:0", "xfs /dev/nvme1n1 rw")
			x.lines[0] = strings.Replace(x.lines[0], "my data", `my\040data`, 1)
		}, mounts: []string{"my data"}, want: volA + "@my data"},
		{name: "device without sysfs", plant: func(x *tree) { x.mount("data", "259:7", "xfs /dev/nvme7n1 rw") }, refused: "cannot tell which disk"},
		{name: "a loop of layers", plant: func(x *tree) {
			x.layer("dm-0", "253:0", "a")
			x.layer("dm-1", "253:1", "b", "dm-0")
			x.must(os.Symlink(x.dirs["dm-1"], filepath.Join(x.dirs["dm-0"], "slaves", "dm-1")))
			x.mount("data", "253:0", "xfs /dev/mapper/a rw")
		}, refused: "layers of devices"},
		{name: "two mounts of one volume", plant: func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.part("nvme1n1", "nvme1n1p1", "259:1")
			x.part("nvme1n1", "nvme1n1p2", "259:2")
			x.mount("data", "259:1", "xfs /dev/nvme1n1p1 rw")
			x.mount("log", "259:2", "xfs /dev/nvme1n1p2 rw")
		}, mounts: []string{"data", "log"}, want: volA + "@data"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := plant(t)
			tc.plant(x)
			if tc.mounts == nil {
				tc.mounts = []string{"data"}
			}
			if tc.attached == nil {
				tc.attached = attached
			}
			var mounts []string
			for _, m := range tc.mounts {
				mounts = append(mounts, filepath.Join(x.root, "mnt", m))
			}
			set, err := x.resolver().Resolve(t.Context(), mounts, tc.listed, tc.attached)
			if tc.refused != "" {
				var no *snapshot.RefusedError
				if !errors.As(err, &no) || !strings.Contains(no.Sentence, tc.refused) {
					t.Fatalf("it is not refused with %q: %v, %v", tc.refused, set, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range set {
				got = append(got, v.ID+"@"+strings.TrimPrefix(v.Mount, filepath.Join(x.root, "mnt")+"/"))
				for _, a := range tc.attached {
					if a.VolumeID == v.ID && a.DeviceName != v.DeviceName {
						t.Errorf("%s is %s, not %s", v.ID, a.DeviceName, v.DeviceName)
					}
				}
			}
			if d := cmp.Diff(tc.want, strings.Join(got, " ")); d != "" {
				t.Error(d)
			}
		})
	}
}

// The messages stay short on an instance with many volumes.
func TestManyAttached(t *testing.T) {
	var many []snapshot.Attachment
	for range 40 {
		many = append(many, snapshot.Attachment{VolumeID: volB, DeviceName: "/dev/sdx"})
	}
	_, err := (&Resolver{}).Resolve(t.Context(), nil, []string{volA}, many)
	if err == nil || !strings.Contains(err.Error(), "and 34 more") || len(err.Error()) > 400 {
		t.Error(err)
	}
	if many[6].VolumeID != volB {
		t.Error("the list was changed")
	}
}

// On the real kernel: a loop device, which says nothing about EBS.
func TestRealLoopDevice(t *testing.T) {
	mkfs, err := exec.LookPath("mkfs.ext4")
	if os.Geteuid() != 0 || err != nil {
		t.Skip("needs root and mkfs.ext4")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file, at := filepath.Join(dir, "disk"), filepath.Join(dir, "mnt")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 16<<20); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][]string{{mkfs, "-q", file}, {"mount", "-o", "loop", file, at}} {
		if out, err := exec.CommandContext(t.Context(), c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no loop device here: %v: %v: %s", c, err, out)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	})
	r := &Resolver{}
	_, err = r.Resolve(t.Context(), []string{at}, nil, attached)
	if err == nil || !strings.Contains(err.Error(), "lies on loop") {
		t.Errorf("without a list: %v", err)
	}
	set, err := r.Resolve(t.Context(), []string{at}, []string{volB}, attached)
	if err != nil || len(set) != 1 || set[0] != (snapshot.Volume{ID: volB, DeviceName: "/dev/sdg", Mount: at}) {
		t.Errorf("with a list: %v, %v", set, err)
	}
}
