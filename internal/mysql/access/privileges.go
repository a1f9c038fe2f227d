package access

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stillpoint/internal/mysql/dialect"
)

// Granted is what a user may do, as far as a plan cares.
type Granted struct {
	// All: everything.
	All bool
	// server are the privileges on *.*, in capitals.
	server map[string]bool
	// schemas are those on a whole schema.
	schemas map[string]map[string]bool
	// revoked are MySQL's partial revokes: schemas from which a privilege on *.* is taken.
	revoked map[string]map[string]bool
	// tables are the schemas in which there are privileges on single tables.
	tables map[string]bool
	// Roles says that roles are granted, active or not.
	Roles bool
}

// Parse reads the lines of SHOW GRANTS, of both families.
func Parse(lines []string) Granted {
	g := Granted{server: map[string]bool{}, schemas: map[string]map[string]bool{}, revoked: map[string]map[string]bool{}, tables: map[string]bool{}}
	for _, line := range lines {
		verb, rest, _ := strings.Cut(line, " ")
		if verb == "GRANT" && rest != "" && (rest[0] == '`' || rest[0] == '\'') {
			g.Roles = true
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
	g.All = g.server["ALL PRIVILEGES"]
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

// Missing are the privileges of the list that are not granted. Where a partial
// revoke is all that stands against one, it is asked for on that schema.
func (g Granted) Missing(list []Privilege, s dialect.Server) []Privilege {
	var missing []Privilege
	for _, p := range list {
		if g.All {
			break
		}
		names := append([]string{p.Name}, p.instead...)
		if s.Number < p.super {
			names = append(names, "SUPER")
		}
		if p.On == onPerformance {
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
				q.On = "`" + strings.ReplaceAll(schema, "`", "``") + "`.*"
				missing = append(missing, q)
			}
		}
	}
	return missing
}

// Probe is the condition on a table of the system that is seen only by whoever
// sees all; "" where no such table can be told.
func (g Granted) Probe() string {
	for _, t := range [][2]string{{"mysql", "db"}, {"sys", "sys_config"}} {
		if g.All || len(g.schemas[t[0]]) == 0 && !g.tables[t[0]] && len(g.revoked[t[0]]) == 0 {
			return fmt.Sprintf("TABLE_SCHEMA = '%s' AND TABLE_NAME = '%s'", t[0], t[1])
		}
	}
	return ""
}

// onSchema says that one of the privileges holds on a whole schema.
func (g Granted) onSchema(names []string, schema string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		return g.schemas[schema][n] || g.schemas[schema]["ALL PRIVILEGES"] || g.server[n] && !g.revoked[schema][n]
	})
}
