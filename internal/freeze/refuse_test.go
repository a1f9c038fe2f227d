package freeze

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

func TestRefusals(t *testing.T) {
	d := newDisk(t, "xfs", t.TempDir())
	plain := filepath.Join(d.path, "data")
	must(t, os.Mkdir(plain, 0o755))
	file := filepath.Join(d.path, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	readOnly := newDisk(t, "ext4", t.TempDir())
	run(t, "mount", "-o", "remount,ro", readOnly.path)
	root := mountAt(t, "/", "", unix.MS_BIND, "")
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(plain, link))

	for _, test := range []struct {
		name   string
		mounts []string
		config Config
		want   []string
	}{
		{"nothing", nil, Config{}, []string{"nothing to freeze"}},
		{"root", []string{d.path, "/"}, Config{}, []string{"/", "root file system"}},
		{"bind mount of the root", []string{root}, Config{}, []string{root, "root file system"}},
		{"tmpfs", []string{mountAt(t, "tmpfs", "tmpfs", 0, "")}, Config{}, []string{"type tmpfs", "cannot be frozen"}},
		{"overlay", []string{overlay(t, d)}, Config{}, []string{"type overlay", "cannot be frozen"}},
		{"a directory", []string{plain}, Config{}, []string{plain, "not a mount point", "name " + d.path}},
		{"a link to a directory", []string{link}, Config{}, []string{link, "not a mount point"}},
		{"a file", []string{file}, Config{}, []string{file, "not a directory"}},
		{"missing", []string{d.path + "/none"}, Config{}, []string{"none", "does not exist"}},
		{"relative", []string{"var/lib/mysql"}, Config{}, []string{"not an absolute path"}},
		{"read-only", []string{readOnly.path}, Config{}, []string{readOnly.path, "remount it read-write"}},
		{"state directory", []string{d.path}, Config{Forbidden: []string{plain}}, []string{d.path, plain, "move that elsewhere"}},
		{"state directory to be made", []string{d.path}, Config{Forbidden: []string{plain + "/a/b"}}, []string{d.path, "a/b"}},
		{"state directory on an overlay of it", []string{d.path}, Config{Forbidden: []string{overlay(t, d)}}, []string{d.path, "carries"}},
		{"state directory on a file of it", []string{d.path}, Config{Forbidden: []string{newDisk(t, "ext4", d.path).path}}, []string{d.path, "carries"}},
		{"executable", []string{d.path}, Config{Executable: file}, []string{d.path, "holds the program"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.config.Args = []string{"guardian"}
			guard, err := New(test.config).Arm(t.Context(), test.mounts)
			if err == nil {
				must(t, guard.Close())
			}
			wantRefusal(t, err, test.want...)
		})
	}
	must(t, arm(t, config(t), d).Close()) // without a reason it is not refused
}

func wantRefusal(t *testing.T, err error, want ...string) {
	t.Helper()
	var refused *snapshot.RefusedError
	if !errors.As(err, &refused) {
		t.Fatalf("Arm = %v, want a refusal", err)
	}
	t.Log(err)
	for _, s := range want {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("the refusal does not say %q", s)
		}
	}
}

func mountAt(t *testing.T, source, kind string, flags uintptr, data string) string {
	t.Helper()
	path := t.TempDir()
	must(t, unix.Mount(source, path, kind, flags, data))
	t.Cleanup(func() { must(t, unix.Unmount(path, 0)) })
	return path
}

// overlay mounts one whose upper directory is on d.
func overlay(t *testing.T, d *disk) string {
	t.Helper()
	dir, err := os.MkdirTemp(d.path, "overlay")
	must(t, err)
	for _, name := range []string{"lower", "upper", "work"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	return mountAt(t, "overlay", "overlay", 0, "lowerdir="+dir+"/lower,upperdir="+dir+"/upper,workdir="+dir+"/work")
}

// TestStandardStreams runs a worker whose standard error is what would be frozen.
func TestStandardStreams(t *testing.T) {
	d := newDisk(t, "ext4", t.TempDir())
	log, err := os.Create(filepath.Join(d.path, "log"))
	must(t, err)
	defer log.Close()
	cmd := exec.Command(selfPath, "worker", "", "1s", "", d.path)
	cmd.Stderr = log
	out, err := cmd.Output()
	if err == nil || !strings.Contains(string(out), "standard error") {
		t.Errorf("the worker says %q (%v), want a refusal for its standard error", out, err)
	}
	t.Logf("%s", out)
}

func TestOtherBuild(t *testing.T) {
	d := newDisk(t, "xfs", t.TempDir())
	own, err := os.ReadFile(selfPath)
	must(t, err)
	self, err := os.Open(selfPath)
	must(t, err)
	defer self.Close()
	note := buildNote(self)
	if note == nil {
		t.Skip("needs a build id in the test binary")
	}
	c := config(t)
	c.Executable = filepath.Join(t.TempDir(), "copy")
	must(t, os.WriteFile(c.Executable, own, 0o755))
	must(t, arm(t, c, d).Close()) // a copy is the same build

	other := strings.ReplaceAll(string(own), string(note[16:]), strings.Repeat("x", len(note)-16))
	c.Executable = filepath.Join(t.TempDir(), "other")
	must(t, os.WriteFile(c.Executable, []byte(other), 0o755))
	_, err = New(c).Arm(t.Context(), []string{d.path})
	wantRefusal(t, err, "not the same build")
}

func TestNoGuardian(t *testing.T) {
	d := newDisk(t, "xfs", t.TempDir())
	for _, test := range []struct{ program, want string }{
		{"/bin/false", "the guardian has ended"},
		{"/nonexistent/program", "no such file"},
	} {
		c := config(t)
		c.Executable = test.program
		_, err := New(c).Arm(t.Context(), []string{d.path})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Arm with %s = %v, want %q", test.program, err, test.want)
		}
		t.Log(err)
	}
	c := config(t)
	c.Executable, c.Args = "/bin/sleep", []string{"60"}
	ctx := bounded(t, 100*time.Millisecond)
	if _, err := New(c).Arm(ctx, []string{d.path}); err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("Arm with a silent guardian = %v, want the context's error", err)
	}
	cmd := exec.Command(selfPath, "guardian")
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 2 {
		t.Errorf("a guardian by hand ends with %v, want code 2", err)
	}
}
