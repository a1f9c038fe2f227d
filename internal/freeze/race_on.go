//go:build race

package freeze

// underRace says that the race detector is built in. Its shadow memory spans
// terabytes of address space, which mlockall would have to fill.
const underRace = true
