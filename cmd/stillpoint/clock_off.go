//go:build !torture

package main

import "time"

// clock is for tests alone, see clock_on.go; nil is the machine's.
func clock() func() time.Time { return nil }
