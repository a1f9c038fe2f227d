package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"stillpoint/internal/ebs"
	"stillpoint/messages"
)

// uploadPoll is how often EC2 is asked how far the upload is.
const uploadPoll = 2 * time.Second

// followUpload shows a progress bar until EBS has completed every snapshot. A
// snapshot that ends in error is an error.
func followUpload(ctx context.Context, w io.Writer, client *ebs.Client, r *messages.Result) error {
	ids := make([]string, len(r.Snapshots))
	for i, s := range r.Snapshots {
		ids[i] = s.SnapshotID
	}
	_, tty := terminal(w)
	last := ""
	for {
		list, err := client.Progress(ctx, ids)
		if err != nil && ctx.Err() == nil {
			_, _ = fmt.Fprintf(w, "cannot ask EC2 about the upload, trying again: %v\n", err)
		}
		percent, completed, broken := total(list, len(ids))
		line := fmt.Sprintf("upload %s %3d%%  %d of %d completed", bar(percent, 30), percent, completed, len(ids))
		if line != last && err == nil {
			if tty {
				_, _ = fmt.Fprintf(w, "\r%s", line)
			} else {
				_, _ = fmt.Fprintln(w, line)
			}
			last = line
		}
		if broken != "" || err == nil && completed == len(ids) {
			if tty {
				_, _ = fmt.Fprintln(w)
			}
			if broken != "" {
				return fmt.Errorf("EBS could not complete %s: the set cannot be restored; send a new request", broken)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return &codedError{exitInterrupted, fmt.Errorf("no longer following the upload, which goes on in EBS")}
		case <-time.After(uploadPoll):
		}
	}
}

func total(list []ebs.Progress, n int) (percent, completed int, broken string) {
	sum := 0
	for _, p := range list {
		switch p.State {
		case "completed":
			completed++
			sum += 100
		case "error":
			broken = p.SnapshotID
		default:
			v, _ := strconv.Atoi(strings.TrimSuffix(p.Percent, "%"))
			sum += v
		}
	}
	return sum / n, completed, broken
}

func bar(percent, width int) string {
	full := width * min(max(percent, 0), 100) / 100
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}
