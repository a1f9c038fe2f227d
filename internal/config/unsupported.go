package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// refusal is one key, or one value of a key, that the contract names and this
// build lacks. A version that brings the feature takes its line away.
type refusal struct {
	section string // "" every section
	key     string
	value   string // "" any value
}

var notSupported = []refusal{
	{sectionPlan, "freeze", "auto"},
	{sectionMySQL, "lock", LockStop},
	{sectionMySQL, "stop_command", ""},
	{sectionMySQL, "start_command", ""},
	{"", "checks", ""},
	{"", "allow_verify", ""},
	{"", "allow_public", ""},
	{"", "residue", ""},
	{"", "scrub", ""},
	{"", "keep", ""},
	{"", "event_bus", ""},
	{"", "http_token_file", ""},
}

// refused says why a key cannot stand in the file of this build; "" where it can.
func refused(section, key string, n ast.Node) string {
	for _, r := range notSupported {
		if r.key != key || r.section != "" && r.section != section {
			continue
		}
		switch r.value {
		case "":
			return "is not supported in this version: leave it out"
		default:
			if s, ok := n.(*ast.StringNode); ok && s.Value == r.value {
				return fmt.Sprintf("has the value %s, which is not supported in this version%s", r.value, insteadOf(section, key))
			}
		}
	}
	return ""
}

// keyRefused says that a key is refused whatever its value.
func keyRefused(section, key string) bool {
	return slices.ContainsFunc(notSupported, func(r refusal) bool {
		return r.key == key && r.value == "" && (r.section == "" || r.section == section)
	})
}

// enumerations are the values of keys that have few; the first is the default.
var enumerations = map[string][]string{
	"lock":              {LockFTWRL, LockBackup, LockAuto, LockNone, LockStop},
	"preliminary_flush": {FlushAuto, FlushAlways, FlushNever},
	"long_queries":      {LongQueriesWait, LongQueriesFail, LongQueriesKill},
	"replica":           {ReplicaRun, ReplicaStopApplier},
}

// supported lists the values that this build knows.
func supported(section, key string) []string {
	return slices.DeleteFunc(slices.Clone(enumerations[key]), func(v string) bool {
		return slices.Contains(notSupported, refusal{section, key, v})
	})
}

func insteadOf(section, key string) string {
	if s := supported(section, key); len(s) > 0 {
		return ": write " + strings.Join(s, " or ")
	}
	return ""
}
