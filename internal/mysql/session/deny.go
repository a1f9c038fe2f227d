package session

import (
	"context"
	"fmt"
	"strings"

	"stillpoint/internal/mysql/access"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
)

// StatementError gives the error of a statement its type: what the user may
// not do is refused with the grant that helps, a broken connection is out of
// reach. what is what could not be done, such as "read the processes of".
func (p *Pair) StatementError(c *wire.Conn, what string, err error) error {
	switch {
	case wire.IsDenied(err):
		return p.grantError(err)
	case !c.Alive():
		return &snapshot.OutOfReachError{What: p.Target.String(), Err: fmt.Errorf("cannot %s the server: %w", what, err)}
	}
	return fmt.Errorf("cannot %s %s: %w", what, p.Target, err)
}

// Granted reads what the user may do. The lines of SHOW GRANTS can hold a
// password's hash and go nowhere.
//
// They show what the session can do: on both families the privileges of the
// roles that are active stand among them, and those of other roles do not
// (TestPrivileges).
func (p *Pair) Granted(ctx context.Context) (access.Granted, error) {
	rows, err := p.B.Query(ctx, "SHOW GRANTS")
	if wire.Code(err) == wire.ErOptionPrevents { // skip_grant_tables: everyone may do everything
		return access.Granted{All: true}, nil
	}
	if err != nil {
		return access.Granted{}, p.StatementError(p.B, "read the privileges in", err)
	}
	var lines []string
	for _, r := range rows {
		for _, line := range r {
			lines = append(lines, line)
		}
	}
	return access.Parse(lines), nil
}

// Lacks is the refusal of a user, with the statements that help.
func (p *Pair) Lacks(missing []access.Privilege, roles bool) error {
	words := make([]string, len(missing))
	for i, p := range missing {
		words[i] = fmt.Sprintf("%s on %s (to %s)", p.Name, p.On, p.Why)
	}
	sentence := fmt.Sprintf("does not let its user do all that this plan needs: it lacks %s; what helps is: %s",
		strings.Join(words, ", "), strings.Join(access.Statements(missing, p.Server.User), "; "))
	if roles {
		sentence += "; or, if a role of the user has it, to make that one active at login: SET DEFAULT ROLE"
	}
	return p.Target.Refused(sentence, nil)
}

// grantError is the refusal where a statement was denied although the list of
// privileges has all: it names every grant that the plan needs.
func (p *Pair) grantError(err error) error {
	return p.Target.Refused("does not let its user do all that this plan needs; what helps is: "+
		strings.Join(access.Statements(access.For(p.Server, p.Uses), p.Server.User), "; "), err)
}
