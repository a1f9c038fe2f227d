package rig

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
)

const (
	payloadMin = 100
	payloadMax = 2000
	// slots is how many documents each writer overwrites in turn.
	slots = 64
	// updateLag is how many rounds after its insert a journal's row is updated.
	updateLag = 3
	// retriesMax bounds the attempts at one step in a row.
	retriesMax = 100
)

// Numbers of the server's errors that mean something to a writer.
const (
	errDeadlock         = 1213
	errLockWaitTimeout  = 1205
	errServerShutdown   = 1053
	errConnectionKilled = 1927 // MariaDB
	errSessionKilled    = 3169 // MySQL
)

// ErrConnectionLost is in the error of a writer whose connection broke, as it
// does when the server is killed or stopped.
var ErrConnectionLost = errors.New("the connection to the server is lost")

// writer is one connection and what it writes.
type writer struct {
	number int
	config LoadConfig
	conn   *sql.Conn
	seq    int64 // of the round under way
	meter  meter
	stmts  map[string]*sql.Stmt
	// journals are the tables of the engines without transactions.
	journals []string
}

// statements are those that a writer prepares, by their name in a Stall.
// journalStatements are those for each of the journals, whose name is added.
var statements = map[string]string{
	"debit account":   "UPDATE account SET balance = balance - ? WHERE id = ?",
	"credit account":  "UPDATE account SET balance = balance + ? WHERE id = ?",
	"insert ledger":   "INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?)",
	"delete ledger":   "DELETE FROM ledger WHERE writer = ? AND seq = ?",
	"upsert document": "REPLACE INTO document VALUES (?, ?, ?, ?, ?)",
}

var journalStatements = map[string]string{
	"insert ": "INSERT INTO {table} VALUES (?, ?, ?, ?, ?)",
	"update ": "UPDATE {table} SET revision = ?, crc = ?, payload = ? WHERE writer = ? AND seq = ?",
	"delete ": "DELETE FROM {table} WHERE writer = ? AND seq = ?",
}

// newWriter connects and finds out which round comes next.
func newWriter(ctx context.Context, db *sql.DB, number int, config LoadConfig) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot connect writer %d: %w", number, err)
	}
	w := &writer{number: number, config: config, conn: conn, stmts: map[string]*sql.Stmt{}}
	for _, engine := range config.Journals {
		w.journals = append(w.journals, JournalTable(engine))
	}
	w.meter.stats = WriterStats{Writer: number, Running: true}
	if err := w.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot prepare writer %d: %w", number, err), conn.Close())
	}
	return w, nil
}

func (w *writer) prepare(ctx context.Context) error {
	// A lock that lasts for minutes is what the load is for, not a failure.
	_, err := w.conn.ExecContext(ctx, "SET SESSION innodb_lock_wait_timeout = 86400, lock_wait_timeout = 86400, wait_timeout = 86400")
	if err != nil {
		return err
	}
	for name, text := range statements {
		if w.stmts[name], err = w.conn.PrepareContext(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, table := range w.journals {
		for name, text := range journalStatements {
			if w.stmts[name+table], err = w.conn.PrepareContext(ctx, strings.ReplaceAll(text, "{table}", table)); err != nil {
				return fmt.Errorf("%s: %w", name+table, err)
			}
		}
	}
	return w.catchUp(ctx)
}

// catchUp finds the last round of an earlier load and writes what a kill in its
// midst has left undone, so that sequence numbers have no gaps.
func (w *writer) catchUp(ctx context.Context) error {
	last := map[string]int64{}
	for _, table := range append([]string{"ledger", "document"}, w.journals...) {
		var seq int64
		row := w.conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(seq), 0) FROM "+table+" WHERE writer = ?", w.number)
		if err := row.Scan(&seq); err != nil {
			return err
		}
		last[table] = seq
	}
	w.seq = last["ledger"]
	if last["document"] < w.seq {
		if err := w.document(ctx); err != nil {
			return err
		}
	}
	for _, table := range w.journals {
		for seq := max(last[table], w.seq-int64(w.config.Keep)) + 1; seq <= w.seq; seq++ {
			if err := w.append(ctx, table, seq); err != nil {
				return err
			}
		}
		_, err := w.conn.ExecContext(ctx, "DELETE FROM "+table+" WHERE writer = ? AND seq <= ?", w.number, w.seq-int64(w.config.Keep))
		if err != nil {
			return err
		}
	}
	return nil
}

// round writes the next sequence number to all tables.
func (w *writer) round(ctx context.Context) error {
	w.seq++
	steps := []func(context.Context) error{w.transfer, w.document}
	for _, table := range w.journals {
		steps = append(steps,
			func(ctx context.Context) error { return w.append(ctx, table, w.seq) },
			func(ctx context.Context) error { return w.rewrite(ctx, table) },
			func(ctx context.Context) error { return w.expire(ctx, table) })
	}
	for _, step := range steps {
		if err := w.retry(ctx, step); err != nil {
			return err
		}
	}
	w.meter.count(func(stats *WriterStats) { stats.Rounds++ })
	return nil
}

// retry repeats a step that the server refused because of another's lock. All
// steps are whole transactions or single statements that were not done then.
func (w *writer) retry(ctx context.Context, step func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := step(ctx)
		var refusal *mysql.MySQLError
		if !errors.As(err, &refusal) || refusal.Number != errDeadlock && refusal.Number != errLockWaitTimeout || attempt == retriesMax {
			return markLost(err)
		}
		if err := w.plain(ctx, "ROLLBACK"); err != nil {
			return markLost(err)
		}
		w.meter.count(func(stats *WriterStats) { stats.Retries++ })
	}
}

