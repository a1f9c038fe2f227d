package mysql

import (
	"testing"
	"time"
)

func TestLocate(t *testing.T) {
	each(t, func(t *testing.T, srv *testServer) {
		s := srv.connect(t, nil)
		start := time.Now()
		at, err := s.Locate(t.Context())
		t.Log(time.Since(start))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s doubt %q", at.Process, at.Doubt)
		for _, p := range at.Parts {
			t.Logf("%+v", p)
		}
		for _, p := range at.Neighbours {
			t.Logf("%+v", p)
		}
	})
}
