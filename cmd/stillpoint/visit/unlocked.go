package visit

import (
	"context"

	"stillpoint/internal/config"
	"stillpoint/internal/doctor"
	"stillpoint/internal/mysql/locate"
	"stillpoint/internal/snapshot"
	"stillpoint/internal/volume"
)

// lookForServers looks whether the set of a plan without mysql holds the files of
// a MySQL or MariaDB that runs, which such a plan does not lock.
func (v *visit) lookForServers(ctx context.Context, p *config.Plan) []doctor.Finding {
	servers, err := locate.Neighbours(0)
	if err != nil {
		return []doctor.Finding{doctor.Unchecked("whether a database server has files on the set: "+err.Error(), doctor.AsRoot)}
	}
	survey := snapshot.Survey{
		Volumes: &volume.Resolver{},
		Set:     snapshot.Set{Freeze: p.Freeze, NoFreeze: p.NoFreeze, Volumes: v.sets[p.Name], Attached: v.attached},
	}
	names, err := survey.Unlocked(ctx, servers)
	if err != nil {
		return []doctor.Finding{doctor.Unchecked("whether a database server has files on the set: "+err.Error(), "see volumes.set")}
	}
	return []doctor.Finding{doctor.JudgeUnlocked(names, len(p.PreFreeze) > 0)}
}