// markLost adds ErrConnectionLost to errors that mean it.
func markLost(err error) error {
	var refusal *mysql.MySQLError
	var network net.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal) && slices.Contains([]uint16{errServerShutdown, errConnectionKilled, errSessionKilled}, refusal.Number),
		errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, io.EOF), errors.As(err, &network):
		return fmt.Errorf("%w: %w", ErrConnectionLost, err)
	default:
		return err
	}
}

// plain runs a statement without arguments, named by its text.
func (w *writer) plain(ctx context.Context, text string) error {
	w.meter.begin(text)
	_, err := w.conn.ExecContext(ctx, text)
	w.meter.end()
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return nil
}

// exec runs a prepared statement, which has to change the rows it is meant to.
func (w *writer) exec(ctx context.Context, name string, args ...any) error {
	w.meter.begin(name)
	result, err := w.stmts[name].ExecContext(ctx, args...)
	w.meter.end()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if changed, err := result.RowsAffected(); err != nil || changed == 0 {
		return fmt.Errorf("%s: no row was there to change: %w", name, errors.Join(err, sql.ErrNoRows))
	}
	return nil
}

// autocommit is exec for a statement that is a transaction by itself.
func (w *writer) autocommit(ctx context.Context, name string, args ...any) error {
	err := w.exec(ctx, name, args...)
	if err == nil {
		w.meter.count(func(stats *WriterStats) { stats.Transactions++ })
	}
	return err
}

func (w *writer) transfer(ctx context.Context) error {
	random := w.random("transfer", w.seq, 0)
	source := random.IntN(w.config.Accounts)
	target := (source + 1 + random.IntN(w.config.Accounts-1)) % w.config.Accounts
	amount := 1 + random.Int64N(100)
	payload, crc := payload(random)
	debit := func() error { return w.exec(ctx, "debit account", amount, source) }
	credit := func() error { return w.exec(ctx, "credit account", amount, target) }
	first, second := debit, credit
	if target < source { // always in the order of the accounts, against deadlocks
		first, second = credit, debit
	}
	if err := w.plain(ctx, "START TRANSACTION"); err != nil {
		return err
	}
	if err := first(); err != nil {
		return err
	}
	if err := second(); err != nil {
		return err
	}
	if err := w.exec(ctx, "insert ledger", w.number, w.seq, source, target, amount, crc, payload); err != nil {
		return err
	}
	if old := w.seq - int64(w.config.Keep); old > 0 {
		if err := w.ignoreAbsent(w.exec(ctx, "delete ledger", w.number, old)); err != nil {
			return err
		}
	}
	if err := w.plain(ctx, "COMMIT"); err != nil {
		return err
	}
	w.meter.count(func(stats *WriterStats) { stats.Transactions++ })
	return nil
}

func (w *writer) document(ctx context.Context) error {
	payload, crc := payload(w.random("document", w.seq, 0))
	return w.autocommit(ctx, "upsert document", w.number, w.seq%slots, w.seq, crc, payload)
}

func (w *writer) append(ctx context.Context, table string, seq int64) error {
	payload, crc := payload(w.random(table, seq, 0))
	return w.autocommit(ctx, "insert "+table, w.number, seq, 0, crc, payload)
}

func (w *writer) rewrite(ctx context.Context, table string) error {
	old := w.seq - updateLag
	if old <= 0 || updateLag >= w.config.Keep {
		return nil
	}
	payload, crc := payload(w.random(table, old, 1))
	return w.ignoreAbsent(w.autocommit(ctx, "update "+table, 1, crc, payload, w.number, old))
}

func (w *writer) expire(ctx context.Context, table string) error {
	old := w.seq - int64(w.config.Keep)
	if old <= 0 {
		return nil
	}
	return w.ignoreAbsent(w.autocommit(ctx, "delete "+table, w.number, old))
}

// ignoreAbsent accepts that an old row is not there: an earlier load on the same
// data may have kept fewer, or may have been killed within its round.
func (w *writer) ignoreAbsent(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// random is a source that depends on nothing but its arguments and the seed.
func (w *writer) random(table string, seq int64, revision uint64) *rand.Rand {
	place := uint64(crc32.ChecksumIEEE([]byte(table)))<<32 | uint64(w.number)<<8 | revision
	return rand.New(rand.NewPCG(w.config.Seed^place, uint64(seq)))
}

// payload returns 100 to 2000 bytes that do not compress, and their checksum as
// SQL's CRC32 has it.
func payload(random *rand.Rand) ([]byte, uint32) {
	data := make([]byte, 0, payloadMax+8)
	length := payloadMin + random.IntN(payloadMax-payloadMin+1)
	for len(data) < length {
		data = binary.LittleEndian.AppendUint64(data, random.Uint64())
	}
	data = data[:length]
	return data, crc32.ChecksumIEEE(data)
}
