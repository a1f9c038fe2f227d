package model

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Sequences that broke something once, or that chance comes to too seldom.
func TestKnownSequences(t *testing.T) {
	minute := action{what: "wait", d: time.Minute}
	tests := map[string]script{
		"a run by hand is killed between two writes of its result, beside a worker": {
			minute,
			aim("EBS.Attached", "fails", 0, 0, 0), aim("inside Journal.Finish", sigkill, 0, 1, 0), {what: "cli", text: "one"}, minute,
			{what: "send", text: "one"}, minute,
		},
		"the disk is full when the result is to be written, and the reserve was used up before": {
			aim("full Journal.Finish", "reserve too", 0, 0, 10*time.Minute), {what: "send", text: "one"}, {what: "wait", d: time.Hour},
			{what: "send", text: "one"}, minute,
		},
		"the same, and no verdict is in the journal": {
			aim("EBS.Attached", "fails", 0, 0, 0), aim("EBS.Attached", "fails", 0, 0, 0), aim("full Journal.Finish", "reserve too", 0, 0, 10*time.Minute),
			{what: "send", text: "one"}, {what: "wait", d: time.Hour}, {what: "send", text: "one"}, minute,
		},
	}
	for name, s := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t)
			w := newWorld(d, filepath.Join(d.root, "state"), &counts{n: map[string]int{}})
			play(t, w, s)
			if len(w.broken) > 0 {
				t.Fatalf("%s\n\nwhat happened:\n  %s", strings.Join(w.broken, "\n"), strings.Join(w.trail, "\n  "))
			}
		})
	}
}
