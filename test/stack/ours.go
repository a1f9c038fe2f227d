package stack

import (
	"maps"
	"path/filepath"
	"runtime"
)

// FleetName is the stack of fleet.yaml in tests; that of instance.yaml is "stillpoint-" and its role.
const FleetName = "stillpoint"

// Dir is infra/cloudformation.
func Dir() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "..", "..", "infra", "cloudformation")
}

// Fleet resolves fleet.yaml.
func Fleet(env Env) (*Stack, error) {
	t, err := Read(filepath.Join(Dir(), "fleet.yaml"))
	if err != nil {
		return nil, err
	}
	env.Name = FleetName
	return t.Resolve(env)
}

// Instance resolves instance.yaml for a role, in the fleet whose exports it imports.
func Instance(fleet *Stack, role string, env Env) (*Stack, error) {
	t, err := Read(filepath.Join(Dir(), "instance.yaml"))
	if err != nil {
		return nil, err
	}
	env.Name, env.Imports = "stillpoint-"+role, fleet.Exports
	parameters := map[string]string{"Role": role, "Fleet": FleetName}
	maps.Copy(parameters, env.Parameters)
	env.Parameters = parameters
	return t.Resolve(env)
}
