package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stillpoint/messages"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// relay is a port proxy in this process: a connection to it is passed on to the socket.
func relay(t *testing.T, address, to string) {
	t.Helper()
	l, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	rig.Relay(l, to)
}

// A server of which something lies outside the set, that cannot be seen, or that
// is not alone on the set, is refused before anything is held.
func TestTheRightServer(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{})
	proxy := filepath.Join(s.Dir, "proxy.sock")
	relay(t, proxy, s.Server.Socket())
	file, err := os.ReadFile(s.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	// plan is the scene's, with more in its mysql section.
	plan := func(name, more string) string {
		path := filepath.Join(s.Dir, name+".yaml")
		text := strings.Replace(string(file), "    mysql:\n", "    mysql:\n"+more, 1)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	direct := plan("direct", "")
	proxied := plan("proxied", "      socket: "+proxy+"\n")
	trusting := plan("trusting", "      socket: "+proxy+"\n      trust_location: true\n")
	run := func(config, id string, code int, says ...string) *messages.Result {
		t.Helper()
		out, errs, got := cli(t, ctx, s, "snapshot", "--config", config, "--json", "--request-id", id)
		if got != code {
			t.Fatalf("%s: exit %d, want %d\n%s\n%s", id, got, code, out, errs)
		}
		conforms(t, out)
		r, err := messages.UnmarshalResult([]byte(out))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %s %q", id, r.Message, r.Warnings)
		for _, words := range says {
			if !strings.Contains(r.Message+strings.Join(r.Warnings, "\n"), words) {
				t.Errorf("%s: it does not say %q: %s %q", id, words, r.Message, r.Warnings)
			}
		}
		if n := len(sets(t, ctx, s)[id]); code != 0 && n != 0 {
			t.Errorf("%s: %d snapshots", id, n)
		}
		return r
	}
	r := run(direct, "direct", 0)
	wants(t, r, messages.Succeeded, "", messages.ConsistencyApplication)
	if r.MySQL.LocationTrusted || len(r.Warnings) > 0 {
		t.Errorf("shown: %+v %q", r.MySQL, r.Warnings)
	}
	run(proxied, "proxied", 3, "it cannot be shown", fmt.Sprintf("(process %d)", os.Getpid()), "it is a proxy", "trust_location")
	r = run(trusting, "trusting", 0, "trust_location", "was not shown")
	wants(t, r, messages.Succeeded, "", messages.ConsistencyApplication)
	if !r.MySQL.LocationTrusted {
		t.Errorf("trusted: %+v", r.MySQL)
	}

	// A table elsewhere: what is restored would lack it.
	elsewhere := filepath.Join(s.Dir, "elsewhere")
	if err := os.Mkdir(elsewhere, 0o777); err != nil {
		t.Fatal(err)
	}
	sql := func(statement string) {
		t.Helper()
		if _, err := s.Server.DB().ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	sql("CREATE DATABASE d")
	sql("CREATE TABLE d.x (i INT) ENGINE=InnoDB DATA DIRECTORY='" + elsewhere + "'")
	run(direct, "elsewhere", 3, "datadir", "/d/x.isl", "such a snapshot cannot be restored", "freeze or no_freeze")
	sql("DROP TABLE d.x")
	run(direct, "back", 0)

	// A second server on the volume: it would not be locked.
	second, err := rig.StartMariaDB(ctx, rig.ServerConfig{Datadir: filepath.Join(s.Volumes[0].Mount, "second"), RunDir: filepath.Join(s.Dir, "run-2"), ServerID: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Stop(context.WithoutCancel(ctx)) }()
	says := []string{fmt.Sprintf("mariadbd (process %d, in %s", second.PID(), second.Datadir()), "would not be locked"}
	run(direct, "second", 3, says...)
	run(trusting, "second-trusting", 3, "would not be locked") // one of the two may be it, and not both
	if err := second.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	run(direct, "alone-again", 0)
}
