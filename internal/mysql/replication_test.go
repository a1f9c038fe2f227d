package mysql

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/mysqltest"
	"stillpoint/internal/mysql/wire"
)

// duo is a source and its replica, both real servers of one flavor.
type duo struct {
	flavor          string
	source, replica *testServer
	port            uint16 // the source's
}

// startPair starts both and lets the one follow the other, by GTID unless the
// options turn that off. options are those of both, own those of the replica.
func startPair(t testing.TB, flavor string, options, own []string) *duo {
	t.Helper()
	start := startServer
	if flavor == dialect.MySQL {
		start = startMySQL
	}
	p := &duo{flavor: flavor, port: mysqltest.FreePort(t)}
	p.source = start(t, append([]string{"--skip-networking=0", "--bind-address=127.0.0.1", "--server-id=11", fmt.Sprintf("--port=%d", p.port)}, options...)...)
	p.replica = start(t, append(append([]string{"--server-id=12", "--sync-binlog=0"}, options...), own...)...)
	p.run(t, p.source, "CREATE USER follower@'127.0.0.1' IDENTIFIED BY 'f'", "GRANT REPLICATION SLAVE ON *.* TO follower@'127.0.0.1'")
	p.follow(t, "")
	p.run(t, p.replica, p.start())
	p.caughtUp(t)
	return p
}

func (p *duo) run(t testing.TB, s *testServer, statements ...string) {
	t.Helper()
	c := s.Root(t)
	defer c.Drop()
	for _, statement := range statements {
		if err := c.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func (p *duo) ask(t testing.TB, s *testServer, statement string) wire.Row {
	t.Helper()
	c := s.Root(t)
	defer c.Drop()
	rows, err := c.Query(t.Context(), statement)
	if err != nil || len(rows) == 0 {
		t.Fatalf("%s: %d rows, %v", statement, len(rows), err)
	}
	return rows[0]
}

// follow makes the replica a replica of the source from where that is now, by a connection of that name.
func (p *duo) follow(t testing.TB, name string) {
	t.Helper()
	at := p.position(t)
	if p.flavor == dialect.MariaDB {
		gtid := p.ask(t, p.source, "SELECT @@global.gtid_binlog_pos AS g")["g"]
		p.run(t, p.replica, "RESET MASTER", "SET GLOBAL gtid_slave_pos = '"+gtid+"'",
			fmt.Sprintf("CHANGE MASTER '%s' TO MASTER_HOST = '127.0.0.1', MASTER_PORT = %d, MASTER_USER = 'follower', MASTER_PASSWORD = 'f', MASTER_USE_GTID = slave_pos", name, p.port))
		return
	}
	auto := fmt.Sprintf("SOURCE_LOG_FILE = '%s', SOURCE_LOG_POS = %d", at.file, at.position)
	if g := p.ask(t, p.source, "SELECT @@global.gtid_mode AS mode, @@global.gtid_executed AS g"); g["mode"] == "ON" {
		auto = "SOURCE_AUTO_POSITION = 1"
		p.run(t, p.replica, "RESET BINARY LOGS AND GTIDS", "SET GLOBAL gtid_purged = '"+g["g"]+"'")
	}
	p.run(t, p.replica, fmt.Sprintf("CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = %d, SOURCE_USER = 'follower', SOURCE_PASSWORD = 'f', GET_SOURCE_PUBLIC_KEY = 1, %s FOR CHANNEL '%s'", p.port, auto, name))
}

func (p *duo) start() string {
	if p.flavor == dialect.MariaDB {
		return "START ALL SLAVES"
	}
	return "START REPLICA"
}

func (p *duo) stop() string {
	if p.flavor == dialect.MariaDB {
		return "STOP ALL SLAVES"
	}
	return "STOP REPLICA"
}

// spot is a place in the source's binlog.
type spot struct {
	file     string
	position uint64
}

func (s spot) String() string { return s.file + ":" + strconv.FormatUint(s.position, 10) }

// position is where the source's binlog ends.
func (p *duo) position(t testing.TB) spot {
	t.Helper()
	statement := "SHOW MASTER STATUS"
	if p.flavor == dialect.MySQL {
		statement = "SHOW BINARY LOG STATUS"
	}
	r := p.ask(t, p.source, statement)
	n, _ := strconv.ParseUint(r["position"], 10, 64)
	return spot{r["file"], n}
}

// caughtUp waits until the replica has executed all that the source has written.
func (p *duo) caughtUp(t testing.TB) {
	t.Helper()
	count := func(s *testServer) string {
		return p.ask(t, s, "SELECT COUNT(*) AS n, COALESCE(MAX(v), 0) AS v FROM t.w")["n"]
	}
	mark := strconv.FormatInt(time.Now().UnixNano()%1e9, 10)
	p.run(t, p.source, "REPLACE INTO t.a VALUES (99, "+mark+")")
	watch := p.replica.Root(t)
	defer watch.Drop()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		rows, err := watch.Query(t.Context(), "SELECT v FROM t.a WHERE i = 99")
		if err == nil && len(rows) == 1 && rows[0]["v"] == mark && count(p.replica) == count(p.source) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the replica does not catch up: %v", p.status(t))
		}
	}
}

// status is the first row of the replica's status.
func (p *duo) status(t testing.TB) wire.Row {
	t.Helper()
	if p.flavor == dialect.MariaDB {
		return p.ask(t, p.replica, "SHOW ALL SLAVES STATUS")
	}
	return p.ask(t, p.replica, "SHOW REPLICA STATUS")
}

// applies says whether the replica's SQL thread runs.
func (p *duo) applies(t testing.TB) bool {
	t.Helper()
	s := p.status(t)
	return cmp.Or(s["slave_sql_running"], s["replica_sql_running"]) == "Yes"
}

// load writes on the source from several sessions until stop is called.
func (p *duo) load(t testing.TB, writers int) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range writers {
		c := p.source.Root(t)
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, statement := range []string{"BEGIN", "INSERT INTO t.w (v) VALUES (1),(2)", "UPDATE t.a SET v = v + 1 WHERE i = " + strconv.FormatUint(c.ID%5+1, 10), "COMMIT"} {
					if err := c.Exec(t.Context(), statement); err != nil && !strings.Contains(err.Error(), "eadlock") {
						return
					}
				}
			}
		})
	}
	var once sync.Once
	stop = func() { once.Do(func() { close(done); wg.Wait() }) }
	t.Cleanup(stop)
	return stop
}

// contextWithin ends after d, or with the test.
func contextWithin(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}
