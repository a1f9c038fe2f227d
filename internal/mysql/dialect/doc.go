// Package dialect knows the servers by flavor and version: what they call things,
// which locks they have, and by which statements each is taken and given up. It
// is a table, with the source of each row, and asks nobody.
package dialect
