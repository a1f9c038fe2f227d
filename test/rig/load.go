package rig

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// LoadConfig says how to write.
type LoadConfig struct {
	// Writers is how many write at once, each on a connection of its own. Zero
	// means 8.
	Writers int
	// Accounts is how many accounts money is moved between. It has to be the same
	// for every load on the same data. Zero means 1000.
	Accounts int
	// Keep is how many rows each writer leaves in the ledger and in each of the
	// journals; older ones are deleted. Zero means 500.
	Keep int
	// Pause is the rest of each writer between two rounds. Zero means none.
	Pause time.Duration
	// Journals are the engines without transactions that have a table in the load,
	// such as "MyISAM". Nil means all of the server's (Flavor.Journals), an empty
	// slice none: then every table is InnoDB's.
	Journals []string
	// Seed varies the contents. Loads of equal seed write equal rows.
	Seed uint64
	// StopPatience bounds how long Stop waits for a writer to end its round before
	// the connections are cut, which makes it report an error. Zero means 30 s.
	StopPatience time.Duration
}

// Load is a set of writers at work.
//
// Every round of a writer carries a sequence number and consists of: a transfer
// (two accounts and the ledger in one InnoDB transaction), a document (InnoDB,
// one statement), and then for each of the journals in their order an insert, an
// update of an older row to another length, and a delete of a row that is too old.
type Load struct {
	db      *sql.DB
	writers []*writer
	stop    chan struct{} // closed to let the writers end after their round
	cut     context.CancelFunc
	patient time.Duration
	group   sync.WaitGroup
	once    sync.Once
	err     error // of Stop; to be read after once

	mu       sync.Mutex
	failures []error
}

// StartLoad makes the schema where it is missing and starts the writers. On data
// of an earlier load they go on with the next sequence number. When ctx ends,
// the writers end after their round; Stop has to be called in any case.
func StartLoad(ctx context.Context, server *Server, config LoadConfig) (*Load, error) {
	l, err := startLoad(ctx, server, config)
	if err != nil {
		return nil, fmt.Errorf("cannot start the load: %w", err)
	}
	return l, nil
}

func startLoad(ctx context.Context, server *Server, config LoadConfig) (*Load, error) {
	config.Writers = cmp.Or(config.Writers, 8)
	config.Accounts = cmp.Or(config.Accounts, 1000)
	config.Keep = cmp.Or(config.Keep, 500)
	if config.Writers < 0 || config.Accounts < 2 || config.Keep < 1 {
		return nil, fmt.Errorf("%d writers, %d accounts and %d rows to keep are no load", config.Writers, config.Accounts, config.Keep)
	}
	if config.Journals == nil {
		config.Journals = server.flavor.Journals()
	}
	if err := createSchema(ctx, server.db, config.Accounts, config.Journals); err != nil {
		return nil, err
	}
	db, err := server.open(Schema)
	if err != nil {
		return nil, err
	}
	// The statements run on a context that only Stop ends: one that is broken off
	// half-way may or may not have happened, and MyISAM cannot roll back.
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	l := &Load{
		db: db, stop: make(chan struct{}), cut: cut,
		patient: cmp.Or(config.StopPatience, 30*time.Second),
	}
	for number := range config.Writers {
		w, err := newWriter(ctx, db, number, config)
		if err != nil {
			cut()
			return nil, errors.Join(err, l.close())
		}
		l.writers = append(l.writers, w)
	}
	for _, w := range l.writers {
		l.group.Go(func() { l.run(ctx, work, w) })
	}
	return l, nil
}

// run lets one writer write until it is told to stop or fails.
func (l *Load) run(ctx, work context.Context, w *writer) {
	defer w.meter.count(func(stats *WriterStats) { stats.Running = false })
	for {
		select {
		case <-l.stop:
			return
		case <-ctx.Done():
			return
		default:
		}
		if err := w.round(work); err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.failures = append(l.failures, fmt.Errorf("cannot write as writer %d (round %d): %w", w.number, w.seq, err))
			return
		}
		if w.config.Pause <= 0 {
			continue
		}
		select {
		case <-l.stop:
		case <-ctx.Done():
		case <-time.After(w.config.Pause):
		}
	}
}

// Err returns the errors of the writers that have failed so far, joined.
func (l *Load) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.failures...)
}

// Stop lets every writer end its round, waits for all of them and returns their
// errors, joined. Writers that are still blocked after StopPatience lose their
// connection and report that. A second Stop returns what the first did.
func (l *Load) Stop() error {
	l.once.Do(func() {
		close(l.stop)
		timer := time.AfterFunc(l.patient, l.cut)
		l.group.Wait()
		timer.Stop()
		l.cut()
		l.err = errors.Join(l.Err(), l.close())
	})
	return l.err
}

// close gives the connections back. A connection that is gone is no error here:
// its writer has reported it.
func (l *Load) close() error {
	for _, w := range l.writers {
		_ = w.conn.Close()
	}
	if err := l.db.Close(); err != nil {
		return fmt.Errorf("cannot close the load's connections: %w", err)
	}
	return nil
}
