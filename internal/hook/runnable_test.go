package hook

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

// What the kernel would not start is refused while nothing is held, and what it
// starts is not.
func TestCheckKnowsWhatTheKernelStarts(t *testing.T) {
	dir := t.TempDir()
	noexec := filepath.Join(dir, "noexec")
	if err := os.Mkdir(noexec, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", noexec, "tmpfs", unix.MS_NOEXEC, "mode=0700,size=1m"); err != nil {
		t.Logf("without a noexec mount: %v", err)
		noexec = ""
	} else {
		t.Cleanup(func() {
			if err := unix.Unmount(noexec, 0); err != nil {
				t.Error(err)
			}
		})
	}
	elf, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, dir, text, refused string }{
		{"a script", dir, "#!/bin/sh\nexit 0\n", ""},
		{"with an argument", dir, "#! /bin/sh -e\nexit 0\n", ""},
		{"with a tab", dir, "#!/bin/sh\t-e\nexit 0\n", ""},
		{"by env", dir, "#!/usr/bin/env sh\nexit 0\n", ""},
		{"without an end of line", dir, "#!/bin/true", ""},
		{"no first line", dir, "exit 0\n", "such as #!/bin/sh"},
		{"umlauts", dir, strings.Repeat("\u00e4", 200) + "\n", "such as #!/bin/sh"},
		{"empty", dir, "", "such as #!/bin/sh"},
		{"no interpreter", dir, "#!/nowhere/python\n", `"/nowhere/python", which does not exist`},
		{"written on Windows", dir, "#!/bin/sh\r\nexit 0\r\n", "carriage returns"},
		{"noexec", noexec, "#!/bin/sh\nexit 0\n", "mounted noexec"},
		{"a program", dir, string(elf), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.dir == "" {
				t.Skip("nothing can be mounted here")
			}
			path := filepath.Join(tc.dir, strings.ReplaceAll(tc.name, " ", "-"))
			if err := os.WriteFile(path, []byte(tc.text), 0o700); err != nil {
				t.Fatal(err)
			}
			c := &Command{Argv: []string{path, "-test.run=^$"}, Timeout: 20 * time.Second, Stage: "pre_freeze"}
			err := c.Check()
			if tc.refused == "" && err != nil || tc.refused != "" && (!errors.As(err, new(*snapshot.RefusedError)) || !strings.Contains(err.Error(), tc.refused)) {
				t.Errorf("want %q: %v", tc.refused, err)
			}
			if _, ran := c.Run(t.Context()); (ran == nil) != (tc.refused == "") {
				t.Errorf("the kernel says: %v", ran)
			}
		})
	}
}
