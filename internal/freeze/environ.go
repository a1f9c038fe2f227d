package freeze

import "os"

// environ is the environment of a child: none of the worker's secrets. GORACE is
// for one that was built with the race detector: how it reports and ends
// (https://go.dev/doc/articles/race_detector, "Options").
func environ() []string {
	env := []string{"GOTRACEBACK=single"}
	if race, ok := os.LookupEnv("GORACE"); ok {
		env = append(env, "GORACE="+race)
	}
	return env
}
