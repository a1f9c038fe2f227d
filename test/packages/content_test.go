package packages

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"stillpoint/test/guest"
)

// files is what is installed, beside directories of the system's.
const files = `drwxr-x--- root/root ./etc/stillpoint/
-rwxr-xr-x root/root ./usr/bin/stillpoint
-rw-r--r-- root/root ./usr/lib/systemd/system/stillpoint.service
-rw-r--r-- root/root ./usr/lib/tmpfiles.d/stillpoint.conf
-rw-r--r-- root/root ./usr/share/bash-completion/completions/stillpoint
-rw-r--r-- root/root ./usr/share/doc/stillpoint/changelog.gz
-rw-r--r-- root/root ./usr/share/doc/stillpoint/copyright
-rw-r--r-- root/root ./usr/share/doc/stillpoint/stillpoint.yaml
-rw-r--r-- root/root ./usr/share/fish/vendor_completions.d/stillpoint.fish
-rw-r--r-- root/root ./usr/share/man/man1/stillpoint.1.gz
-rw-r--r-- root/root ./usr/share/man/man5/stillpoint.yaml.5.gz
-rw-r--r-- root/root ./usr/share/man/man7/stillpoint.7.gz
-rw-r--r-- root/root ./usr/share/zsh/vendor-completions/_stillpoint
`

func TestContent(t *testing.T) {
	needs(t)
	for _, arch := range []string{"amd64", "arm64"} {
		name := filepath.Join(built, "stillpoint_"+newer+"-1_"+arch+".deb")
		out, err := exec.Command("dpkg-deb", "--contents", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for line := range strings.Lines(string(out)) {
			f := strings.Fields(line)
			if !strings.HasSuffix(f[5], "/") || strings.Contains(f[5], "etc/stillpoint/") {
				fmt.Fprintln(&got, f[0], f[1], f[5])
			}
			if f[3] != "2026-01-01" {
				t.Errorf("%s: %s is of %s, not of the commit", arch, f[5], f[3])
			}
		}
		if got.String() != files {
			t.Errorf("%s: got\n%s\nwant\n%s", arch, got.String(), files)
		}
		dir := t.TempDir()
		if out, err := exec.Command("dpkg-deb", "--extract", name, dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		program, err := elf.Open(filepath.Join(dir, "usr/bin/stillpoint"))
		if err != nil {
			t.Fatal(err)
		}
		defer program.Close()
		if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]; program.Machine != want {
			t.Errorf("the program for %s is for %s", arch, program.Machine)
		}
		for _, p := range program.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("the program for %s is not static", arch)
			}
		}
		// By which the guardian knows its worker.
		if program.Section(".note.go.buildid") == nil {
			t.Errorf("the program for %s has no build id", arch)
		}
		license, err := os.ReadFile(filepath.Join(dir, "usr/share/doc/stillpoint/copyright"))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"Apache License", "github.com/go-sql-driver/mysql", "Mozilla Public License", "The Go Authors"} {
			if !strings.Contains(string(license), part) {
				t.Errorf("the licenses lack %q", part)
			}
		}
	}
}

