package mysql

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// checkPrivileges refuses a user who could not go through with what the plan
// asks for, see privileges. What the server lists is looked at first, since no
// harmless statement tells RELOAD, PROCESS and their like; then what can be
// tried is tried.
func (s *Session) checkPrivileges(ctx context.Context) error {
	g, err := s.granted(ctx)
	if err != nil {
		return err
	}
	needed := slices.DeleteFunc(privilegesFor(s.server, s.cfg), privilege.optional)
	if missing := g.missing(needed, s.server); len(missing) > 0 {
		return s.lacks(missing, g.roles)
	}
	if err := s.learnPerformance(ctx); err != nil {
		return err
	}
	if _, err := s.readBinlog(ctx, s.b); err != nil {
		return s.statementError(s.b, "read the binlog position of", err)
	}
	if _, err := s.readChannels(ctx, s.b); err != nil {
		return s.statementError(s.b, "read the replica status of", err)
	}
	_, err = s.blockers(ctx, s.cfg.LongQueryAfter)
	return err
}

// granted reads what the user may do. The lines of SHOW GRANTS can hold a
// password's hash and go nowhere.
//
// They show what the session can do: on both families the privileges of the
// roles that are active stand among them, and those of other roles do not
// (TestPrivileges).
func (s *Session) granted(ctx context.Context) (granted, error) {
	rows, err := s.b.query(ctx, "SHOW GRANTS")
	if code(err) == erOptionPrevents { // skip_grant_tables: everyone may do everything
		return granted{all: true}, nil
	}
	if err != nil {
		return granted{}, s.statementError(s.b, "read the privileges in", err)
	}
	var lines []string
	for _, r := range rows {
		for _, line := range r {
			lines = append(lines, line)
		}
	}
	return parseGrants(lines), nil
}

// granted is what a user may do, as far as a plan cares.
type granted struct {
	// all: everything.
	all bool
	// server are the privileges on *.*, in capitals.
	server map[string]bool
	// schemas are those on a whole schema.
	schemas map[string]map[string]bool
	// revoked are MySQL's partial revokes: schemas from which a privilege on *.* is taken.
	revoked map[string]map[string]bool
	// tables are the schemas in which there are privileges on single tables.
	tables map[string]bool
	// roles says that roles are granted, active or not.
	roles bool
}

// parseGrants reads the lines of SHOW GRANTS, of both families.
func parseGrants(lines []string) granted {
	g := granted{server: map[string]bool{}, schemas: map[string]map[string]bool{}, revoked: map[string]map[string]bool{}, tables: map[string]bool{}}
	for _, line := range lines {
		verb, rest, _ := strings.Cut(line, " ")
		if verb == "GRANT" && rest != "" && (rest[0] == '`' || rest[0] == '\'') {
			g.roles = true
			continue
		}
		to := map[string]string{"GRANT": " TO ", "REVOKE": " FROM "}[verb]
		list, rest, ok := strings.Cut(rest, " ON ")
		if !ok || to == "" {
			continue
		}
		on, _, ok := strings.Cut(rest, to)
		if !ok {
			continue
		}
		schema, object := splitObject(on)
		switch {
		case verb == "REVOKE":
			add(g.revoked, schema, list)
		case on == onServer:
			for _, p := range split(list) {
				g.server[p] = true
			}
		case object == "*":
			add(g.schemas, schema, list)
		default:
			g.tables[schema] = true
		}
	}
	g.all = g.server["ALL PRIVILEGES"]
	return g
}

// splitObject splits `schema`.object; a quoted name may hold any character.
func splitObject(on string) (schema, object string) {
	end := 0
	if strings.HasPrefix(on, "`") {
		for end = 1; end < len(on); end++ {
			if on[end] == '`' {
				if end++; end == len(on) || on[end] != '`' {
					break
				}
			}
		}
	}
	if i := strings.IndexByte(on[min(end, len(on)):], '.'); i >= 0 {
		schema, object = on[:end+i], on[end+i+1:]
	} else {
		schema = on
	}
	schema = strings.TrimSuffix(strings.TrimPrefix(schema, "`"), "`")
	return strings.NewReplacer("``", "`", `\_`, "_").Replace(schema), object
}

func add(to map[string]map[string]bool, schema, list string) {
	if to[schema] == nil {
		to[schema] = map[string]bool{}
	}
	for _, p := range split(list) {
		to[schema][p] = true
	}
}

func split(list string) []string {
	names := strings.Split(list, ",")
	for i, name := range names {
		names[i] = strings.ToUpper(strings.TrimSpace(name))
	}
	return names
}

// systemSchemas hold nothing of the users', so that a privilege on *.* may be
// revoked there: what is needed on one of them stands in the table by itself.
var systemSchemas = map[string]bool{"mysql": true, "sys": true, "information_schema": true, performanceSchema: true}

// missing are the privileges of the list that are not granted. Where a partial
// revoke is all that stands against one, it is asked for on that schema.
func (g granted) missing(list []privilege, s server) []privilege {
	var missing []privilege
	for _, p := range list {
		if g.all {
			break
		}
		names := append([]string{p.name}, p.instead...)
		if s.number < p.super {
			names = append(names, "SUPER")
		}
		if p.on == onPerformance {
			if !g.onSchema(names, performanceSchema) && !g.tables[performanceSchema] {
				missing = append(missing, p)
			}
			continue
		}
		if !slices.ContainsFunc(names, func(n string) bool { return g.server[n] }) {
			missing = append(missing, p)
			continue
		}
		for _, schema := range slices.Sorted(maps.Keys(g.revoked)) {
			if !systemSchemas[schema] && !g.onSchema(names, schema) {
				q := p
				q.on = "`" + strings.ReplaceAll(schema, "`", "``") + "`.*"
				missing = append(missing, q)
			}
		}
	}
	return missing
}

// onSchema says that one of the privileges holds on a whole schema.
func (g granted) onSchema(names []string, schema string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		return g.schemas[schema][n] || g.schemas[schema]["ALL PRIVILEGES"] || g.server[n] && !g.revoked[schema][n]
	})
}

// lacks is the refusal of a user, with the statements that help.
func (s *Session) lacks(missing []privilege, roles bool) error {
	words := make([]string, len(missing))
	for i, p := range missing {
		words[i] = fmt.Sprintf("%s on %s (to %s)", p.name, p.on, p.why)
	}
	sentence := fmt.Sprintf("does not let its user do all that this plan needs: it lacks %s; what helps is: %s",
		strings.Join(words, ", "), strings.Join(grantStatements(missing, s.server.user), "; "))
	if roles {
		sentence += "; or, if a role of the user has it, to make that one active at login: SET DEFAULT ROLE"
	}
	return s.target.refused(sentence, nil)
}

// grantError is the refusal where a statement was denied although the list of
// privileges has all: it names every grant that the plan needs.
func (s *Session) grantError(err error) error {
	return s.target.refused("does not let its user do all that this plan needs; what helps is: "+
		strings.Join(grantStatements(privilegesFor(s.server, s.cfg), s.server.user), "; "), err)
}
