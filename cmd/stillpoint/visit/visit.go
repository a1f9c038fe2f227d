// Package visit is one visit of the doctor's: it looks at everything that a run
// depends on, with the parts that a run is made of, and leaves the judging to
// internal/doctor. It holds, freezes and changes nothing.
package visit

import (
	"context"
	"maps"
	"slices"

	"stillpoint/internal/config"
	"stillpoint/internal/doctor"
	"stillpoint/messages"
)

// Make visits what the file at path describes: of its plans the one that is named,
// or all where plan is empty. begun is told of each check before it is made; nil:
// nobody is. When ctx ends the visit ends, and what was not looked at says so.
func Make(ctx context.Context, path, plan string, agent messages.Agent, begun func(doctor.Check)) doctor.Report {
	v := &visit{path: path, only: plan, id: messages.Identity{Agent: agent}}
	// The file says which checks there are.
	found := doctor.Run(ctx, v.first(), begun)
	found = append(found, doctor.Run(ctx, v.rest(), begun)...)
	report := doctor.Report{
		SchemaVersion: "1", Type: doctor.ReportType, Agent: agent,
		InstanceID: v.id.InstanceID, Region: v.id.Region, NotAsked: v.notAsked, Findings: found,
	}
	report.OK = report.Count(doctor.Fail) == 0 && ctx.Err() == nil
	return report
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
