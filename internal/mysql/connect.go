package mysql

import (
	"context"
	"errors"

	"stillpoint/internal/mysql/session"
	"stillpoint/internal/snapshot"
)

// Connect opens both connections, learns what the server is and that the user
// may do all that will be needed. See snapshot.Database for its errors.
func (d *Database) Connect(ctx context.Context) (snapshot.DatabaseSession, error) {
	s, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// open opens both connections, and asks nothing yet of what the plan wants.
func (d *Database) open(ctx context.Context) (*Session, error) {
	t, err := d.cfg.address().Target()
	if err != nil {
		return nil, &snapshot.RefusedError{Sentence: "the database's credentials cannot be read", Err: err}
	}
	p, err := session.Connect(ctx, t, d.cfg.uses())
	if err != nil {
		return nil, err
	}
	return d.cfg.session(p), nil
}

func (d *Database) connect(ctx context.Context) (*Session, error) {
	s, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.check(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// check makes sure, with nothing held, that the server and its user can do what
// the plan asks for.
func (s *Session) check(ctx context.Context) error {
	if err := s.pair.LearnViews(ctx); err != nil {
		return err
	}
	if err := s.checkPrivileges(ctx); err != nil {
		return err
	}
	if err := s.look.CheckCluster(ctx); err != nil {
		return err
	}
	if err := s.lock.Decide(ctx); err != nil {
		return err
	}
	if s.cfg.LongQueries == LongQueriesFail { // at once, and in a dry run too
		return s.look.Clear(ctx)
	}
	return nil
}
