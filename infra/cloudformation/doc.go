// Package cloudformation holds the templates, which are read by nobody in Go
// but their tests. README.md says how to deploy them.
package cloudformation
