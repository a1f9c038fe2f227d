// Package pattern matches JSON documents against the language that
// EventBridge event patterns and SNS filter policies share, with the
// differences between the two: how numbers compare, which operators there
// are, what counts as present, and the limits. It is text in, yes or no out:
// it keeps nothing and calls nothing.
//
// Where the documentation is silent it does as the library that AWS published
// does (https://github.com/aws/event-ruler), and says so.
package pattern
