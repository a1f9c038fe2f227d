package conformance

import (
	"os/exec"
	"strings"
)

// motoVersion is that of the moto that python3 finds, or a note that it finds none.
func motoVersion() string {
	out, err := exec.Command("python3", "-c", "import importlib.metadata; print(importlib.metadata.version('moto'))").Output()
	if err != nil {
		return "of unknown version"
	}
	return strings.TrimSpace(string(out))
}
