package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Principal is who asks. The zero value is an anonymous caller.
type Principal struct {
	// ARN is that of a user, a role, a session of a role
	// ("arn:aws:sts::111122223333:assumed-role/name/session"), a federated user
	// or an account ("arn:aws:iam::111122223333:root").
	ARN string

	// Service is a service principal such as "sns.amazonaws.com", for a service
	// that asks on its own behalf. ARN is empty then.
	Service string
}

// principals is the content of a Principal or NotPrincipal element.
type principals struct {
	everyone bool
	accounts []string // 12 digits each
	arns     []string // of users, roles and sessions; and unique ids, which nobody here has
	services []string
}

var (
	accountID = regexp.MustCompile(`^\d{12}$`)
	root      = regexp.MustCompile(`^arn:[a-z-]+:iam::(\d{12}):root$`)
	named     = regexp.MustCompile(`^arn:[a-z-]+:(iam|sts)::\d{12}:(user|role|assumed-role|federated-user)/[^*?]+$`)
	unique    = regexp.MustCompile(`^A[A-Z0-9]{15,127}$`) // what IAM puts there once a user or role is deleted
	service   = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)
)

// parsePrincipal: the element is required in a policy of a resource.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
func (s *statement) parsePrincipal(r rawStatement) error {
	element, name := r.Principal, "Principal"
	if r.NotPrincipal != nil {
		element, name = r.NotPrincipal, "NotPrincipal"
	}
	switch {
	case element == nil:
		return errors.New("there is neither a Principal nor a NotPrincipal")
	case r.Principal != nil && r.NotPrincipal != nil:
		return errors.New("there are both Principal and NotPrincipal")
	case r.NotPrincipal != nil && !s.deny:
		// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
		return errors.New("NotPrincipal goes with the effect Deny alone")
	}
	s.notPrincipal = r.NotPrincipal != nil
	if err := s.principals.parse(element); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (p *principals) parse(element jsontext.Value) error {
	if element.Kind() == '"' {
		list, err := scalars(element, false)
		if err == nil && list[0] != "*" {
			err = fmt.Errorf("%q is not *", list[0])
		}
		p.everyone = true
		return err
	}
	var raw map[string]jsontext.Value
	if err := unmarshal(element, &raw); err != nil {
		return err
	}
	if len(raw) == 0 {
		return errors.New("nobody is named")
	}
	for kind, value := range raw {
		list, err := scalars(value, false)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		for _, who := range list {
			if err := p.add(kind, who); err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
		}
	}
	return nil
}

func (p *principals) add(kind, who string) error {
	switch kind {
	case "AWS":
		return p.addAWS(who)
	case "Service":
		if !service.MatchString(who) {
			return fmt.Errorf("%q is no service", who)
		}
		p.services = append(p.services, who)
		return nil
	case "Federated", "CanonicalUser":
		return nil // no caller is one
	default:
		return errors.New("there is no such kind of principal")
	}
}

// addAWS takes what can stand behind "AWS". "You cannot use a wildcard to match
// part of a principal name or ARN."
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
func (p *principals) addAWS(who string) error {
	switch m := root.FindStringSubmatch(who); {
	case who == "*":
		p.everyone = true
	case accountID.MatchString(who):
		p.accounts = append(p.accounts, who)
	case m != nil:
		p.accounts = append(p.accounts, m[1])
	case named.MatchString(who), unique.MatchString(who):
		p.arns = append(p.arns, who)
	default:
		return fmt.Errorf("%q is neither an account nor the ARN of a user, role or session nor *", who)
	}
	return nil
}

// names tells whether somebody is meant, and whether only through the account.
// "The account ARN and the shortened account ID behave the same way. Both
// delegate permissions to the account."
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-accounts
func (p *principals) names(who Principal) (meant, byAccount bool) {
	if p.everyone {
		return true, false
	}
	if who.Service != "" {
		for _, s := range p.services {
			if s == who.Service {
				return true, false
			}
		}
		return false, false
	}
	for _, arn := range p.arns {
		if arn == who.ARN || sameRole(arn, who.ARN) {
			return true, false
		}
	}
	parts := strings.SplitN(who.ARN, ":", arnParts)
	if len(parts) != arnParts {
		return false, false
	}
	for _, id := range p.accounts {
		if id == parts[4] {
			return true, parts[5] != "root"
		}
	}
	return false, false
}

// sameRole tells whether the session is one of the role. The ARN of a session
// has no path, and names of roles are unique within an account.
func sameRole(role, session string) bool {
	r, s := strings.SplitN(role, ":", arnParts), strings.SplitN(session, ":", arnParts)
	if len(r) != arnParts || len(s) != arnParts || r[1] != s[1] || r[2] != "iam" || s[2] != "sts" || r[4] != s[4] {
		return false
	}
	kind, path, _ := strings.Cut(r[5], "/")
	of := strings.Split(s[5], "/")
	return kind == "role" && of[0] == "assumed-role" && len(of) == 3 && of[1] == path[strings.LastIndex(path, "/")+1:]
}

// matchPrincipal. NotPrincipal exempts those that it names themselves: with the
// user it names the account, too, without exempting the account's other users.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
func (s *statement) matchPrincipal(who Principal) (match, byAccount bool) {
	meant, byAccount := s.principals.names(who)
	if s.notPrincipal {
		return !meant || byAccount, false
	}
	return meant, byAccount
}
