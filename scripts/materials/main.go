// Command materials says what a built program is made of, by what the Go linker wrote into it: a list for machines (SPDX 2.3 as
// JSON), and the licenses of all modules in it, which whoever hands on the program has to hand on as well. The same
// program gives the same bytes.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	sbom := flag.String("sbom", "", "write the SPDX document to this file")
	version := flag.String("version", "", "what the program calls its version; -trimpath keeps it out of what the linker writes")
	notices := flag.String("notices", "", "write our license and those of the modules to this file")
	flag.Parse()
	if err := run(flag.Arg(0), *version, *sbom, *notices); err != nil {
		fmt.Fprintln(os.Stderr, "materials:", err)
		os.Exit(1)
	}
}

func run(program, version, sbom, notices string) error {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return fmt.Errorf("cannot read what %s was built from: %w", program, err)
	}
	if sbom != "" {
		doc, err := document(program, version, info)
		if err != nil {
			return err
		}
		if err := os.WriteFile(sbom, doc, 0o644); err != nil {
			return fmt.Errorf("cannot write the list: %w", err)
		}
	}
	if notices != "" {
		text, err := licenses(info)
		if err != nil {
			return err
		}
		if err := os.WriteFile(notices, []byte(text), 0o644); err != nil {
			return fmt.Errorf("cannot write the licenses: %w", err)
		}
	}
	return nil
}

// module is what was really built: the replacement where there is one.
func module(m *debug.Module) *debug.Module {
	if m.Replace != nil {
		return m.Replace
	}
	return m
}

// licenses joins our license and what the modules have in their first folder.
func licenses(info *debug.BuildInfo) (string, error) {
	own, err := os.ReadFile("LICENSE")
	if err != nil {
		return "", fmt.Errorf("cannot read our license: %w", err)
	}
	var b strings.Builder
	b.WriteString("Stillpoint is licensed under the Apache License, Version 2.0, below. The program holds the following modules, each under its own\nlicense, which follows; their sources are at the addresses by which they are named.\n\n")
	for _, m := range info.Deps {
		fmt.Fprintf(&b, "  %s %s\n", module(m).Path, module(m).Version)
	}
	fmt.Fprintf(&b, "  the Go runtime and standard library %s\n\n", info.GoVersion)
	rule := strings.Repeat("=", 78) + "\n"
	fmt.Fprintf(&b, "%sStillpoint\n%s%s\n", rule, rule, own)
	goroot, err := output("go", "env", "GOROOT")
	if err != nil {
		return "", err
	}
	sources := []struct{ name, dir string }{{"The Go runtime and standard library", goroot}}
	listed, err := output("go", "list", "-m", "-f", "{{.Path}} {{.Dir}}", "all")
	if err != nil {
		return "", err
	}
	dirs := map[string]string{}
	for line := range strings.Lines(listed) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		dirs[path] = dir
	}
	for _, m := range info.Deps {
		dir := dirs[m.Path]
		if dir == "" {
			return "", fmt.Errorf("cannot find the sources of %s %s: build the program here before", module(m).Path, module(m).Version)
		}
		sources = append(sources, struct{ name, dir string }{module(m).Path, dir})
	}
	seen := map[string]string{}
	for _, s := range sources {
		text, err := texts(s.dir)
		if err != nil {
			return "", fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(&b, "%s%s\n%s", rule, s.name, rule)
		if first, ok := seen[text]; ok {
			fmt.Fprintf(&b, "as for %s\n\n", first)
			continue
		}
		seen[text] = s.name
		b.WriteString(text + "\n")
	}
	return b.String(), nil
}

