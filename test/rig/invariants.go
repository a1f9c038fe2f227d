package rig

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// CheckInvariants checks what must hold on the load's data at every instant at
// which no statement is half-done, without another server to compare with: no
// money was made or lost, every payload has its checksum, no writer's sequence
// has a gap, and no writer's round is in a later table but not in an earlier one,
// or more than one round behind. The last holds across engines and shows tables
// that were caught at different times. The load must be stopped or locked out.
// Tables are those to look at; none means all that there are.
func CheckInvariants(ctx context.Context, s *Server, tables ...string) error {
	order, err := roundOrder(ctx, s, tables)
	if err != nil {
		return err
	}
	checks := []struct{ what, query string }{
		{"accounts hold another sum than they began with",
			fmt.Sprintf("SELECT 'all', SUM(balance) - COUNT(*) * %d AS n FROM %s.account HAVING n <> 0 OR n IS NULL", initialBalance, Schema)},
	}
	for _, table := range order {
		checks = append(checks, struct{ what, query string }{table + ": payloads do not fit their checksum",
			fmt.Sprintf("SELECT writer, COUNT(*) FROM %s.%s WHERE CRC32(payload) <> crc GROUP BY writer", Schema, table)})
		if table != "document" {
			checks = append(checks, struct{ what, query string }{table + ": rows are missing between the first and the last",
				fmt.Sprintf("SELECT writer, MAX(seq) - MIN(seq) + 1 - COUNT(*) AS n FROM %s.%s GROUP BY writer HAVING n <> 0", Schema, table)})
		}
	}
	var failures []error
	for _, check := range checks {
		failures = append(failures, none(ctx, s, check.what, check.query))
	}
	for i, earlier := range order {
		for _, later := range order[i+1:] {
			query := fmt.Sprintf(`SELECT e.writer, COALESCE(l.seq, 0) - e.seq AS n
				FROM (SELECT writer, MAX(seq) AS seq FROM %[1]s.%[2]s GROUP BY writer) e
				LEFT JOIN (SELECT writer, MAX(seq) AS seq FROM %[1]s.%[3]s GROUP BY writer) l USING (writer)
				HAVING n NOT IN (-1, 0)`, Schema, earlier, later)
			failures = append(failures, none(ctx, s, later+" is not at the round of "+earlier, query))
		}
	}
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("cannot confirm the load's invariants: %w", err)
	}
	return nil
}

// roundOrder is the order in which a writer's round reaches the tables: those of
// InnoDB, then the journals in the order of the load's.
func roundOrder(ctx context.Context, s *Server, tables []string) ([]string, error) {
	names, err := tableNames(ctx, s)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("cannot find a table in %s", Schema)
	}
	order := []string{"ledger", "document"}
	for _, engine := range s.flavor.Journals() {
		table := JournalTable(engine)
		if slices.Contains(names, table) && (len(tables) == 0 || slices.Contains(tables, table)) {
			order = append(order, table)
		}
	}
	return order, nil
}

// none returns an error unless the query, of a writer and a number, is empty.
func none(ctx context.Context, s *Server, what, query string) error {
	rows, err := s.db.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("cannot check whether %s: %w", what, err)
	}
	defer rows.Close()
	var failures []error
	for rows.Next() {
		var writer string
		var number *int64
		if err := rows.Scan(&writer, &number); err != nil {
			return fmt.Errorf("cannot check whether %s: %w", what, err)
		}
		if number == nil {
			failures = append(failures, fmt.Errorf("%s: nothing is there", what))
			continue
		}
		failures = append(failures, fmt.Errorf("%s: %d (writer %s)", what, *number, writer))
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("cannot check whether %s: %w", what, err)
	}
	return errors.Join(failures...)
}

// CheckTables runs CHECK TABLE EXTENDED on every table of the load's schema. Any
// answer but a plain OK is an error that quotes it, a warning such as a table
// that was not closed included. Start the server with NoRepair, or it may have
// repaired what was damaged before this looks; Complaints tells of that too.
// Tables are those to look at; none means all that there are.
func CheckTables(ctx context.Context, s *Server, tables ...string) error {
	names, err := tableNames(ctx, s)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("cannot find a table in %s", Schema)
	}
	var failures []error
	for _, name := range names {
		if len(tables) == 0 || slices.Contains(tables, name) {
			failures = append(failures, checkTable(ctx, s, name))
		}
	}
	return errors.Join(failures...)
}

func checkTable(ctx context.Context, s *Server, name string) error {
	rows, err := s.db.QueryContext(ctx, "CHECK TABLE "+Schema+"."+quoteName(name)+" EXTENDED")
	if err != nil {
		return fmt.Errorf("cannot check the table %s: %w", name, err)
	}
	defer rows.Close()
	var failures []error
	answered := false
	for rows.Next() {
		var table, operation, kind, text string
		if err := rows.Scan(&table, &operation, &kind, &text); err != nil {
			return fmt.Errorf("cannot check the table %s: %w", name, err)
		}
		if kind == "status" && text == "OK" {
			answered = true
			continue
		}
		failures = append(failures, fmt.Errorf("cannot trust the table %s: CHECK TABLE says %s: %s", name, kind, text))
	}
	if err := rows.Err(); err != nil {
		failures = append(failures, fmt.Errorf("cannot check the table %s: %w", name, err))
	}
	if !answered && len(failures) == 0 {
		failures = append(failures, fmt.Errorf("cannot trust the table %s: CHECK TABLE says nothing", name))
	}
	return errors.Join(failures...)
}
