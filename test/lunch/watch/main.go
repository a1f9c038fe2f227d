// Command watch shows package lunch step by step: a host of its own, the package, three lines, the first snapshot. It leaves nothing behind.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"stillpoint/internal/timeline"
	"stillpoint/test/guest"
	"stillpoint/test/lunch"
	"stillpoint/test/rig"
)

func main() {
	signal.Ignore(syscall.SIGPIPE) // a reader that leaves must not keep us from cleaning up
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Println("\nlunch: FAILED:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	missing := rig.Missing()
	if lacks := guest.Missing(); lacks != "" {
		missing = append(missing, lacks)
	}
	if len(missing) > 0 {
		return fmt.Errorf("this machine lacks %s (it needs root: sudo make lunch)", strings.Join(missing, ", "))
	}
	dir, err := os.MkdirTemp("", "stillpoint-lunch-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	fmt.Println("== Making the package")
	deb, err := lunch.Package(ctx, dir, "v0.0.1")
	if err != nil {
		return err
	}
	fmt.Println("== A Debian 12 with MariaDB on an XFS volume, and a local AWS")
	h, err := lunch.Set(ctx, lunch.Config{Deb: deb, Say: say})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	r, err := h.Run(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("\n   SNS: %s\n\n", r.First.Subject)
	width, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		width = 100
	}
	if err := timeline.Write(os.Stdout, r.First.Result, timeline.Options{Width: min(width, 110)}); err != nil {
		return err
	}
	if r.First.Result.Status != "succeeded" {
		return fmt.Errorf("the request %s: %s", r.First.Result.Status, r.First.Result.Message)
	}
	fmt.Printf("\nFrom the installation to the first snapshot: %s\n", r.Took.Round(100*time.Millisecond))
	return nil
}

func say(step, command, said string) {
	fmt.Printf("\n== %s\n", step)
	for line := range strings.Lines(command) {
		fmt.Printf("   # %s\n", strings.TrimRight(line, "\n"))
	}
	for line := range strings.Lines(said) {
		// apt counts on one line, over and over, and says nothing else there.
		line = strings.TrimRight(line, "\n")
		if at := strings.LastIndexByte(line, '\r'); at >= 0 {
			if line = strings.TrimSpace(line[at+1:]); line == "" {
				continue
			}
		}
		fmt.Printf("     %s\n", line)
	}
}
