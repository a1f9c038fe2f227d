package rig

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// Schema is the database that the load writes to, and the only one that Replay,
// Compare, CheckTables and CheckInvariants look at.
const Schema = "rig"

// errUnknownDatabase is the number of the servers' error.
const errUnknownDatabase = 1049

// initialBalance is what every account starts with.
const initialBalance = 1000

// innoDBTables are made in this order. A row's seq counts the rounds of its
// writer; crc is the checksum of its payload. The journals, made after them,
// alike hold single-row statements outside transactions, in the engines that
// know none.
var innoDBTables = []struct{ name, definition string }{
	{"account", `(
		id INT NOT NULL PRIMARY KEY,
		balance BIGINT NOT NULL
	) ENGINE=InnoDB`},
	{"ledger", `(
		writer INT NOT NULL,
		seq BIGINT NOT NULL,
		source INT NOT NULL,
		target INT NOT NULL,
		amount BIGINT NOT NULL,
		crc INT UNSIGNED NOT NULL,
		payload VARBINARY(2000) NOT NULL,
		PRIMARY KEY (writer, seq)
	) ENGINE=InnoDB`},
	{"document", `(
		writer INT NOT NULL,
		slot INT NOT NULL,
		seq BIGINT NOT NULL,
		crc INT UNSIGNED NOT NULL,
		payload VARBINARY(2000) NOT NULL,
		PRIMARY KEY (writer, slot),
		KEY (seq)
	) ENGINE=InnoDB`},
}

// JournalPrefix is how the names of the tables without transactions begin.
const JournalPrefix = "journal_"

const journalDefinition = `(
		writer INT NOT NULL,
		seq BIGINT NOT NULL,
		revision INT NOT NULL,
		crc INT UNSIGNED NOT NULL,
		payload VARBINARY(2000) NOT NULL,
		PRIMARY KEY (writer, seq),
		KEY (crc)
	)`

// InnoDBTables are the names of the tables that know transactions.
func InnoDBTables() []string {
	var names []string
	for _, table := range innoDBTables {
		names = append(names, table.name)
	}
	return names
}

// JournalTable is the name of the table of an engine without transactions.
func JournalTable(engine string) string { return JournalPrefix + strings.ToLower(engine) }

// IsJournal tells whether a table of the schema knows no transactions. (Aria's
// TRANSACTIONAL=1 means that a statement survives a crash, not that it rolls back.)
func IsJournal(table string) bool { return strings.HasPrefix(table, JournalPrefix) }

// createSchema makes what is missing of the schema and of its accounts.
func createSchema(ctx context.Context, db *sql.DB, accounts int, journals []string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("cannot connect: %w", err)
	}
	defer conn.Close()
	// With a default database every statement carries the schema's name into the
	// binlog, where Replay selects by it.
	statements := []string{"CREATE DATABASE IF NOT EXISTS " + Schema, "USE " + Schema}
	for _, table := range innoDBTables {
		statements = append(statements, "CREATE TABLE IF NOT EXISTS "+table.name+" "+table.definition)
	}
	for _, engine := range journals {
		statements = append(statements, "CREATE TABLE IF NOT EXISTS "+JournalTable(engine)+" "+journalDefinition+" ENGINE="+engine)
	}
	rows := make([]string, accounts)
	for id := range rows {
		rows[id] = fmt.Sprintf("(%d,%d)", id, initialBalance)
	}
	statements = append(statements, "INSERT IGNORE INTO account VALUES "+strings.Join(rows, ","))
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("cannot make the load's schema: %w", err)
		}
	}
	return nil
}

// tableNames lists the tables that the server has in the schema, in order; none
// where it does not have the schema.
func tableNames(ctx context.Context, s *Server) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, "SHOW TABLES FROM "+Schema)
	var refusal *mysql.MySQLError
	if errors.As(err, &refusal) && refusal.Number == errUnknownDatabase {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list the tables of %s: %w", Schema, err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("cannot list the tables of %s: %w", Schema, err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("cannot list the tables of %s: %w", Schema, err)
	}
	return names, nil
}

func quoteName(name string) string {
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}
