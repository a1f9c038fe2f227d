//go:build !torture

package main

import "time"

// tracing is for tests alone, see trace_on.go.
func tracing() (trace func(stage string, ended bool), lookupDelays []time.Duration) { return nil, nil }
