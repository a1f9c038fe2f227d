package mysql

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

const (
	// dialTimeout bounds the dial alone; what follows it has the context's.
	dialTimeout = 5 * time.Second
	// openTimeout bounds opening one connection, greeting and password included.
	openTimeout = 10 * time.Second
	// openTries is how often a greeting that the driver misreads is asked for.
	openTries = 4
	// statementTimeout bounds every statement but the lock and the flush. A
	// statement that runs into it costs its connection.
	statementTimeout = 5 * time.Second
	// closeTimeout bounds the farewell.
	closeTimeout = 500 * time.Millisecond
	// idleSeconds is the wait_timeout of a session that holds nothing, the
	// servers' own default; a site's shorter one would end it between two tries.
	idleSeconds = 28800
)

// rawConn is what the driver's connection offers and we use.
type rawConn interface {
	sqldriver.Conn
	sqldriver.ExecerContext
	sqldriver.QueryerContext
	sqldriver.Validator
}

// conn is one bare connection to the server. It cannot reconnect: what answers
// on it is the session that was opened, or nothing does.
type conn struct {
	raw rawConn
	net net.Conn
	// id is the server's CONNECTION_ID().
	id uint64
}

// row is one row by lower-case column name; NULL is left out.
type row map[string]string

// setSession frees a session of a site's own limits and dialect: with ANSI_QUOTES
// MySQL's SHOW GRANTS quotes differently, and sql_select_limit would cut short what
// is looked at (TestSitesOwnDefaults). Each family runs the comment that is meant
// for it alone (MariaDB leaves out those from 50700 to 99999).
const setSession = "SET SESSION autocommit = 1, sql_mode = '', sql_select_limit = 18446744073709551615, sql_big_selects = 1, wait_timeout = %d /*M!100101 , max_statement_time = 0 */ /*!50708 , max_execution_time = 0 */"

// open connects once. The session does not share the server's defaults where
// those could open a transaction, end a statement, or end it while it waits its turn.
func open(ctx context.Context, cfg *driver.Config) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	for try := 1; ; try++ {
		c, err := openOnce(ctx, cfg)
		// One in 256 of MariaDB's challenges for ed25519 ends in a zero, of which
		// the driver (1.10.1) thinks that it is not part of it.
		if !errors.Is(err, driver.ErrMalformPkt) || try == openTries {
			return c, err
		}
	}
}

func openOnce(ctx context.Context, cfg *driver.Config) (*conn, error) {
	c := &conn{}
	cfg = cfg.Clone()
	dial, note := cfg.DialFunc, &connectNote{}
	if dial == nil {
		dial = plainDial
	}
	guard := &keyGuard{}
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		c.net = nc
		if g, ok := nc.(*keyGuard); ok {
			guard, c.net = g, g.Conn
		}
		return nc, err
	}
	cfg.Logger = note
	connector, err := driver.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	dc, err := connector.Connect(ctx)
	switch {
	case err == nil:
	case guard.refused:
		return nil, errServerKey
	default:
		return nil, note.explain(err)
	}
	guard.signedIn = true
	raw, ok := dc.(rawConn)
	if !ok {
		_ = dc.Close()
		return nil, fmt.Errorf("the driver's connection (%T) lacks what is needed", dc)
	}
	c.raw = raw
	rows, err := c.query(ctx, "SELECT CONNECTION_ID() AS id")
	if err == nil {
		c.id, err = oneUint(rows, "id")
	}
	if err == nil {
		err = c.exec(ctx, fmt.Sprintf(setSession, idleSeconds))
	}
	if err != nil {
		c.drop()
		return nil, err
	}
	return c, nil
}

// alive says whether the connection can still be used, as far as we know. It asks nobody.
func (c *conn) alive() bool { return c != nil && c.raw.IsValid() }

// exec runs one statement and drops its rows. It is bounded by ctx and by
// statementTimeout; running into either costs the connection.
func (c *conn) exec(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	_, err := c.raw.ExecContext(ctx, statement, nil)
	return err
}

// execUnbounded runs one statement until the server answers or cut is called
// from another goroutine: the way to request a lock.
func (c *conn) execUnbounded(statement string) error {
	_, err := c.raw.ExecContext(context.Background(), statement, nil)
	return err
}

// query runs one statement and returns its rows, bounded like exec.
func (c *conn) query(ctx context.Context, statement string) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := c.raw.QueryContext(ctx, statement, nil)
	if err != nil {
		return nil, err
	}
	columns := rows.Columns()
	values := make([]sqldriver.Value, len(columns))
	var out []row
	for {
		if err = rows.Next(values); err != nil {
			break
		}
		r := make(row, len(columns))
		for i, name := range columns {
			if text, ok := valueText(values[i]); ok {
				r[strings.ToLower(name)] = text
			}
		}
		out = append(out, r)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return out, errors.Join(err, rows.Close())
}

// cut closes the socket, from whichever goroutine: a statement that waits for its
// answer returns. drop must follow, on the goroutine that uses the connection.
func (c *conn) cut() {
	if c != nil && c.net != nil {
		_ = c.net.Close()
	}
}

// drop closes the connection without a farewell. It may be called more than once.
func (c *conn) drop() {
	c.cut()
	if c != nil && c.raw != nil {
		_ = c.raw.Close()
	}
}

// quit says good-bye, which the server may no longer hear, and closes the socket.
func (c *conn) quit() {
	if c.alive() {
		_ = c.net.SetDeadline(time.Now().Add(closeTimeout))
		_ = c.raw.Close()
	}
	c.drop()
}

// valueText is a column of the text protocol as text; false for NULL.
func valueText(v sqldriver.Value) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", false
	case []byte:
		return string(v), true
	case string:
		return v, true
	default:
		return fmt.Sprint(v), true
	}
}

// oneUint reads a column of the one row that there must be.
func oneUint(rows []row, column string) (uint64, error) {
	if len(rows) != 1 {
		return 0, fmt.Errorf("the server answered with %d rows instead of one", len(rows))
	}
	n, err := strconv.ParseUint(rows[0][column], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", column, err)
	}
	return n, nil
}
