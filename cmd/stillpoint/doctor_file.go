package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stillpoint/internal/config"
	"stillpoint/internal/doctor"
)

// lookAtFile reads the configuration.
func (v *visit) lookAtFile(context.Context) []doctor.Finding {
	f, err := config.Load(v.path)
	if err != nil {
		return []doctor.Finding{doctor.Bad(err.Error(), "correct the file")}
	}
	names := strings.Join(slices.Sorted(maps.Keys(f.Plans)), ", ")
	if v.only != "" && f.Plans[v.only] == nil {
		return []doctor.Finding{doctor.Bad(fmt.Sprintf("there is no plan %q in %s: it has %s", v.only, v.path, names), "name one of these")}
	}
	v.file = f
	return []doctor.Finding{doctor.Good(fmt.Sprintf("%s is well formed; plans: %s", v.path, names))}
}
