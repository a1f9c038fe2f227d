package volume

import (
	"strings"
	"testing"
)

func TestOthers(t *testing.T) {
	for _, tc := range []struct {
		name  string
		plant func(x *tree)
		want  []string
	}{
		{"alone", func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.mount("data", "259:0", "xfs /dev/nvme1n1 rw")
			x.nvme("nvme2n1", "259:5", volB)
			x.mount("elsewhere", "259:5", "xfs /dev/nvme2n1 rw")
		}, nil},
		{"a second mount of the same", func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.mount("data", "259:0", "xfs /dev/nvme1n1 rw")
			x.mount("again", "259:0", "xfs /dev/nvme1n1 rw")
		}, nil},
		{"another partition", func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.part("nvme1n1", "nvme1n1p1", "259:1")
			x.part("nvme1n1", "nvme1n1p2", "259:2")
			x.mount("data", "259:1", "xfs /dev/nvme1n1p1 rw")
			x.mount("logs", "259:2", "xfs /dev/nvme1n1p2 rw")
		}, []string{"/logs (on nvme1n1, as is "}},
		{"another logical volume", func(x *tree) {
			x.nvme("nvme1n1", "259:0", volA)
			x.nvme("nvme2n1", "259:1", volB)
			x.layer("dm-0", "252:0", "vg-data", "nvme1n1", "nvme2n1")
			x.layer("dm-1", "252:1", "vg-logs", "nvme2n1")
			x.mount("data", "252:0", "xfs /dev/mapper/vg-data rw")
			x.mount("logs", "252:1", "xfs /dev/mapper/vg-logs rw")
		}, []string{"/logs (on nvme2n1, as is "}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := plant(t)
			tc.plant(x)
			got, err := x.resolver().Others(t.Context(), []string{x.at("data")})
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(tc.want) {
				t.Fatalf("got %v, want %v", got, tc.want)
			}
			for i := range got {
				if !strings.Contains(got[i], tc.want[i]) {
					t.Errorf("got %q, want %q in it", got[i], tc.want[i])
				}
			}
		})
	}
}
