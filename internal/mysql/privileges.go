package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// checkPrivileges refuses a user who could not go through with a run. What a
// harmless statement can tell is tried; RELOAD and PROCESS, which none can, are
// looked for in SHOW GRANTS.
func (s *Session) checkPrivileges(ctx context.Context) error {
	global, roles, err := s.globalPrivileges(ctx)
	if err != nil {
		return err
	}
	// MySQL hides what inactive roles grant and MariaDB shows what active ones
	// do, so behind a role only MariaDB's list is complete.
	if s.server.mariadb() || !roles {
		for _, any := range [][]string{{"RELOAD", "FLUSH_TABLES"}, {"PROCESS"}} {
			if !slices.ContainsFunc(any, func(p string) bool { return global[p] || global["ALL PRIVILEGES"] }) {
				return s.grantError(fmt.Errorf("it lacks %s", any[0]))
			}
		}
	}
	if _, err := s.readBinlog(ctx, s.b); err != nil {
		return s.statementError(s.b, "read the binlog position of", err)
	}
	if _, err := s.readChannels(ctx, s.b); err != nil {
		return s.statementError(s.b, "read the replica status of", err)
	}
	if _, err := s.blockers(ctx, s.cfg.LongQueryAfter); err != nil {
		return err
	}
	return nil
}

// globalPrivileges reads what is granted on *.*, in capitals, and whether there
// are roles. The lines of SHOW GRANTS can hold a password's hash and go nowhere.
func (s *Session) globalPrivileges(ctx context.Context) (map[string]bool, bool, error) {
	rows, err := s.b.query(ctx, "SHOW GRANTS")
	if code(err) == erOptionPrevents { // skip_grant_tables: everyone may do everything
		return map[string]bool{"ALL PRIVILEGES": true}, false, nil
	}
	if err != nil {
		return nil, false, s.statementError(s.b, "read the privileges in", err)
	}
	var lines []string
	for _, r := range rows {
		for _, line := range r {
			lines = append(lines, line)
		}
	}
	global, roles := parseGrants(lines)
	return global, roles, nil
}

// parseGrants picks the global privileges out of the lines of SHOW GRANTS.
func parseGrants(lines []string) (global map[string]bool, roles bool) {
	global = map[string]bool{}
	for _, line := range lines {
		rest, ok := strings.CutPrefix(line, "GRANT ")
		if !ok {
			continue
		}
		if rest != "" && (rest[0] == '`' || rest[0] == '\'') {
			roles = true
			continue
		}
		list, _, ok := strings.Cut(rest, " ON *.* TO ")
		if !ok || strings.Contains(list, "`") {
			continue
		}
		for _, p := range strings.Split(list, ",") {
			global[strings.ToUpper(strings.TrimSpace(p))] = true
		}
	}
	return global, roles
}

// grantError is a refusal that names the statement which helps. The lists are
// the smallest that did [facts, "Minimal privileges"]; older servers know fewer
// names (MariaDB before 10.5, MySQL before 8.0.23).
func (s *Session) grantError(err error) error {
	var grants string
	switch {
	case s.server.mariadb() && s.server.number >= 100500:
		grants = "GRANT RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO " + s.server.user
	case s.server.mariadb():
		grants = "GRANT RELOAD, PROCESS, REPLICATION CLIENT ON *.* TO " + s.server.user
	case s.server.number >= 80023:
		grants = fmt.Sprintf("GRANT FLUSH_TABLES, REPLICATION CLIENT, PROCESS ON *.* TO %s; GRANT SELECT ON performance_schema.* TO %[1]s", s.server.user)
	default:
		grants = fmt.Sprintf("GRANT RELOAD, REPLICATION CLIENT, PROCESS ON *.* TO %s; GRANT SELECT ON performance_schema.* TO %[1]s", s.server.user)
	}
	return s.target.refused("does not let its user do all that is needed; what helps is: "+grants, err)
}
