package wire

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
	// StatementTimeout bounds every statement but the lock and the flush. A
	// statement that runs into it costs its connection.
	StatementTimeout = 5 * time.Second
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

// Conn is one bare connection to the server. It cannot reconnect: what answers
// on it is the session that was opened, or nothing does.
type Conn struct {
	raw rawConn
	Net net.Conn
	// ID is the server's CONNECTION_ID().
	ID uint64
}

// Row is one row by lower-case column name; NULL is left out.
type Row map[string]string

// setSession frees a session of a site's own limits and dialect: with ANSI_QUOTES
// MySQL's SHOW GRANTS quotes differently, and sql_select_limit would cut short what
// is looked at (TestSitesOwnDefaults). Each family runs the comment that is meant
// for it alone (MariaDB leaves out those from 50700 to 99999).
const setSession = "SET SESSION autocommit = 1, sql_mode = '', sql_select_limit = 18446744073709551615, sql_big_selects = 1, wait_timeout = %d /*M!100101 , max_statement_time = 0 */ /*!50708 , max_execution_time = 0 */"

// Open connects once. The session does not share the server's defaults where
// those could open a transaction, end a statement, or end it while it waits its turn.
func Open(ctx context.Context, cfg *driver.Config) (*Conn, error) {
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

func openOnce(ctx context.Context, cfg *driver.Config) (*Conn, error) {
	c := &Conn{}
	cfg = cfg.Clone()
	dial, note := cfg.DialFunc, &connectNote{}
	if dial == nil {
		dial = plainDial
	}
	guard := &keyGuard{}
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		c.Net = nc
		if g, ok := nc.(*keyGuard); ok {
			guard, c.Net = g, g.Conn
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
	rows, err := c.Query(ctx, "SELECT CONNECTION_ID() AS id")
	if err == nil {
		c.ID, err = OneUint(rows, "id")
	}
	if err == nil {
		err = c.Exec(ctx, fmt.Sprintf(setSession, idleSeconds))
	}
	if err != nil {
		c.Drop()
		return nil, err
	}
	return c, nil
}

// Alive says whether the connection can still be used, as far as we know. It asks nobody.
func (c *Conn) Alive() bool { return c != nil && c.raw.IsValid() }

// Exec runs one statement and drops its rows. It is bounded by ctx and by
// StatementTimeout; running into either costs the connection.
func (c *Conn) Exec(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, StatementTimeout)
	defer cancel()
	_, err := c.raw.ExecContext(ctx, statement, nil)
	return err
}

// ExecUnbounded runs one statement until the server answers or Cut is called
// from another goroutine: the way to request a lock.
func (c *Conn) ExecUnbounded(statement string) error {
	_, err := c.raw.ExecContext(context.Background(), statement, nil)
	return err
}

// ExecWithin runs one statement, bounded by ctx alone: it is for those that may
// take longer than StatementTimeout. Running into the bound costs the
// connection, and does not end the statement in the server.
func (c *Conn) ExecWithin(ctx context.Context, statement string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_, err := c.raw.ExecContext(ctx, statement, nil)
	return err
}

// Query runs one statement and returns its rows, bounded like Exec.
func (c *Conn) Query(ctx context.Context, statement string) ([]Row, error) {
	ctx, cancel := context.WithTimeout(ctx, StatementTimeout)
	defer cancel()
	rows, err := c.raw.QueryContext(ctx, statement, nil)
	if err != nil {
		return nil, err
	}
	columns := rows.Columns()
	values := make([]sqldriver.Value, len(columns))
	var out []Row
	for {
		if err = rows.Next(values); err != nil {
			break
		}
		r := make(Row, len(columns))
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

// Cut closes the socket, from whichever goroutine: a statement that waits for its
// answer returns. Drop must follow, on the goroutine that uses the connection.
func (c *Conn) Cut() {
	if c != nil && c.Net != nil {
		_ = c.Net.Close()
	}
}

// Drop closes the connection without a farewell. It may be called more than once.
func (c *Conn) Drop() {
	c.Cut()
	if c != nil && c.raw != nil {
		_ = c.raw.Close()
	}
}

// Quit says good-bye, which the server may no longer hear, and closes the socket.
func (c *Conn) Quit() {
	if c.Alive() {
		_ = c.Net.SetDeadline(time.Now().Add(closeTimeout))
		_ = c.raw.Close()
	}
	c.Drop()
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

// OneUint reads a column of the one row that there must be.
func OneUint(rows []Row, column string) (uint64, error) {
	if len(rows) != 1 {
		return 0, fmt.Errorf("the server answered with %d rows instead of one", len(rows))
	}
	n, err := strconv.ParseUint(rows[0][column], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", column, err)
	}
	return n, nil
}
