package visit

import (
	"context"
	"fmt"
	"slices"

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
	set := snapshot.Set{Freeze: p.Freeze, NoFreeze: p.NoFreeze, Volumes: v.sets[p.Name], Attached: v.attached}
	var names []string
	for _, s := range servers {
		if !s.Server {
			continue
		}
		var systems []snapshot.FileSystem
		for _, part := range s.Parts {
			systems = append(systems, part.FS)
		}
		covers, err := (&volume.Resolver{}).Cover(ctx, set, systems)
		if err != nil {
			return []doctor.Finding{doctor.Unchecked("whether a database server has files on the set: "+err.Error(), "see volumes.set")}
		}
		if slices.ContainsFunc(covers, func(c snapshot.Coverage) bool { return c.InSet }) {
			names = append(names, fmt.Sprintf("%s (process %d, in %s)", s.Name, s.PID, s.Dir))
		}
	}
	return []doctor.Finding{doctor.JudgeUnlocked(names, len(p.PreFreeze) > 0)}
}
