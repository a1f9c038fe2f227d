// Package messages is what crosses the wire: the Request that arrives on the
// queue, the envelopes around it, and the Result that goes to SNS, with their
// JSON Schemas. Names and meanings here are a public contract: they may grow,
// they do not change.
package messages
