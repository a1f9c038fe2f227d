//go:build !race

package freeze

// underRace says that the race detector is built in.
const underRace = false
