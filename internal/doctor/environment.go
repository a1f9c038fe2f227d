package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// JudgeEnvironment holds what the file at path gives the worker's unit (NAME=VALUE
// lines, EnvironmentFile= of systemd.exec(5)) against what this process has: a proxy
// or an endpoint that only one of them knows leads it another way to AWS. have is
// os.Getenv. No value is told: it may be a password.
func JudgeEnvironment(path, text string, have func(name string) string) Finding {
	var other []string
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.ContainsAny(name[:min(1, len(name))], "#;") {
			continue
		}
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if n := len(value); n > 1 && value[0] == value[n-1] && strings.ContainsRune(`"'`, rune(value[0])) {
			value = value[1 : n-1]
		}
		if have(name) != value && !slices.Contains(other, name) {
			other = append(other, name)
		}
	}
	if len(other) > 0 {
		return Poor(fmt.Sprintf("%s gives the worker another %s than this process has: its way to AWS may not be the one that was looked at", path, strings.Join(other, ", ")),
			fmt.Sprintf("run the doctor with it: sudo sh -c 'set -a; . %s; exec stillpoint doctor'", path))
	}
	return Good("this process has what " + path + " gives the worker")
}
