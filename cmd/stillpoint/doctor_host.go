package main

import (
	"stillpoint/internal/config"
	"stillpoint/internal/doctor"
)

// host are the checks of this host's directories, whichever the plan.
func (v *visit) host() []doctor.Check { return nil }

// volumes are the checks of a plan's mounts and their EBS volumes.
func (v *visit) volumes(*config.Plan) []doctor.Check { return nil }

// freezing are the checks of whether the plan's file systems can be frozen, and let go.
func (v *visit) freezing(*config.Plan) []doctor.Check { return nil }
