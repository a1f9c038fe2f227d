package policy

import (
	"errors"
	"fmt"
	"regexp"
)

// action is "service:Name" with wildcards, or "*".
var action = regexp.MustCompile(`^(\*|[A-Za-z0-9*?-]+:[A-Za-z0-9*?_-]+)$`)

// parseAction: "Statements must include either an Action or NotAction element."
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html
func (s *statement) parseAction(r rawStatement) error {
	list, err := either("Action", r.Action, "NotAction", r.NotAction)
	if err != nil {
		return err
	}
	if list == nil {
		return errors.New("there is neither an Action nor a NotAction")
	}
	s.notAction = r.NotAction != nil
	for _, source := range list {
		if !action.MatchString(source) {
			return fmt.Errorf("action %q is neither of the form service:Name nor *", source)
		}
		t, err := compile(source, true, false)
		if err != nil {
			return fmt.Errorf("action: %w", err)
		}
		s.actions = append(s.actions, t)
	}
	return nil
}

// matchAction: "The prefix and the action name are case insensitive."
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html
func (s *statement) matchAction(name string) bool {
	listed := false
	for _, t := range s.actions {
		pattern, ok := t.resolve(nil)
		listed = listed || ok && glob(pattern, name, true)
	}
	return listed != s.notAction
}
