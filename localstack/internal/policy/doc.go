// Package policy reads IAM policy documents and says what one of them decides
// on a request: those that hang on a queue or a topic. That a policy of the
// caller allows as well, or has to, is for its user to put together. It calls
// nothing and keeps nothing.
//
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
package policy