// A release has all that it should, and its sums are right.
func TestRelease(t *testing.T) {
	needs(t)
	sums, err := os.ReadFile(filepath.Join(built, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{
		"stillpoint-0.2.0-1.aarch64.rpm": true, "stillpoint-0.2.0-1.x86_64.rpm": true, "stillpoint_0.2.0-1_amd64.deb": true, "stillpoint_0.2.0-1_arm64.deb": true,
		"stillpoint-0.2.0-linux-amd64.tar.gz": true, "stillpoint-0.2.0-linux-arm64.tar.gz": true,
		"stillpoint-0.2.0-linux-amd64.spdx.json": true, "stillpoint-0.2.0-linux-arm64.spdx.json": true,
	}
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		b, err := os.ReadFile(filepath.Join(built, name))
		if err != nil || !want[name] || fmt.Sprintf("%x", sha256.Sum256(b)) != sum {
			t.Errorf("%s: %v", line, err)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("SHA256SUMS lacks %v", want)
	}
	// What is in the program stands in the list, and the list is of this program.
	b, err := os.ReadFile(filepath.Join(built, "stillpoint-0.2.0-linux-"+runtime.GOARCH+".spdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		SPDXVersion  string
		CreationInfo struct{ Created string }
		Packages     []struct {
			SPDXID, Name, VersionInfo string
			Checksums                 []struct{ ChecksumValue string }
		}
		Relationships []struct{ RelatedSPDXElement string }
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, p := range doc.Packages {
		have[p.Name] = p.VersionInfo
	}
	listed, err := exec.Command("go", "version", "-m", extracted(t)).Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := 0
	for line := range strings.Lines(string(listed)) {
		if f := strings.Fields(line); len(f) >= 3 && f[0] == "dep" {
			if modules++; have[f[1]] != f[2] {
				t.Errorf("the list has %s %q, the program %s", f[1], have[f[1]], f[2])
			}
		}
	}
	program, err := os.ReadFile(extracted(t))
	if err != nil {
		t.Fatal(err)
	}
	if modules < 20 || len(doc.Packages) != modules+2 || len(doc.Relationships) != modules+2 || doc.SPDXVersion != "SPDX-2.3" || doc.CreationInfo.Created != "2026-01-01T00:00:00Z" ||
		have["stillpoint"] != "v"+newer || doc.Packages[0].Checksums[0].ChecksumValue != fmt.Sprintf("%x", sha256.Sum256(program)) {
		t.Errorf("%d modules in the program, %d packages in the list: %+v", modules, len(doc.Packages), doc.Packages[0])
	}
}

// extracted is the program of the archive.
func extracted(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-C", dir, "-xzf", filepath.Join(built, "stillpoint-0.2.0-linux-"+runtime.GOARCH+".tar.gz")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(dir, "stillpoint-0.2.0-linux-"+runtime.GOARCH, "stillpoint")
}

// The same sources give the same bytes, elsewhere, with another umask and in another time zone.
func TestReproducible(t *testing.T) {
	ctx := needs(t)
	dir := t.TempDir()
	sources, again := filepath.Join(dir, "elsewhere"), filepath.Join(dir, "again")
	// What git knows, as it is now, and what it would take in.
	script := `umask 077; mkdir "$1"; cd ../..; git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done | tar -c --null -T - | tar -x --no-same-permissions -C "$1"`
	if out, err := exec.CommandContext(ctx, "bash", "-ec", script, "bash", sources).CombinedOutput(); err != nil {
		t.Fatalf("cannot copy the sources: %v: %s", err, out)
	}
	if err := pack(ctx, sources, "release", "VERSION=v"+newer, "DIST="+again, "TZ=Asia/Kolkata", "LC_ALL=C.UTF-8"); err != nil {
		t.Fatal(err)
	}
	one, err := os.ReadFile(filepath.Join(built, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := os.ReadFile(filepath.Join(again, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	if string(one) != string(two) {
		t.Errorf("the same sources gave\n%s\nand\n%s", one, two)
	}
}

// exposure is what systemd makes of the unit's hardening, from 0 (safe) to 100: a line of it that is lost shows. Much of it is left out on purpose: see the unit.
const exposure = 58

func TestSecurity(t *testing.T) {
	ctx := needs(t)
	h := boot(t, ctx, guest.Config{Tree: guest.Host, Plain: true}, deb(newer))
	h.apt(newer)
	h.do(fmt.Sprintf("systemd-analyze security --offline=yes --no-pager --threshold=%d /usr/lib/systemd/system/stillpoint.service", exposure))
	h.do(`systemd-tmpfiles --create --dry-run stillpoint.conf >/dev/null 2>&1 || systemd-tmpfiles --create stillpoint.conf`)
}

// The manual pages as mandoc reads them, and completion in the shells themselves.
func TestManualAndCompletion(t *testing.T) {
	ctx := needs(t)
	h := boot(t, ctx, guest.Config{Tree: guest.Tools, Plain: true}, deb(newer))
	h.do("dpkg -i --force-depends " + "/root/" + filepath.Base(deb(newer)))
	h.write("/etc/stillpoint/stillpoint.yaml", "plans: {weekly: {freeze: [/a]}, nightly: {freeze: [/a]}}\n")
	for _, page := range []string{"man1/stillpoint.1", "man5/stillpoint.yaml.5", "man7/stillpoint.7"} {
		h.says("zcat /usr/share/man/"+page+".gz | mandoc -T lint -W warning || true", "")
	}
	h.says("fish -c \"complete -C'stillpoint sn'\" | cut -f1", "snapshot")
	h.says("fish -c \"complete -C'stillpoint snapshot '\" | cut -f1 | sort", "nightly\nweekly")
	bash := `bash -c '. /usr/share/bash-completion/completions/stillpoint; COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _stillpoint; echo "${COMPREPLY[*]}"'`
	h.says(fmt.Sprintf(bash, "stillpoint snapshot --dr"), "--dry-run")
	h.says(fmt.Sprintf(bash, "stillpoint worker --log-level = wa"), "warn")
	h.says(fmt.Sprintf(bash, `stillpoint send ""`), "nightly weekly")
	// A zsh with a terminal, and the TAB key.
	h.says(`zsh -f -c 'zmodload zsh/zpty; zpty z zsh -f -i
zpty -w z "PS1=; autoload -U compinit; compinit -u; compdef _stillpoint stillpoint; echo ready"
zpty -r -m z said "*ready*ready*"
zpty -w -n z "stillpoint snapshot --dry"$'"'"'\t'"'"'"X"
zpty -r -m z said "*dry-run*X*" && echo completed'`, "completed")
}
