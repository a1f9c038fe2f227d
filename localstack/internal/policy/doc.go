// Package policy reads IAM policy documents and says what one of them decides
// on a request: those that hang on a queue or a topic, and those of a role or
// a user. What several of them come to together is for their user to say. It calls
// nothing and keeps nothing.
//
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
package policy
