package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"stillpoint/internal/config"
	"stillpoint/internal/doctor"
	"stillpoint/messages"
)

type doctorCommand struct {
	Plan string `arg:"" optional:"" help:"The plan to look at (default: all of the file)."`
	JSON bool   `name:"json" help:"Print the report as JSON."`
}

// Help is what `stillpoint doctor --help` says beside the flags.
func (doctorCommand) Help() string {
	return `A line for each thing, and what to do about it: ok, warn (works, but not as well as it could, or could not be looked at) or FAIL. Run it as root, as the worker runs: a plain user may not look at the database's credentials and the host.

Exit 0: nothing failed. 3: something did.`
}

// Run looks at all that could go wrong, prints it, and exits with 3 where
// something failed. It holds, freezes and changes nothing.
func (c doctorCommand) Run(ctx context.Context, g *globals) error {
	v := &visit{path: g.configPath(), only: c.Plan}
	_, tty := terminal(g.out)
	report := doctor.Report{SchemaVersion: "1", Type: doctor.ReportType, Agent: agent()}
	_, watched := terminal(g.err)
	begun := func(check doctor.Check) {
		if watched && !c.JSON {
			_, _ = fmt.Fprintf(g.err, "\r\x1b[K%s ...", strings.TrimPrefix(check.Plan+": "+check.Name, ": "))
		}
	}
	// The file says which checks there are.
	report.Findings = doctor.Run(ctx, v.first(), begun)
	report.Findings = append(report.Findings, doctor.Run(ctx, v.rest(), begun)...)
	if watched && !c.JSON {
		_, _ = fmt.Fprint(g.err, "\r\x1b[K")
	}
	report.InstanceID, report.Region, report.NotAsked = v.id.InstanceID, v.id.Region, v.notAsked
	report.OK = report.Count(doctor.Fail) == 0 && ctx.Err() == nil
	if err := c.print(g, report, tty); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return coded(exitInterrupted, ctx.Err())
	case !report.OK:
		return &codedError{code: exitRefused}
	}
	return nil
}

func (c doctorCommand) print(g *globals, report doctor.Report, tty bool) error {
	if !c.JSON {
		return report.Text(g.out, tty && os.Getenv("NO_COLOR") == "")
	}
	e := json.NewEncoder(g.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(report)
}

// visit is what one run of the doctor has found out so far, for the checks that come later.
type visit struct {
	path string
	// only is the one plan to look at; empty: all.
	only string
	// file is the configuration; nil where it cannot be used.
	file *config.File
	// id is who this is; what is not known is empty.
	id messages.Identity
	// notAsked is what only doing it would show, see doctor.Report.
	notAsked []string
	// aws is what the checks of AWS have and know.
	aws amazon
	hostLooks
}

// first are the checks that tell what else there is to look at.
func (v *visit) first() []doctor.Check {
	return []doctor.Check{{Name: "file", Look: v.lookAtFile}}
}

// rest are all others, in the order of a run: who this is and what AWS says, this
// host, then plan by plan.
func (v *visit) rest() []doctor.Check {
	if v.file == nil {
		return nil
	}
	checks := slices.Concat(v.cloud(), v.host())
	for _, name := range v.plans() {
		p := v.file.Plans[name]
		checks = append(checks, slices.Concat(v.volumes(p), v.freezing(p), v.database(p), v.limits(p))...)
	}
	return checks
}

// plans are those to look at.
func (v *visit) plans() []string {
	if v.only != "" {
		return []string{v.only}
	}
	return slices.Sorted(maps.Keys(v.file.Plans))
}
