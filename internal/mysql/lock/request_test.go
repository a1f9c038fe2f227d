package lock

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"stillpoint/internal/mysql/access"
	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/look"
	"stillpoint/internal/mysql/mysqltest"
	"stillpoint/internal/mysql/session"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
)

const slowUpdate = "UPDATE t.a SET v = v + SLEEP(30)"

// holderOf asks a server for FTWRL, behind whatever stands in its way.
func holderOf(t *testing.T, srv *mysqltest.Server, timeout time.Duration) *Holder {
	t.Helper()
	at, err := wire.Address{Socket: srv.Socket, User: mysqltest.User, Password: mysqltest.Password}.Target()
	if err != nil {
		t.Fatal(err)
	}
	p, err := session.Connect(t.Context(), at, []access.Use{access.Always, access.FTWRL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return New(p, look.New(p, look.Policy{After: time.Hour}), Options{Mode: FTWRL, Timeout: timeout})
}

// try makes one, from the look on.
func (h *Holder) try(ctx context.Context) error {
	if err := h.Ready(ctx, 10*time.Second, func() error { return nil }); err != nil {
		return err
	}
	return h.Lock(ctx, 10*time.Second)
}

// notGranted fails the test where a try did not run into its time.
func notGranted(t *testing.T, err error) {
	t.Helper()
	if no := new(snapshot.LockNotGrantedError); !errors.As(err, &no) || no.Waited {
		t.Fatalf("the lock is not reported as not granted: %v", err)
	}
}

// mustTake takes the lock, which nothing blocks any more once a killed statement has rolled back.
func (h *Holder) mustTake(t *testing.T) {
	t.Helper()
	err := h.try(t.Context())
	for end := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(end); {
		err = h.try(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The lock is granted after its time has passed and before the kill arrives; and the
// watcher dies at that moment.
func TestTheMomentOfTheKill(t *testing.T) {
	srv := mysqltest.Start(t, dialect.MariaDB)
	t.Run("granted just before", func(t *testing.T) { grantedJustBefore(t, srv) })
	t.Run("the watcher dies", func(t *testing.T) { watcherDies(t, srv) })
}

func grantedJustBefore(t *testing.T, srv *mysqltest.Server) {
	h := holderOf(t, srv, 60*time.Millisecond)
	root := srv.Root(t)
	for range 5 {
		stop := srv.Busy(t, slowUpdate)
		h.beforeKill = func() {
			stop()
			for end := time.Now().Add(20 * time.Second); time.Now().Before(end); { // a busy machine answers slowly
				rows, err := root.Query(context.Background(), fmt.Sprintf("SELECT COMMAND AS c FROM information_schema.PROCESSLIST WHERE ID = %d", h.A.ID))
				if err == nil && len(rows) == 1 && rows[0]["c"] == "Sleep" {
					return
				}
			}
			t.Error("the request does not end")
		}
		notGranted(t, h.try(t.Context()))
		srv.MustWrite(t) // it was let go
		srv.IsIdle(t, 2)
		h.beforeKill = nil
		h.mustTake(t) // the kill does not hit what comes next
		if err := h.Verify(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := h.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_ = h.Close()
	srv.IsIdle(t, 0)
}

func watcherDies(t *testing.T, srv *mysqltest.Server) {
	h := holderOf(t, srv, 250*time.Millisecond)
	stop := srv.Busy(t, slowUpdate)
	root := srv.Root(t)
	h.beforeKill = func() {
		if err := root.Exec(context.Background(), fmt.Sprintf("KILL %d", h.B.ID)); err != nil {
			t.Error(err)
		}
	}
	notGranted(t, h.try(t.Context()))
	h.beforeKill = nil
	srv.MustWrite(t)
	for _, one := range srv.Ours(t) {
		if one != "Sleep" {
			t.Errorf("still there: %s", one)
		}
	}
	stop()
	h.mustTake(t)
	srv.IsIdle(t, 2)
}
