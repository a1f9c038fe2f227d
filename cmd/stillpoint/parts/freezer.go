package parts

import (
	"stillpoint/internal/config"
	"stillpoint/internal/freeze"
)

// The commands by which this program starts children of its own; they are none for people.
const (
	// GuardianCommand is the guardian's.
	GuardianCommand = "guardian"
	// ProbeCommand is that of a child of the doctor's, which may hang in the kernel.
	ProbeCommand = "write-probe"
)

// Freezer freezes what a plan freezes. program is the version of this one, which the record bears.
func Freezer(f *config.File, p *config.Plan, program string) *freeze.Freezer {
	return freeze.New(freeze.Config{
		Args: []string{GuardianCommand}, Expedite: p.ExpediteFreeze, Forbidden: []string{f.StateDir, f.RuntimeDir},
		RuntimeDir: f.RuntimeDir, PostThaw: p.PostThaw, PostThawTimeout: p.HookTimeout, RunHook: RunHook, Plan: p.Name, Program: program,
	})
}
