package mysql

import (
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/mysql/wire"
)

// load is the application: writers, readers of a table, and a control that
// needs no lock, whose longest round trip is the machine's own noise.
type load struct {
	read    atomic.Pointer[string] // what the readers send
	stop    chan struct{}
	wg      sync.WaitGroup
	writers []*client
	readers []*client
	control []*client
}

// rightOfWay gives a process of ours the processor before everyone else, where
// that is allowed, until the returned function is called: what is measured is a lock, and
// not what else runs on the machine. (A nice value would count within a session's group only.)
func rightOfWay(pid int) (end func()) {
	set := func(policy, priority uint32) {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		for _, task := range tasks {
			if id, err := strconv.Atoi(filepath.Base(task)); err == nil {
				_ = unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: priority}, 0)
			}
		}
	}
	set(unix.SCHED_RR, 1)
	return func() { set(unix.SCHED_NORMAL, 0) }
}

// client runs one statement over and over.
type client struct {
	longest atomic.Int64 // since the last reset
	started atomic.Int64 // when the statement in hand was sent; 0: none is
	failed  atomic.Pointer[error]
}

func startLoad(tb testing.TB, srv *testServer) *load {
	tb.Helper()
	l := &load{stop: make(chan struct{})}
	l.reads("t.a")
	run := func(n int, every time.Duration, statement func() string) []*client {
		list := make([]*client, n)
		for i := range list {
			c, conn := &client{}, srv.app(tb)
			list[i] = c
			l.wg.Go(func() { c.run(conn, every, statement, l.stop) })
		}
		return list
	}
	l.writers = run(manyWriters, 100*time.Millisecond, func() string { return "INSERT INTO t.herd (v) VALUES (1)" })
	l.readers = run(4, 20*time.Millisecond, func() string { return *l.read.Load() })
	l.control = run(4, 10*time.Millisecond, func() string { return "DO 0" })
	return l
}

func (c *client) run(conn *wire.Conn, every time.Duration, statement func() string, stop <-chan struct{}) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		start := time.Now()
		c.started.Store(start.UnixNano())
		if err := conn.ExecUnbounded(statement()); err != nil {
			c.failed.Store(&err)
			return
		}
		c.longest.Store(max(c.longest.Load(), int64(time.Since(start))))
		c.started.Store(0)
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// reads has the readers read another table.
func (l *load) reads(table string) {
	statement := "SELECT v FROM " + table + " LIMIT 1"
	l.read.Store(&statement)
}

func (l *load) end(tb testing.TB) {
	close(l.stop)
	l.wg.Wait()
	for _, c := range l.all() {
		if err := c.failed.Load(); err != nil {
			tb.Errorf("the load: %v", *err)
		}
	}
}

func (l *load) all() []*client {
	return append(append(append([]*client{}, l.writers...), l.readers...), l.control...)
}

func (l *load) reset() {
	for _, c := range l.all() {
		c.longest.Store(0)
	}
}

// settle waits until no client has a statement in hand that began before now, so that
// each stall is measured to its end. One that hangs counts for as long as it was waited for.
func (l *load) settle() {
	now := time.Now()
	for _, c := range l.all() {
		for end := now.Add(5 * time.Second); time.Now().Before(end) && c.failed.Load() == nil; time.Sleep(time.Millisecond) {
			if started := c.started.Load(); started == 0 || started > now.UnixNano() {
				break
			}
		}
	}
}

// usual is by how much stalls exceed their cause on this machine, at this
// moment, without anything of ours: the longest statement that needs no lock, and by how much the
// forty writers come back late from a lock that someone else held for lock_timeout.
func (l *load) usual(tb testing.TB, other *wire.Conn) time.Duration {
	tb.Helper()
	l.reset()
	if err := other.Exec(tb.Context(), "LOCK TABLES t.herd WRITE"); err != nil {
		tb.Fatal(err)
	}
	start := time.Now()
	time.Sleep(blockingTimeout)
	if err := other.Exec(tb.Context(), "UNLOCK TABLES"); err != nil {
		tb.Fatal(err)
	}
	held := time.Since(start)
	l.settle()
	return max(longest(l.control), longest(l.writers)-held)
}

func longest(list []*client) time.Duration {
	var worst int64
	for _, c := range list {
		worst = max(worst, c.longest.Load())
		if started := c.started.Load(); started != 0 {
			worst = max(worst, time.Now().UnixNano()-started)
		}
	}
	return time.Duration(worst)
}
