package volume

import (
	"os"
	"strings"
	"testing"

	"stillpoint/internal/snapshot"
)

// Where something lies to the set: a plan that freezes "data", with volume A
// (and B where it is layered) in the set, and C elsewhere.
func TestCover(t *testing.T) {
	for _, tc := range []struct {
		name   string
		plant  func(x *tree)
		system snapshot.FileSystem
		// only leaves the mount out of the plan: the set is by volume ids alone.
		only          bool
		inSet, frozen bool
		on            string
		noFreeze      string // a mount
	}{
		{name: "the frozen one itself", plant: func(x *tree) {}, system: snapshot.FileSystem{Major: 259, Minor: 0, Type: "xfs", Source: "/dev/nvme1n1"}, inSet: true, frozen: true, on: "nvme1n1 (" + volA + ")"},
		{name: "known by its number alone", plant: func(x *tree) {}, system: snapshot.FileSystem{Major: 259, Minor: 0}, inSet: true, frozen: true, on: "nvme1n1"},
		{name: "another volume", plant: func(x *tree) { x.nvme("nvme2n1", "259:5", volC) }, system: snapshot.FileSystem{Major: 259, Minor: 5, Type: "xfs", Source: "/dev/nvme2n1", Mountpoint: "/logs"}, on: "nvme2n1 (" + volC + "), mounted on /logs"},
		{name: "another partition of the volume", plant: func(x *tree) { x.part("nvme1n1", "nvme1n1p2", "259:7") }, system: snapshot.FileSystem{Major: 259, Minor: 7, Type: "xfs"}, inSet: true, on: "nvme1n1"},
		{name: "a volume of the list, by its serial", plant: func(x *tree) {}, only: true, system: snapshot.FileSystem{Major: 259, Minor: 0, Type: "xfs"}, inSet: true, on: "nvme1n1"},
		{name: "a device that says nothing, under a mount of the plan", plant: func(x *tree) { x.disk("loop3", "7:3", "", ""); x.mount("quiet", "7:3", "xfs /dev/loop3 rw") }, noFreeze: "quiet",
			system: snapshot.FileSystem{Major: 7, Minor: 3, Type: "xfs"}, inSet: true, on: "loop3"},
		{name: "another device that says nothing", plant: func(x *tree) { x.disk("loop3", "7:3", "", "") }, system: snapshot.FileSystem{Major: 7, Minor: 3, Type: "xfs"}, on: "loop3"},
		{name: "striped over the set and more", plant: func(x *tree) {
			x.nvme("nvme2n1", "259:5", volC)
			x.layer("dm-0", "253:0", "vg-x", "nvme1n1", "nvme2n1")
		}, system: snapshot.FileSystem{Major: 253, Minor: 0, Type: "xfs"}, on: "nvme1n1 (" + volA + "), nvme2n1 (" + volC + ")"},
		{name: "an external log elsewhere", plant: func(x *tree) { x.nvme("nvme2n1", "259:5", volC) },
			system: snapshot.FileSystem{Major: 259, Minor: 0, Type: "xfs", Options: "rw,logdev=/dev/nvme2n1"}, frozen: true, on: "nvme2n1"},
		{name: "memory", plant: func(x *tree) {}, system: snapshot.FileSystem{Minor: 30, Type: "tmpfs", Source: "tmpfs"}, on: "tmpfs (tmpfs), which is no volume"},
		{name: "a network", plant: func(x *tree) {}, system: snapshot.FileSystem{Minor: 31, Type: "nfs4", Source: "nas:/db"}, on: "nfs4 (nas:/db), which is no volume"},
		{name: "memory that the plan names", plant: func(x *tree) { x.mount("quiet", "0:30", "tmpfs tmpfs rw") }, noFreeze: "quiet", system: snapshot.FileSystem{Minor: 30, Type: "tmpfs", Source: "tmpfs"}, on: "which is no volume"},
		{name: "btrfs that the plan names", plant: func(x *tree) { x.mount("quiet", "0:45", "btrfs /dev/nvme9n1 rw") }, noFreeze: "quiet", system: snapshot.FileSystem{Minor: 45, Type: "btrfs", Source: "/dev/nvme9n1"}, inSet: true, on: "btrfs"},
		{name: "btrfs that it does not name", plant: func(x *tree) { x.mount("quiet", "0:45", "btrfs /dev/nvme9n1 rw") }, noFreeze: "quiet", system: snapshot.FileSystem{Minor: 46, Type: "btrfs", Source: "/dev/nvme9n1"}, on: "btrfs"},
		{name: "btrfs over the set and more, from sysfs", plant: func(x *tree) {
			x.nvme("nvme2n1", "259:5", volC)
			for _, d := range []string{"nvme1n1", "nvme2n1"} {
				x.must(os.MkdirAll(x.sys("fs/btrfs/1234/devices"), 0o755))
				x.must(os.Symlink(x.dirs[d], x.sys("fs/btrfs/1234/devices", d)))
			}
		}, system: snapshot.FileSystem{Minor: 45, Type: "btrfs", Source: "/dev/nvme1n1"}, on: "nvme2n1"},
		{name: "a device that is gone", plant: func(x *tree) {}, system: snapshot.FileSystem{Major: 8, Minor: 1, Type: "xfs", Source: "/dev/sdz1"}, on: "/dev/sdz1 of which no disk can be told"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := plant(t)
			x.nvme("nvme1n1", "259:0", volA)
			x.mount("data", "259:0", "xfs /dev/nvme1n1 rw")
			tc.plant(x)
			set := snapshot.Set{Freeze: []string{x.at("data")}, Volumes: []snapshot.Volume{{ID: volA}}, Attached: attached}
			if tc.only {
				set.Freeze = nil
			}
			if tc.noFreeze != "" {
				set.NoFreeze = []string{x.at(tc.noFreeze)}
			}
			got, err := x.resolver().Cover(t.Context(), set, []snapshot.FileSystem{tc.system})
			if err != nil || len(got) != 1 {
				t.Fatal(got, err)
			}
			if got[0].InSet != tc.inSet || got[0].Frozen != tc.frozen || !strings.Contains(got[0].On, tc.on) {
				t.Errorf("got %+v, want in the set %v, frozen %v, on %q", got[0], tc.inSet, tc.frozen, tc.on)
			}
		})
	}
}
