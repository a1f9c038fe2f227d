package mysql

import (
	"context"
	"slices"

	"stillpoint/internal/mysql/access"
	"stillpoint/internal/mysql/position"
)

// checkPrivileges refuses a user who could not go through with what the plan
// asks for, see privileges. What the server lists is looked at first, since no
// harmless statement tells RELOAD, PROCESS and their like; then what can be
// tried is tried.
func (s *Session) checkPrivileges(ctx context.Context) error {
	g, err := s.pair.Granted(ctx)
	if err != nil {
		return err
	}
	needed := slices.DeleteFunc(access.For(s.pair.Server, s.pair.Uses), access.Privilege.Optional)
	if missing := g.Missing(needed, s.pair.Server); len(missing) > 0 {
		return s.pair.Lacks(missing, g.Roles)
	}
	if err := s.pair.LearnPerformance(ctx); err != nil {
		return err
	}
	if _, err := position.Binlog(ctx, s.pair, s.pair.B); err != nil {
		return s.pair.StatementError(s.pair.B, "read the binlog position of", err)
	}
	if _, err := position.Channels(ctx, s.pair, s.pair.B); err != nil {
		return s.pair.StatementError(s.pair.B, "read the replica status of", err)
	}
	_, err = s.look.Blockers(ctx, s.cfg.LongQueryAfter)
	return err
}
