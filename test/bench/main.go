// Command bench measures how long writes are blocked: twenty snapshots of a
// loaded MariaDB at each of several EC2 latencies. It prints distributions and
// judges nothing; machines differ.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/scene"
)

func main() {
	program := flag.String("stillpoint", "bin/stillpoint", "the program to measure")
	n := flag.Int("n", 20, "snapshots at each latency")
	writers := flag.Int("writers", 8, "writers of the load")
	pauses := flag.String("pause", "0s,200ms", "rest of each writer between two rounds of 8 statements, one measurement for each; 0s keeps every core busy")
	fs := flag.String("fs", "xfs", "file system: xfs or ext4")
	flag.Parse()
	signal.Ignore(syscall.SIGPIPE) // a reader that leaves must not keep us from cleaning up
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	for p := range strings.SplitSeq(*pauses, ",") {
		pause, err := time.ParseDuration(p)
		if err == nil {
			err = run(ctx, *program, *n, *writers, pause, *fs)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
}

// sample is one snapshot.
type sample struct {
	blocked, ec2, lock, freeze, coordinates, rest, stall float64 // milliseconds
}

func run(ctx context.Context, program string, n, writers int, pause time.Duration, fs string) (err error) {
	program, err = filepath.Abs(program)
	if err != nil {
		return err
	}
	s, err := scene.New(ctx, scene.Config{Stillpoint: program, Writers: writers, Pause: pause, Filesystem: fs})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	unthrottled := s.AWS.EC2Behaviour() // one snapshot after the other is more than an account may make
	unthrottled.Unthrottled = true
	if err := s.AWS.BehaveEC2(unthrottled); err != nil {
		return err
	}
	begun := time.Now()
	if _, err := s.StartWorker(ctx); err != nil {
		return err
	}
	fmt.Printf("%d snapshots at each EC2 latency; MariaDB on %s, %d writers that rest %s between rounds; milliseconds\n\n", n, fs, writers, pause)
	fmt.Printf("%-12s %-34s %8s %8s %8s %8s\n", "EC2 latency", "", "min", "median", "p95", "max")
	for _, latency := range []time.Duration{0, 50 * time.Millisecond, 300 * time.Millisecond} {
		if latency > 0 {
			if err := s.AWS.SetFaults(localstack.Fault{Operation: "ec2:CreateSnapshots", Latency: latency}); err != nil {
				return err
			}
		}
		var all []sample
		for range n {
			one, err := measure(ctx, s)
			if err != nil {
				return err
			}
			all = append(all, one)
		}
		label := latency.String()
		for _, row := range []struct {
			name string
			of   func(sample) float64
		}{
			{"writes blocked", func(x sample) float64 { return x.blocked }},
			{"  of it EC2's own", func(x sample) float64 { return x.ec2 }},
			{"  of it ours", func(x sample) float64 { return x.blocked - x.ec2 }},
			{"    the server grants the lock", func(x sample) float64 { return x.lock }},
			{"    the kernel freezes", func(x sample) float64 { return x.freeze }},
			{"    coordinates, twice", func(x sample) float64 { return x.coordinates }},
			{"    thaw, proof, unlock", func(x sample) float64 { return x.rest }},
			{"longest statement a writer saw", func(x sample) float64 { return x.stall }},
		} {
			v := make([]float64, len(all))
			for i, x := range all {
				v[i] = row.of(x)
			}
			slices.Sort(v)
			fmt.Printf("%-12s %-34s %8.1f %8.1f %8.1f %8.1f\n", label, row.name, v[0], v[len(v)/2], v[(len(v)*95+99)/100-1], v[len(v)-1])
			label = ""
		}
		fmt.Println(strings.Repeat("-", 82))
	}
	stats := s.Load.Stats()
	fmt.Printf("the load did %d transactions in %s\n\n", stats.Transactions, time.Since(begun).Round(time.Second))
	return s.Load.Err()
}

func measure(ctx context.Context, s *scene.Scene) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s.Load.ResetStalls()
	if _, err := s.Send(ctx, `{"plan":"nightly"}`); err != nil {
		return sample{}, err
	}
	d, err := s.NextResult(ctx)
	if err != nil {
		return sample{}, err
	}
	r := d.Result
	if r.Status != messages.Succeeded {
		return sample{}, fmt.Errorf("a request %s: %s", r.Status, r.Message)
	}
	x := sample{blocked: r.Timings.WritesBlocked, ec2: r.Timings.SnapshotCall, stall: float64(s.Load.Stats().Longest.Duration) / float64(time.Millisecond)}
	for _, st := range r.Stages {
		switch st.Name {
		case "lock":
			x.lock = st.DurationMS
		case "freeze":
			x.freeze = st.DurationMS
		case "coordinates", "coordinates-after":
			x.coordinates += st.DurationMS
		case "thaw", "verify", "unlock":
			x.rest += st.DurationMS
		}
	}
	return x, nil
}
