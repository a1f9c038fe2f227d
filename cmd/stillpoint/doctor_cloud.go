package main

import (
	"stillpoint/internal/config"
	"stillpoint/internal/doctor"
)

// cloud are the checks of the clock, of who this is, and of what AWS allows and says of queue and topic.
func (v *visit) cloud() []doctor.Check { return nil }

// limits are the checks of EC2's limits and permissions for a plan's volumes.
func (v *visit) limits(*config.Plan) []doctor.Check { return nil }
