// Command demo shows the main job end to end on this machine: a real XFS, a
// real MariaDB under load and a local AWS; two requests; and a restore that is
// compared with the binlog, row by row. It leaves nothing behind, also when
// it is interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"stillpoint/internal/timeline"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

func main() {
	program := flag.String("stillpoint", "bin/stillpoint", "the program to show")
	picture := flag.String("picture", "", "write the second timeline as an SVG to this file")
	flag.Parse()
	signal.Ignore(syscall.SIGPIPE) // a reader that leaves must not keep us from cleaning up
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, *program, *picture); err != nil {
		fmt.Println()
		if ctx.Err() != nil {
			fmt.Println("demo: interrupted")
			os.Exit(130)
		}
		fmt.Println("demo: FAILED:", err)
		os.Exit(1)
	}
}

const writers = 8

func run(ctx context.Context, program, picture string) (err error) {
	if missing := rig.Missing(); len(missing) > 0 {
		return fmt.Errorf("this machine lacks %s (the demo needs root: sudo make demo)", strings.Join(missing, ", "))
	}
	program, err = filepath.Abs(program)
	if err != nil {
		return err
	}
	begun := time.Now()
	expedited := rig.Expedited()
	step("Setting the stage")
	s, err := scene.New(ctx, scene.Config{
		Stillpoint: program, Writers: writers,
		PlanYAML: "tags: {team: storage}\nrequest_tags: [ticket]",
		Say:      func(format string, args ...any) { fmt.Printf("   "+format+"\n", args...) },
	})
	if err != nil {
		return err
	}
	defer func() {
		step("Cleaning up")
		err = errors.Join(err, tidy(s, expedited))
		if err == nil {
			fmt.Printf("\nVERDICT: PASS in %s\n", time.Since(begun).Round(100*time.Millisecond))
		}
	}()
	return show(ctx, s, picture)
}

// tidy takes the scene down and looks for what it may have left.
func tidy(s *scene.Scene, expedited string) error {
	closeErr := s.Close()
	left, err := rig.LeftUnder(s.Dir)
	if err == nil && rig.Expedited() != expedited {
		left = append(left, fmt.Sprintf("rcu_expedited is %s and was %s", rig.Expedited(), expedited))
	}
	if len(left) > 0 {
		err = fmt.Errorf("left behind: %s", strings.Join(left, ", "))
	}
	if err = errors.Join(closeErr, err); err != nil {
		fmt.Println("   FAILED:", err) // said here as well: an interrupted demo ends without its errors
		return err
	}
	fmt.Println("   nothing left behind: no mount, no loop device, no process, no file, rcu_expedited as it was")
	return nil
}

func show(ctx context.Context, s *scene.Scene, picture string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	w, err := s.StartWorker(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if ctx.Err() == nil {
			return
		}
		fmt.Printf("--- the worker's log\n%s\n", w.Log())
	}()
	fmt.Printf("   worker started (pid %d), polling %s\n", w.PID(), s.QueueURL)

	if err := fire(ctx, s); err != nil {
		return err
	}

	step(`An operator: stillpoint send nightly --tag ticket=OPS-42`)
	s.Load.ResetStalls()
	out, err := s.Command(ctx, "send", "nightly", "--queue-url", s.QueueURL, "--region", "eu-west-1", "--tag", "ticket=OPS-42").CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot send: %w: %s", err, out)
	}
	fmt.Printf("   %s", out)
	d, err := result(ctx, s)
	if err != nil {
		return err
	}
	if picture != "" {
		if err := draw(picture, d.Result); err != nil {
			return fmt.Errorf("cannot draw the picture: %w", err)
		}
	}
	stats := s.Load.Stats()
	fmt.Printf("\n   meanwhile %d transactions; the longest that any of the %d writers waited for one statement: %s\n",
		stats.Transactions, writers, stats.Longest.Duration.Round(100*time.Microsecond))

	step("Restoring the set: volume from snapshot, attach, mount, a second MariaDB")
	r, err := s.Restore(ctx, d.Result)
	if err != nil {
		return err
	}
	fmt.Printf("   %s on %s, the server up after %s\n", r.Volumes[0].ID, r.Volumes[0].Mount, r.Server.StartedIn().Round(time.Millisecond))
	if err := s.Load.Stop(); err != nil {
		return fmt.Errorf("a writer failed: %w", err)
	}
	fmt.Printf("   replaying the original's binlog to %s:%d in a third MariaDB, and comparing row by row\n", d.Result.MySQL.BinlogFile, d.Result.MySQL.BinlogPosition)
	proof, err := s.Prove(ctx, r, d.Result)
	if err != nil {
		return err
	}
	if !proof.OK() {
		return fmt.Errorf("the restored set is not what the result says: %s", proof)
	}
	fmt.Printf("   %s\n", proof)
	return nil
}

// fire makes a schedule and waits until it has fired and the worker has done what it asks for. The schedule goes by the clock of the
// machine: its first run is some seconds after it was made, on a whole second.
func fire(ctx context.Context, s *scene.Scene) error {
	const name, every, soon = "every-minute", "rate(1 minute)", 2 * time.Second
	first := s.AWS.Now().Add(soon).Truncate(time.Second).UTC()
	step(fmt.Sprintf("An EventBridge Scheduler schedule, %s from %s on, with the queue as its target", every, first.Format("15:04:05")))
	arn, err := s.Schedule(ctx, name, every, first)
	if err != nil {
		return err
	}
	fmt.Printf("   %s\n   input: %s\n   waiting for it to fire ...\n", arn, scene.ScheduleInput)
	d, err := result(ctx, s)
	if err != nil {
		return err
	}
	if want := arn + "/" + first.Format(time.RFC3339); d.Result.RequestID != want {
		return fmt.Errorf("the request is %s, and the schedule asked for %s", d.Result.RequestID, want)
	}
	fmt.Printf("\n   it fired at %s; request id %s\n", first.Format("15:04:05"), d.Result.RequestID)
	return s.Unschedule(ctx, name)
}

// result waits for what SNS delivers, and draws it.
func result(ctx context.Context, s *scene.Scene) (*scene.Delivered, error) {
	d, err := s.NextResult(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Printf("   SNS: %s\n\n", d.Subject)
	width, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		width = 100
	}
	color := term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == ""
	if err := timeline.Write(os.Stdout, d.Result, timeline.Options{Width: min(width, 110), Color: color}); err != nil {
		return nil, err
	}
	if d.Result.Status != "succeeded" {
		return nil, fmt.Errorf("the request %s: %s", d.Result.Status, d.Result.Message)
	}
	return d, nil
}

func step(title string) { fmt.Printf("\n== %s\n", title) }
