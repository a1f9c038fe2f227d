package pattern

import "fmt"

// SyntaxError says why a pattern or a filter policy is not one. Every error
// of ParseEvent and ParseFilter is a *SyntaxError.
type SyntaxError struct {
	What   string // "event pattern" or "filter policy"
	Path   string // the place, such as "detail.state"; empty: the whole document
	Reason string // in the words of AWS where they are known: "Unrecognized match type contains"
}

func (e *SyntaxError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("cannot parse the %s: %s", e.What, e.Reason)
	}
	return fmt.Sprintf("cannot parse the %s at %s: %s", e.What, e.Path, e.Reason)
}
