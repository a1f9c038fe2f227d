// Package ebs makes the EC2 calls of a run: what is attached, what exists
// already, the one create call, and the tags. It decides nothing; it turns
// EC2's answers into the typed errors of internal/snapshot.
package ebs
