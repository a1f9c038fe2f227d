// Package worker is the event loop: it receives a request, keeps the lease on
// its message, decides what is to become of it, has it run, makes the result
// durable, publishes it and settles the message, in this order. Beside it, the
// Outbox publishes what SNS did not take, and the Resumption brings requests of
// dead workers to their end. It knows no AWS, no database and no disk: those are behind the interfaces in ports.go.
package worker
