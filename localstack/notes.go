package localstack

import (
	"fmt"
	"time"

	"stillpoint/localstack/internal/ec2"
)

// Notes are sentences about this start that its user should know: what was found in the folder, and what the folder cannot do.
func (s *Server) Notes() []string {
	if s.config.Dir == "" {
		return []string{"volumes have no data and no devices: --dir DIR gives them some (as root; best on XFS with reflink)"}
	}
	var out []string
	if found := s.ec2.Found(); found != (ec2.Found{}) {
		out = append(out, fmt.Sprintf("found again in %s: %d instances, %d volumes, %d snapshots; queues, topics, rules and schedules end with each run",
			s.config.Dir, found.Instances, found.Volumes, found.Snapshots))
	}
	if ahead := s.clock.Ahead().Round(time.Second); ahead > 0 {
		out = append(out, fmt.Sprintf("the clock goes on %s ahead, as it was left", ahead))
	}
	switch clones, err := s.disks.CanClone(); {
	case err != nil:
		out = append(out, fmt.Sprintf("whether files can be cloned in %s cannot be told: %v", s.config.Dir, err))
	case !clones:
		out = append(out, fmt.Sprintf("the file system of %s cannot clone files: a snapshot copies its volume, and is refused while that is being written to", s.config.Dir))
	}
	if s.config.Keep {
		return append(out, "volumes and snapshots stay in "+s.config.Dir+" for the next run")
	}
	return append(out, "volumes and snapshots in "+s.config.Dir+" are deleted at the end, those of earlier runs too (--keep keeps them; after a kill the next run finds them)")
}
