package faults

import (
	"testing"

	"stillpoint/test/scene"
)

func separateRows() []*cell { return nil }

func setSeparate(t *testing.T) *bench { return set(t, scene.Config{Extra: "ext4"}) }
