package rig

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// wordsMax is how many differences of a table are put in words.
const wordsMax = 5

// TableDiff is what Compare found about one table. The first and the second are
// the servers in the order of Compare's arguments.
type TableDiff struct {
	Table                 string
	RowsFirst, RowsSecond int64
	OnlyFirst, OnlySecond int64 // rows of a primary key that the other lacks
	Changed               int64 // rows of one primary key with other contents
	// Words are the first few differences, such as "(writer 3, seq 17): only in
	// the second", and any difference of the definitions.
	Words []string
}

// Equal tells whether nothing differs.
func (d TableDiff) Equal() bool {
	return d.OnlyFirst+d.OnlySecond+d.Changed == 0 && len(d.Words) == 0
}

// Diff is the result of Compare, one entry per table of either server.
type Diff struct{ Tables []TableDiff }

// Equal tells whether there were tables and nothing differs.
func (d Diff) Equal() bool {
	return len(d.Tables) > 0 && !slices.ContainsFunc(d.Tables, func(t TableDiff) bool { return !t.Equal() })
}

// Only is the part about the tables that keep wants.
func (d Diff) Only(keep func(table string) bool) Diff {
	return Diff{slices.DeleteFunc(slices.Clone(d.Tables), func(t TableDiff) bool { return !keep(t.Table) })}
}

// Rows counts the rows of the first server.
func (d Diff) Rows() int64 {
	var rows int64
	for _, table := range d.Tables {
		rows += table.RowsFirst
	}
	return rows
}

// String is one line per table that differs, or one that says that none does.
func (d Diff) String() string {
	if d.Equal() {
		return fmt.Sprintf("equal: %d rows in %d tables", d.Rows(), len(d.Tables))
	}
	lines := []string{}
	for _, t := range d.Tables {
		if !t.Equal() {
			lines = append(lines, fmt.Sprintf("%s: %d and %d rows, %d only in the first, %d only in the second, %d changed: %s",
				t.Table, t.RowsFirst, t.RowsSecond, t.OnlyFirst, t.OnlySecond, t.Changed, strings.Join(t.Words, "; ")))
		}
	}
	return strings.Join(append(lines, fmt.Sprintf("(%d tables in all)", len(d.Tables))), "\n")
}

// Compare compares the definition and all rows of every table of the load's
// schema, in the order of the primary keys. Nobody may write to either meanwhile.
// Differences are in the Diff, and so is a table that a server refuses to read,
// as a damaged one; an error means that it could not compare.
func Compare(ctx context.Context, first, second *Server) (Diff, error) {
	var all []string
	has := make([][]string, 2)
	for i, s := range []*Server{first, second} {
		names, err := tableNames(ctx, s)
		if err != nil {
			return Diff{}, fmt.Errorf("cannot compare: %w", err)
		}
		has[i], all = names, append(all, names...)
	}
	slices.Sort(all)
	var diff Diff
	for _, name := range slices.Compact(all) {
		switch {
		case !slices.Contains(has[0], name):
			diff.Tables = append(diff.Tables, TableDiff{Table: name, Words: []string{"the first has no such table"}})
		case !slices.Contains(has[1], name):
			diff.Tables = append(diff.Tables, TableDiff{Table: name, Words: []string{"the second has no such table"}})
		default:
			table, err := compareTable(ctx, first, second, name)
			var refusal *mysql.MySQLError
			if errors.As(err, &refusal) {
				table.Words = append(table.Words, err.Error())
			} else if err != nil {
				return diff, fmt.Errorf("cannot compare the table %s: %w", name, err)
			}
			diff.Tables = append(diff.Tables, table)
		}
	}
	return diff, nil
}

func compareTable(ctx context.Context, first, second *Server, name string) (diff TableDiff, err error) {
	diff.Table = name
	definitions := make([]string, 2)
	for i, s := range []*Server{first, second} {
		var ignored string
		query := "SHOW CREATE TABLE " + Schema + "." + quoteName(name)
		if err := s.db.QueryRowContext(ctx, query).Scan(&ignored, &definitions[i]); err != nil {
			return diff, err
		}
	}
	if definitions[0] != definitions[1] {
		diff.Words = append(diff.Words, "the tables are defined differently")
		return diff, nil
	}
	a, err := openCursor(ctx, first, name)
	if err != nil {
		return diff, fmt.Errorf("cannot read the first server: %w", err)
	}
	defer func() { err = errors.Join(err, a.rows.Close()) }()
	b, err := openCursor(ctx, second, name)
	if err != nil {
		return diff, fmt.Errorf("cannot read the second server: %w", err)
	}
	defer func() { err = errors.Join(err, b.rows.Close()) }()
	return diff, diff.merge(a, b)
}

