// Package session is the pair of connections that a run has to its server: A, which
// will hold the lock, and B, which watches A. It opens them, makes sure that they
// lead to one server and still answer, learns what that server is and can show,
// and gives the errors of statements their types.
package session
