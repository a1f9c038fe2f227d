// Package docpart is for tests: it holds a part of a document against the code that
// the part is made from, or writes it anew.
package docpart
