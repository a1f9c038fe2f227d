package mysql

import (
	"context"
	"strings"
)

// learnViews finds out by which of the server's own tables it can be seen
// who is in the way. Nothing of it is needed; what is missing makes the look coarser.
func (s *Session) learnViews(ctx context.Context) error {
	if s.server.mariadb() {
		// Its plugin is asked directly: no privilege is needed for the question, and PROCESS for the answer.
		_, err := s.b.query(ctx, "SELECT THREAD_ID FROM information_schema.METADATA_LOCK_INFO LIMIT 1")
		s.server.mdlInfo = err == nil
		// Off by default, and the minimal user may not read it.
		var rows []row
		rows, err = s.b.query(ctx, `SELECT ENABLED AS enabled, (SELECT COUNT(*) FROM performance_schema.metadata_locks) + (SELECT COUNT(*) FROM performance_schema.threads) AS n
			FROM performance_schema.setup_instruments WHERE NAME = 'wait/lock/metadata/sql/mdl'`)
		s.server.mdlPerf = err == nil && len(rows) == 1 && rows[0]["enabled"] == "YES" && rows[0]["n"] != "0"
		_, err = s.b.query(ctx, "SELECT e.THREAD_ID FROM performance_schema.events_statements_current e JOIN performance_schema.threads t USING (THREAD_ID) LIMIT 1")
		s.server.digests = err == nil
		if !s.b.alive() {
			return s.statementError(s.b, "ask", err)
		}
	}
	return s.learnCluster(ctx)
}

// learnCluster finds out whether the server is a node of a Galera cluster.
func (s *Session) learnCluster(ctx context.Context) error {
	rows, err := s.b.query(ctx, "SHOW GLOBAL VARIABLES LIKE 'wsrep_on'")
	if err != nil {
		return s.statementError(s.b, "ask", err)
	}
	s.server.wsrep = len(rows) == 1 && strings.EqualFold(rows[0]["value"], "ON")
	return nil
}