// texts reads the licenses and notices of a folder, or of the nearest one
// above it: a module may be a folder of a repository that has one license.
func texts(dir string) (string, error) {
	for d := dir; ; d = filepath.Dir(d) {
		entries, err := os.ReadDir(d)
		if err != nil {
			return "", fmt.Errorf("cannot look for a license: %w", err)
		}
		var b strings.Builder
		for _, e := range entries {
			name := strings.ToUpper(e.Name())
			if e.Type().IsRegular() && slices.ContainsFunc([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
				text, err := os.ReadFile(filepath.Join(d, e.Name()))
				if err != nil {
					return "", fmt.Errorf("cannot read a license: %w", err)
				}
				b.WriteString(strings.TrimSpace(string(text)) + "\n\n")
			}
		}
		switch {
		case b.Len() > 0:
			return b.String(), nil
		case strings.Contains(filepath.Base(d), "@") || d == filepath.Dir(d):
			return "", fmt.Errorf("there is no license in %s", dir)
		}
	}
}

func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output() //nolint:noctx // ends by itself
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return "", fmt.Errorf("cannot run %s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

type (
	spdx struct {
		SPDXID            string         `json:"SPDXID"`
		Version           string         `json:"spdxVersion"`
		Name              string         `json:"name"`
		DataLicense       string         `json:"dataLicense"`
		DocumentNamespace string         `json:"documentNamespace"`
		CreationInfo      creation       `json:"creationInfo"`
		DocumentDescribes []string       `json:"documentDescribes"`
		Packages          []spdxPackage  `json:"packages"`
		Relationships     []relationship `json:"relationships"`
	}
	creation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		SPDXID           string      `json:"SPDXID"`
		Name             string      `json:"name"`
		VersionInfo      string      `json:"versionInfo"`
		DownloadLocation string      `json:"downloadLocation"`
		FilesAnalyzed    bool        `json:"filesAnalyzed"`
		LicenseConcluded string      `json:"licenseConcluded"`
		LicenseDeclared  string      `json:"licenseDeclared"`
		CopyrightText    string      `json:"copyrightText"`
		Comment          string      `json:"comment,omitempty"`
		Checksums        []checksum  `json:"checksums,omitempty"`
		ExternalRefs     []reference `json:"externalRefs,omitempty"`
	}
	checksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	reference struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	relationship struct {
		Element string `json:"spdxElementId"`
		Type    string `json:"relationshipType"`
		Related string `json:"relatedSpdxElement"`
	}
)

const unknown = "NOASSERTION"

// document lists the program, the toolchain's library and every module in it.
func document(program, version string, info *debug.BuildInfo) ([]byte, error) {
	f, err := os.Open(program)
	if err != nil {
		return nil, fmt.Errorf("cannot open the program: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("cannot read the program: %w", err)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	created, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("SOURCE_DATE_EPOCH is to be the time of the commit in seconds: %w", err)
	}
	arch := setting(info, "GOARCH")
	main := spdxPackage{
		SPDXID: "SPDXRef-stillpoint", Name: "stillpoint", VersionInfo: version, DownloadLocation: unknown,
		LicenseConcluded: "Apache-2.0", LicenseDeclared: "Apache-2.0", CopyrightText: unknown,
		Comment:   "the program for linux/" + arch + ", built by " + info.GoVersion + " as a static binary",
		Checksums: []checksum{{"SHA256", sum}},
	}
	d := spdx{
		SPDXID: "SPDXRef-DOCUMENT", Version: "SPDX-2.3", Name: "stillpoint-" + version + "-linux-" + arch, DataLicense: "CC0-1.0",
		DocumentNamespace: "https://spdx.org/spdxdocs/stillpoint-" + sum,
		CreationInfo:      creation{time.Unix(created, 0).UTC().Format(time.RFC3339), []string{"Tool: stillpoint-materials"}},
		DocumentDescribes: []string{main.SPDXID}, Packages: []spdxPackage{main},
		Relationships: []relationship{{"SPDXRef-DOCUMENT", "DESCRIBES", main.SPDXID}},
	}
	add := func(id, name, version, location, purl, comment string) {
		d.Packages = append(d.Packages, spdxPackage{
			SPDXID: id, Name: name, VersionInfo: version, DownloadLocation: location, LicenseConcluded: unknown, LicenseDeclared: unknown,
			CopyrightText: unknown, Comment: comment, ExternalRefs: []reference{{"PACKAGE-MANAGER", "purl", purl}},
		})
		d.Relationships = append(d.Relationships, relationship{main.SPDXID, "CONTAINS", id})
	}
	toolchain := strings.TrimPrefix(info.GoVersion, "go")
	add("SPDXRef-stdlib", "stdlib", toolchain, "https://go.dev/dl/", "pkg:golang/stdlib@"+toolchain, "the Go runtime and standard library")
	for i, m := range info.Deps {
		m = module(m)
		add("SPDXRef-module-"+strconv.Itoa(i+1), m.Path, m.Version, "https://proxy.golang.org/"+m.Path+"/@v/"+m.Version+".zip",
			"pkg:golang/"+strings.ToLower(m.Path)+"@"+m.Version, "go.sum: "+m.Sum)
	}
	b, err := json.MarshalIndent(d, "", "  ")
	return append(b, '\n'), err
}

func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
