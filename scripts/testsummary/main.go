// Command testsummary reads the output of `go test -json` from standard input
// and prints what a person wants of it: each package in a line as it ends, the
// output of what failed, what was left out and why, and a count at the end.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

type event struct {
	Action, Package, Test, Output, ImportPath, FailedBuild string
	Elapsed                                                float64
}

type key struct{ pkg, test string }

func main() {
	if err := run(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
		os.Exit(1)
	}
}

func run(in io.Reader) error {
	output := map[key][]string{}
	passed, failed, skipped := 0, 0, 0
	reasons := map[string]int{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text())
			continue
		}
		k := key{e.Package, e.Test}
		switch e.Action {
		case "output":
			output[k] = append(output[k], e.Output)
		case "build-output":
			fmt.Print(e.Output)
		case "pass", "fail", "skip":
			out := strings.Join(output[k], "")
			delete(output, k)
			if e.Test == "" {
				if e.Action == "fail" {
					fmt.Print(out)
					if e.FailedBuild != "" || !strings.Contains(out, "FAIL") {
						failed++
					}
				}
				if e.Action != "skip" { // a package without tests
					fmt.Printf("%-5s %s  %.1fs\n", e.Action, strings.TrimPrefix(e.Package, "stillpoint/"), e.Elapsed)
				}
				continue
			}
			switch e.Action {
			case "pass":
				passed++
			case "fail":
				failed++
				fmt.Print(out)
			case "skip":
				skipped++
				reasons[reason(out)]++
			}
		}
	}
	for _, r := range slices.Sorted(keys(reasons)) {
		fmt.Printf("left out: %s (%d)\n", r, reasons[r])
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	return lines.Err()
}

func keys(m map[string]int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// reason is the line that t.Skip printed.
func reason(out string) string {
	for line := range strings.SplitSeq(out, "\n") {
		line = strings.TrimSpace(line)
		if _, after, ok := strings.Cut(line, ".go:"); ok {
			if _, text, ok := strings.Cut(after, ": "); ok {
				return text
			}
		}
	}
	return "no reason given"
}
