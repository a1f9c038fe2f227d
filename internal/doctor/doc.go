// Package doctor says beforehand what could go wrong with a snapshot: it runs
// checks in order, each with a bound of its own, and reports a line for each thing
// that was looked at. It judges; the looks themselves come from the adapters, and
// only cmd brings both together. It holds nothing and changes nothing.
package doctor
