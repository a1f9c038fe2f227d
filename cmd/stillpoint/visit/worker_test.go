package visit

import (
	"net"
	"strconv"
	"testing"

	"stillpoint/internal/doctor"
)

// What is said of http_addr is what a worker would meet that listens there.
func TestLookAtAddr(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	for addr, want := range map[string]doctor.Working{
		"":                   {},
		"127.0.0.1:0":        {},
		"127.0.0.2:" + taken: {Addr: "127.0.0.2:" + taken, Listens: true},
		":" + taken:          {Addr: ":" + taken, Listens: true}, // of which a worker wants all
		"0.0.0.0:" + taken:   {Addr: "0.0.0.0:" + taken, Listens: true},
		"127.0.0.1:" + taken: {Addr: "127.0.0.1:" + taken},
		"203.0.113.7:9180":   {Addr: "203.0.113.7:9180", Foreign: true},
		"[2001:db8::7]:9180": {Addr: "[2001:db8::7]:9180", Foreign: true},
		"localhost:" + taken: {Addr: "localhost:" + taken},
	} {
		var got doctor.Working
		lookAtAddr(addr, &got)
		if got.Addr != want.Addr || got.Listens != want.Listens || got.Foreign != want.Foreign || got.AddrErr != "" {
			t.Errorf("%s: %+v", addr, got)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var got doctor.Working
	if lookAtAddr(":"+taken, &got); got.Listens {
		t.Errorf("closed: %+v", got)
	}
}
