package policy

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Versions of the policy language. A document without one has the older,
// which has no variables.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html
const (
	version2008 = "2008-10-17"
	version2012 = "2012-10-17"
)

// Document is a policy document, checked. It does not change, and can be used
// by several goroutines at once. The zero value decides nothing.
type Document struct {
	ID         string // empty: it has none
	statements []statement
}

// statement has every list of its elements as patterns, and tells by a flag
// whether a list is of what is meant or of what is not.
type statement struct {
	sid  string
	deny bool

	principals   principals
	notPrincipal bool
	actions      []template
	notAction    bool
	resources    []template // none: the resource that the document hangs on
	notResource  bool
	conditions   []condition
}

type rawDocument struct {
	Version   string
	ID        *string `json:"Id"`
	Statement jsontext.Value
}

type rawStatement struct {
	Sid          string
	Effect       string
	Principal    jsontext.Value
	NotPrincipal jsontext.Value
	Action       jsontext.Value
	NotAction    jsontext.Value
	Resource     jsontext.Value
	NotResource  jsontext.Value
	Condition    jsontext.Value
}

// Parse reads a policy that hangs on a resource: each statement has a
// Principal or a NotPrincipal. Without a Resource a statement is about
// whatever the document hangs on. Unknown elements, operators and versions
// are errors that name them.
func Parse(text []byte) (*Document, error) {
	return parse(text, false)
}

// ParseIdentity reads a policy that hangs on a role or a user: its statements have no Principal, and a Resource or a NotResource. A
// Request is then asked about as one of whomever it hangs on.
func ParseIdentity(text []byte) (*Document, error) {
	return parse(text, true)
}

func parse(text []byte, identity bool) (*Document, error) {
	d, err := parseDocument(text, identity)
	if err != nil {
		return nil, fmt.Errorf("cannot parse the policy: %w", err)
	}
	return d, nil
}

func parseDocument(text []byte, identity bool) (*Document, error) {
	var raw rawDocument
	if err := unmarshal(text, &raw); err != nil {
		return nil, err
	}
	variables := raw.Version == version2012
	if !variables && raw.Version != version2008 && raw.Version != "" {
		return nil, fmt.Errorf("version %q is neither %s nor %s", raw.Version, version2012, version2008)
	}
	list := []rawStatement{{}}
	var err error
	switch raw.Statement.Kind() {
	case '{':
		err = unmarshal(raw.Statement, &list[0])
	case '[':
		err = unmarshal(raw.Statement, &list)
	default:
		err = errors.New("there is no Statement, as an object or a list of them")
	}
	if err == nil && len(list) == 0 {
		err = errors.New("the list of statements is empty")
	}
	if err != nil {
		return nil, err
	}
	d := &Document{}
	if raw.ID != nil {
		d.ID = *raw.ID
	}
	for i, r := range list {
		s, err := r.parse(variables, identity)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name(i), err)
		}
		d.statements = append(d.statements, s)
	}
	return d, nil
}

// unmarshal refuses unknown and duplicate names.
func unmarshal(text []byte, v any) error {
	return json.Unmarshal(text, v, json.RejectUnknownMembers(true))
}

func (r rawStatement) name(i int) string {
	if r.Sid == "" {
		return fmt.Sprintf("statement %d", i+1)
	}
	return fmt.Sprintf("statement %d (%s)", i+1, r.Sid)
}

func (r rawStatement) parse(variables, identity bool) (statement, error) {
	s := statement{sid: r.Sid, deny: r.Effect == "Deny"}
	if r.Effect != "Allow" && r.Effect != "Deny" {
		return s, fmt.Errorf("effect %q is neither Allow nor Deny", r.Effect)
	}
	switch {
	case !identity:
		if err := s.parsePrincipal(r); err != nil {
			return s, err
		}
	case r.Principal != nil || r.NotPrincipal != nil:
		return s, errors.New("there is a Principal, which a policy of a role or a user cannot have")
	case r.Resource == nil && r.NotResource == nil:
		return s, errors.New("there is neither a Resource nor a NotResource")
	default:
		s.principals.everyone = true
	}
	if err := s.parseAction(r); err != nil {
		return s, err
	}
	if err := s.parseResource(r, variables); err != nil {
		return s, err
	}
	var err error
	s.conditions, err = parseConditions(r.Condition, variables)
	return s, err
}
