package applier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"stillpoint/internal/mysql/access"
	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/session"
	"stillpoint/internal/mysql/wire"
)

// settleEvery is how often Settle looks whether a living process has let go of its note.
const settleEvery = 100 * time.Millisecond

// Settle starts the appliers again that the note in a runtime directory
// says were stopped by a process that is dead, and removes the note. It says in
// sentences what it did; none where there is no note. While the process lives that
// has the note, it is waited for until ctx ends.
//
// Nothing is started that others may have stopped: not in a server that was
// restarted since, and no channel that the note does not name. Where the process
// died in the middle of a stop, that may still be under way in the server; then the
// stop is repeated, which waits for it, so that the start comes after it.
//
// An error says what is still owed; the note stays.
func Settle(ctx context.Context, dir string) ([]string, error) {
	for {
		n, err := openNote(dir)
		switch {
		case errors.Is(err, ErrBusy):
			select {
			case <-time.After(settleEvery):
				continue
			case <-ctx.Done():
				return nil, fmt.Errorf("cannot settle the replica's applier yet: %w", err)
			}
		case err != nil:
			return nil, fmt.Errorf("cannot settle the replica's applier: %w", err)
		case n == nil:
			return nil, nil
		}
		did, err := n.settle(ctx)
		if err != nil {
			n.letGo()
			return did, fmt.Errorf("cannot start the replica's applier, which stillpoint (process %d) has stopped; by hand: %s: %w", n.owed.PID, n.byHand(), err)
		}
		return did, n.remove()
	}
}

// settle does what the note says.
func (n *note) settle(ctx context.Context) ([]string, error) {
	boot, _, err := now()
	if err != nil {
		return nil, err
	}
	if boot != n.owed.BootID {
		return []string{"the host was started again since the replica's applier was stopped: nothing is left to be done"}, nil
	}
	s, err := n.session(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	restarted, err := n.outlived(ctx, s.B)
	if err != nil {
		return nil, err
	}
	if restarted {
		return []string{fmt.Sprintf("%s was restarted since its replica's applier was stopped: it is left as the server starts it", s.Target)}, nil
	}
	running, err := s.runningAppliers(ctx)
	if err != nil {
		return nil, err
	}
	var did []string
	d := s.Server.Dialect()
	for _, name := range n.owed.Channels {
		runs := slices.Contains(running, name)
		if runs && n.owed.Phase == phaseStopped {
			did = append(did, fmt.Sprintf("the applier%s of %s runs again already", OfName(name), s.Target))
			continue
		}
		if !dialect.GoodName(name) {
			return did, fmt.Errorf("the name of channel %q cannot be put into a statement", name)
		}
		if runs {
			if err := s.B.ExecWithin(ctx, d.Stop(name)); err != nil {
				return did, s.StatementError(s.B, "wait for the stop of the applier of", err)
			}
		}
		if err := s.B.ExecWithin(ctx, d.Start(name)); err != nil {
			return did, s.StatementError(s.B, "start the applier of", err)
		}
		did = append(did, fmt.Sprintf("the applier%s of %s, stopped by a stillpoint that is dead (process %d), was started again", OfName(name), s.Target, n.owed.PID))
	}
	return did, nil
}

// session connects to the server that the note is about.
func (n *note) session(ctx context.Context) (*Applier, error) {
	o := n.owed
	at := wire.Address{DefaultsFile: o.DefaultsFile, Socket: o.Socket, Host: o.Host, Port: o.Port, User: o.User}
	t, err := at.Target()
	if err != nil {
		return nil, err
	}
	p, err := session.Watch(ctx, t, []access.Use{access.Always, access.Applier})
	if err != nil {
		return nil, err
	}
	return New(p, at, "", 0), nil
}

// byHand is what a person types.
func (n *note) byHand() string {
	return fmt.Sprintf("START REPLICA SQL_THREAD (MariaDB: START ALL SLAVES; channels %q), and remove %s", n.owed.Channels, n.path)
}
