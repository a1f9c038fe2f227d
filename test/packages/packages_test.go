// Package packages installs, upgrades, removes and purges what `make package` makes, in a Debian of its own, and looks at all that is in it.
package packages

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"stillpoint/test/guest"
)

// built is where the packages of this machine's architecture are, in two versions: 0.1.0 as packages alone, 0.2.0 as all that a release has.
var built string

const older, newer = "0.1.0", "0.2.0"

// epoch is the time of all files: 2026-01-01.
const epoch = "1767225600"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if missing() != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "stillpoint-packages-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		built = dir
		err = pack(context.Background(), "../..", "package", "VERSION=v"+older, "ARCHES="+runtime.GOARCH, "DIST="+dir)
	}
	if err == nil {
		err = pack(context.Background(), "../..", "release", "VERSION=v"+newer, "DIST="+dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// pack runs the script in a folder with the sources.
func pack(ctx context.Context, sources, what string, env ...string) error {
	cmd := exec.CommandContext(ctx, "scripts/package.sh", what)
	cmd.Dir = sources
	cmd.Env = append(append(os.Environ(), "SOURCE_DATE_EPOCH="+epoch), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot make the packages: %w: %s", err, out)
	}
	return nil
}

// missing says what this machine lacks; "" where it lacks nothing.
func missing() string {
	if lacks := guest.Missing(); lacks != "" {
		return lacks
	}
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		return "dpkg-deb"
	}
	return ""
}

// needs leaves a test out where this machine cannot do it; with CI=true that is an error.
func needs(t *testing.T) context.Context {
	t.Helper()
	if lacks := missing(); lacks != "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("this machine lacks %s", lacks)
		}
		t.Skipf("this machine lacks %s", lacks)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// deb is the .deb of a version for this machine.
func deb(version string) string {
	return filepath.Join(built, "stillpoint_"+version+"-1_"+runtime.GOARCH+".deb")
}

// rpm is the .rpm of a version for this machine.
func rpm(version string) string {
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	return filepath.Join(built, "stillpoint-"+version+"-1."+arch+".rpm")
}

// host is a guest with commands that must succeed.
type host struct {
	*guest.Guest
	t   *testing.T
	ctx context.Context
}

// boot boots a guest that is closed with the test, with files of this machine in /root.
func boot(t *testing.T, ctx context.Context, c guest.Config, files ...string) host {
	t.Helper()
	g, err := guest.Boot(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Write(filepath.Join("/root", filepath.Base(name)), string(b), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return host{g, t, ctx}
}

// do runs a script and returns what it said.
func (h host) do(script string) string {
	h.t.Helper()
	out, err := h.Shell(h.ctx, script)
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// says runs a script that has to say exactly this.
func (h host) says(script, want string) {
	h.t.Helper()
	if got := h.do(script); got != want {
		h.t.Errorf("%s\ngot:  %s\nwant: %s", script, got, want)
	}
}

// apt installs a version.
func (h host) apt(version string) string {
	h.t.Helper()
	return h.do("apt-get install -qq -y --allow-downgrades /root/" + filepath.Base(deb(version)))
}
