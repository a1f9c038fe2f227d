// Package parts makes the parts of a run out of what the file says: for the
// worker, for `stillpoint snapshot`, and for the doctor, who looks at the same.
package parts

import (
	"github.com/rs/zerolog"

	"stillpoint/internal/config"
	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// Plan is what the pipeline needs to know of a plan, but for its database and its Hooks.
func Plan(p *config.Plan, id messages.Identity, log zerolog.Logger) snapshot.Plan {
	return snapshot.Plan{
		Name: p.Name, Freeze: p.Freeze, NoFreeze: p.NoFreeze, Volumes: p.Volumes,
		SnapshotTimeout: p.SnapshotTimeout, MaxHold: p.MaxHold,
		MaxAge: p.MaxAge, MinInterval: p.MinInterval, StartWithin: p.StartWithin,
		Tags: p.Tags, CopyTags: p.CopyTags, LockTries: 1,
		Describe: func(requestID string) string {
			s, err := p.DescriptionFor(config.Vars{InstanceID: id.InstanceID, Plan: p.Name, RequestID: requestID, Region: id.Region})
			if err != nil {
				log.Warn().Err(err).Msg("the description is left empty")
			}
			return s
		},
	}
}
