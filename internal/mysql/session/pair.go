package session

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"stillpoint/internal/mysql/access"
	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
)

// Pair is two open connections to one server, and what was learned of the
// server. It is used by one goroutine at a time.
type Pair struct {
	// A holds the lock, B watches it. Either may be opened again, see Revive.
	A, B   *wire.Conn
	Target wire.Target
	Server dialect.Server
	// Uses are the parts of the plan that need a privilege, for what is said
	// where one is missing.
	Uses []access.Use
	// Held says that A holds the lock, so that nothing else may be asked of it.
	Held   bool
	Closed bool

	dial *driver.Config
}

// Connect opens both connections, and learns what the server is. Its errors are
// those of snapshot.Database.Connect.
func Connect(ctx context.Context, t wire.Target, uses []access.Use) (*Pair, error) {
	p, err := newPair(t, uses)
	if err != nil {
		return nil, err
	}
	if err := p.Revive(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if err := p.learn(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Watch is Connect with the second connection alone: of A nothing can be asked.
func Watch(ctx context.Context, t wire.Target, uses []access.Use) (*Pair, error) {
	p, err := newPair(t, uses)
	if err != nil {
		return nil, err
	}
	if err := p.OpenWatcher(ctx); err != nil {
		return nil, err
	}
	if err := p.learn(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func newPair(t wire.Target, uses []access.Use) (*Pair, error) {
	dial, err := t.DriverConfig()
	if err != nil {
		return nil, &snapshot.RefusedError{Sentence: "the settings of the connection to the database cannot be used", Err: err}
	}
	return &Pair{Target: t, Uses: uses, dial: dial}, nil
}

// OpenWatcher opens B again, whatever it was.
func (p *Pair) OpenWatcher(ctx context.Context) error {
	p.B.Drop()
	fresh, err := wire.Open(ctx, p.dial)
	if err != nil {
		return p.Target.ConnectError(ctx, err)
	}
	p.B = fresh
	return nil
}

// Close ends both connections, and with them any lock: the server lets go within
// milliseconds [facts, "Losing the lock"]. It waits for no answer, and less than
// a second for the farewells to be written. It always returns nil: whether the
// server hears the farewell or finds the socket closed comes to the same.
func (p *Pair) Close() error {
	p.Closed, p.Held = true, false
	p.A.Quit()
	p.B.Quit()
	return nil
}

// Revive makes sure, by asking, that both connections answer, and opens again
// what does not. It is called outside the window only.
func (p *Pair) Revive(ctx context.Context) error {
	opened := false
	for _, c := range []**wire.Conn{&p.B, &p.A} {
		if (*c).Alive() && (*c).Exec(ctx, "DO 0") == nil {
			continue
		}
		(*c).Drop()
		fresh, err := wire.Open(ctx, p.dial)
		if err != nil {
			return p.Target.ConnectError(ctx, err)
		}
		*c, opened = fresh, true
	}
	if !opened {
		return nil
	}
	return p.oneServer(ctx)
}

// oneServer refuses connections that lead to different servers, as through a
// proxy that balances: what the watcher would kill by A's id were someone else's session.
func (p *Pair) oneServer(ctx context.Context) error {
	var names [2]string
	for i, c := range []*wire.Conn{p.A, p.B} {
		rows, err := c.Query(ctx, "SELECT CONCAT_WS(' ', @@global.hostname, @@global.port, @@global.socket, @@global.datadir, @@global.pid_file, @@global.server_id) AS name")
		if err != nil || len(rows) != 1 {
			return p.StatementError(c, "ask", errors.Join(err, errors.New("it does not say which server it is")))
		}
		names[i] = rows[0]["name"]
	}
	_, there, err := p.Command(ctx)
	switch {
	case err != nil:
		return p.StatementError(p.B, "read the processes of", err)
	case !there || names[0] != names[1]:
		return p.Target.Refused("leads one connection to one server and the next to another, as a proxy does that balances: connect to the server itself", nil)
	}
	return nil
}

// Command is what the server shows A to be doing; false where it is not there.
func (p *Pair) Command(ctx context.Context) (string, bool, error) {
	var from string
	switch {
	case p.Server.Perf:
		from = fmt.Sprintf("SELECT PROCESSLIST_COMMAND AS command FROM performance_schema.threads WHERE PROCESSLIST_ID = %d", p.A.ID)
	case p.Server.IsMariaDB():
		from = fmt.Sprintf("SELECT COMMAND AS command FROM information_schema.PROCESSLIST WHERE ID = %d", p.A.ID)
	default:
		list, err := p.ShowProcesses(ctx)
		for _, r := range list {
			if r["id"] == strconv.FormatUint(p.A.ID, 10) {
				return r["command"], true, err
			}
		}
		return "", false, err
	}
	rows, err := p.B.Query(ctx, from)
	if err != nil || len(rows) == 0 {
		return "", false, err
	}
	return rows[0]["command"], true, nil
}

// ShowProcesses lists the sessions by the statement that never fails: on MySQL
// information_schema.PROCESSLIST cannot be read while anyone runs a statement
// that is no text in utf8mb3 (error 3854; TestStatementsThatAreNoText).
func (p *Pair) ShowProcesses(ctx context.Context) ([]wire.Row, error) {
	return p.B.Query(ctx, "SHOW FULL PROCESSLIST")
}

// Pause sleeps for d, or less where ctx ends.
func Pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
