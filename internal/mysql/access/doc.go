// Package access is the table of what the server's user must be allowed, by
// server and by part of a plan, and reads what a user has been granted.
// Preflight's refusals, docs/database-user.md and the tests' own user are made from it.
package access