// merge walks both cursors in step.
func (d *TableDiff) merge(a, b *cursor) error {
	if err := errors.Join(a.next(), b.next()); err != nil {
		return err
	}
	for a.ok || b.ok {
		var order int
		switch {
		case !b.ok:
			order = -1
		case !a.ok:
			order = 1
		default:
			order = slices.Compare(a.key, b.key)
		}
		var err error
		switch {
		case order < 0:
			d.OnlyFirst++
			d.say(a.keyWords() + ": only in the first")
			err = a.next()
		case order > 0:
			d.OnlySecond++
			d.say(b.keyWords() + ": only in the second")
			err = b.next()
		default:
			if words := a.compare(b); words != "" {
				d.Changed++
				d.say(a.keyWords() + ": " + words)
			}
			err = errors.Join(a.next(), b.next())
		}
		if err != nil {
			return err
		}
	}
	d.RowsFirst, d.RowsSecond = a.count, b.count
	return nil
}

func (d *TableDiff) say(words string) {
	if len(d.Words) < wordsMax {
		d.Words = append(d.Words, words)
	}
}

// cursor reads a table in the order of its primary key, which has to consist of
// whole numbers: text would come in an order that depends on its collation.
type cursor struct {
	rows    *sql.Rows
	columns []string
	keys    []int // the places of the primary key's columns
	values  []sql.RawBytes
	targets []any
	key     []int64
	count   int64
	ok      bool
}

func openCursor(ctx context.Context, s *Server, table string) (*cursor, error) {
	names, err := primaryKey(ctx, s, table)
	if err != nil {
		return nil, err
	}
	order := make([]string, len(names))
	for i, name := range names {
		order[i] = quoteName(name)
	}
	query := "SELECT * FROM " + Schema + "." + quoteName(table) + " ORDER BY " + strings.Join(order, ", ")
	rows, err := s.db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	c := &cursor{rows: rows}
	if c.columns, err = rows.Columns(); err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	for _, name := range names {
		c.keys = append(c.keys, slices.Index(c.columns, name))
	}
	c.key = make([]int64, len(c.keys))
	c.values = make([]sql.RawBytes, len(c.columns))
	c.targets = make([]any, len(c.columns))
	for i := range c.values {
		c.targets[i] = &c.values[i]
	}
	return c, nil
}

func primaryKey(ctx context.Context, s *Server, table string) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT column_name FROM information_schema.key_column_usage
		WHERE table_schema = ? AND table_name = ? AND constraint_name = 'PRIMARY' ORDER BY ordinal_position`, Schema, table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	if len(names) == 0 && rows.Err() == nil {
		return nil, errors.New("it has no primary key")
	}
	return names, rows.Err()
}

// next reads the next row; ok is false after the last.
func (c *cursor) next() error {
	if c.ok = c.rows.Next(); !c.ok {
		return c.rows.Err()
	}
	c.count++
	if err := c.rows.Scan(c.targets...); err != nil {
		return err
	}
	for i, column := range c.keys {
		number, err := strconv.ParseInt(string(c.values[column]), 10, 64)
		if err != nil {
			return fmt.Errorf("the primary key's column %s is no whole number: %w", c.columns[column], err)
		}
		c.key[i] = number
	}
	return nil
}

func (c *cursor) keyWords() string {
	words := make([]string, len(c.keys))
	for i, column := range c.keys {
		words[i] = fmt.Sprintf("%s %d", c.columns[column], c.key[i])
	}
	return "(" + strings.Join(words, ", ") + ")"
}

// compare puts in words how the row differs from the other's, or returns "".
func (c *cursor) compare(other *cursor) string {
	var words []string
	for i, value := range c.values {
		if !bytes.Equal(value, other.values[i]) || (value == nil) != (other.values[i] == nil) {
			words = append(words, fmt.Sprintf("%s is %s and %s", c.columns[i], show(value), show(other.values[i])))
		}
	}
	return strings.Join(words, ", ")
}

func show(value sql.RawBytes) string {
	const few = 24
	switch {
	case value == nil:
		return "NULL"
	case len(value) <= few:
		return strconv.Quote(string(value))
	default:
		return fmt.Sprintf("%d bytes 0x%x...", len(value), []byte(value[:few/2]))
	}
}
