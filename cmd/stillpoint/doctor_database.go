package main

import (
	"stillpoint/internal/config"
	"stillpoint/internal/doctor"
)

// database are the checks of a plan's MySQL or MariaDB.
func (v *visit) database(*config.Plan) []doctor.Check { return nil }
