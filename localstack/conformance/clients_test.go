package conformance

import (
	"os/exec"
	"sync"
)

// missing says that the machine does not have the client. It is empty if it has.
func (c client) missing() string {
	switch c {
	case viaCLI:
		if _, err := exec.LookPath("aws"); err != nil {
			return "the aws CLI is not on this machine"
		}
	case viaBoto3:
		if err := exec.Command("python3", "-c", "import boto3").Run(); err != nil {
			return "python3 with boto3 is not on this machine"
		}
	}
	return ""
}

// boto3 is what testdata/boto3_checks.py saw of a target, by row.
type boto3 struct {
	once sync.Once
	err  error
	saw  map[string]map[string]any
}
