package rig

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

const (
	// startPatience bounds the start of a server, recovery included.
	startPatience = 60 * time.Second
	// socketPathMax is the room in sockaddr_un (unix(7)), less the final zero.
	socketPathMax = 107
)

// ServerConfig says which server to start.
type ServerConfig struct {
	// Datadir is the data directory. It is made and filled with the system tables
	// when it is absent or empty.
	Datadir string
	// BinlogDir is where the binlogs are. "" means in the data directory. It is
	// made when absent.
	BinlogDir string
	// RunDir takes what must not lie on the volume: socket, pid file, error log
	// and temporary files. It is made when absent. Its path has to be short
	// enough for a socket, some 90 bytes.
	RunDir string
	// ServerID is the replication identity. Zero means 1.
	ServerID uint32
	// TCP makes the server listen on a free port of 127.0.0.1 as well.
	TCP bool
	// NoRepair keeps the server from repairing tables of engines without
	// transactions when it opens them, so that CheckTables sees them as the
	// snapshot has them.
	NoRepair bool
	// BufferPoolMiB is the size of InnoDB's buffer pool. Zero means 64.
	BufferPoolMiB int
	// Options are further arguments such as "--sync-binlog=1". They come last and
	// therefore win.
	Options []string
}

// Server is a running server. It dies with this process, however that ends.
type Server struct {
	flavor    Flavor
	dialect   *dialect
	config    ServerConfig
	socket    string
	address   string
	log       string
	process   *process
	db        *sql.DB
	startedIn time.Duration
}

// StartServer starts a server and returns once it answers on its socket. The
// context bounds only the start.
func StartServer(ctx context.Context, flavor Flavor, config ServerConfig) (*Server, error) {
	d, err := flavor.dialect()
	if err != nil {
		return nil, err
	}
	s := &Server{flavor: flavor, dialect: d, config: config}
	if err := s.start(ctx); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", s, err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) (err error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	c := &s.config
	c.BinlogDir = cmp.Or(c.BinlogDir, c.Datadir)
	for _, dir := range []*string{&c.Datadir, &c.BinlogDir, &c.RunDir} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			return err
		}
	}
	s.socket, s.log = filepath.Join(c.RunDir, "server.sock"), filepath.Join(c.RunDir, "error.log")
	if len(s.socket) > socketPathMax {
		return fmt.Errorf("the socket's path %s is longer than %d bytes", s.socket, socketPathMax)
	}
	if err := s.prepareDirectories(ctx); err != nil {
		return err
	}
	if err := s.relocateBinlogs(); err != nil {
		return err
	}
	args, err := s.arguments()
	if err != nil {
		return err
	}
	program, err := s.dialect.server()
	if err != nil {
		return err
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = c.RunDir
	if s.db, err = s.open(""); err != nil {
		return err
	}
	if s.process, err = startProcess(cmd); err != nil {
		return errors.Join(err, s.db.Close())
	}
	if err := s.awaitReady(ctx); err != nil {
		err = errors.Join(err, s.Kill())
		<-s.process.done
		s.closeDB()
		return fmt.Errorf("%w%s", err, quoteOutput(s.ErrorLog()))
	}
	s.startedIn = time.Since(begun)
	return nil
}

// prepareDirectories makes the directories and fills an empty data directory.
func (s *Server) prepareDirectories(ctx context.Context) error {
	c := s.config
	for _, dir := range []string{c.RunDir, c.Datadir, c.BinlogDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(c.Datadir)
	if err != nil {
		return err
	}
	if len(entries) == 0 || len(entries) == 1 && entries[0].Name() == "lost+found" {
		return s.dialect.template.initialise(ctx, s.dialect.fill, c.Datadir)
	}
	if _, err := os.Stat(filepath.Join(c.Datadir, "mysql")); err != nil {
		return fmt.Errorf("the directory is neither empty nor a data directory: %w", err)
	}
	return nil
}

func (s *Server) arguments() ([]string, error) {
	c := s.config
	args := append([]string{
		"--no-defaults",
		"--datadir=" + c.Datadir,
		"--socket=" + s.socket,
		"--pid-file=" + filepath.Join(c.RunDir, "server.pid"),
		"--log-error=" + s.log,
		"--tmpdir=" + c.RunDir,
		"--server-id=" + strconv.FormatUint(uint64(cmp.Or(c.ServerID, 1)), 10),
		"--log-bin=" + s.binlogBase(),
		"--innodb-buffer-pool-size=" + strconv.Itoa(cmp.Or(c.BufferPoolMiB, 64)) + "M",
		"--skip-name-resolve",
	}, s.dialect.arguments()...)
	args = append(args, asRoot()...)
	if c.NoRepair {
		args = append(args, s.dialect.noRepair...)
	} else {
		// The default of MySQL is not to repair at all; that of MariaDB left a table,
		// one time in a hundred, in which a row could not be found.
		args = append(args, "--myisam-recover-options=BACKUP,FORCE")
	}
	if !c.TCP {
		return append(append(args, "--skip-networking"), c.Options...), nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("cannot find a free port: %w", err)
	}
	s.address = listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	port := strings.TrimPrefix(s.address, "127.0.0.1:")
	return append(append(args, "--bind-address=127.0.0.1", "--port="+port), c.Options...), nil
}

// binlogBase is relative in the data directory, so that the index holds names
// that hold for a copy of it as well: with absolute ones a restored server reads
// the original's binlogs, and refuses to start for a transaction that it finds
// prepared and not in them.
func (s *Server) binlogBase() string {
	if s.config.BinlogDir == s.config.Datadir {
		return "binlog"
	}
	return filepath.Join(s.config.BinlogDir, "binlog")
}

// relocateBinlogs writes the lists of binlogs anew where those of a copy lie in
// another place than the original's, as an administrator would have to. One of
// them is of files that a server was making when it ended: MariaDB removes what
// it finds there and not in the index, and that was seen to be the original's.
func (s *Server) relocateBinlogs() error {
	if s.config.BinlogDir == s.config.Datadir {
		return nil
	}
	for _, list := range []string{"binlog.index", "binlog.~rec~"} {
		path := filepath.Join(s.config.BinlogDir, list)
		names, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		var here strings.Builder
		for name := range strings.FieldsSeq(string(names)) {
			here.WriteString(filepath.Join(s.config.BinlogDir, filepath.Base(name)) + "\n")
		}
		if err := os.WriteFile(path, []byte(here.String()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// asRoot is the argument that a server wants when root starts it, also because
// one that changes its user loses its parent-death signal.
func asRoot() []string {
	if os.Geteuid() == 0 {
		return []string{"--user=root"}
	}
	return nil
}

// awaitReady returns nil once the server answers, or why it never will.
func (s *Server) awaitReady(ctx context.Context) error {
	for {
		err := s.db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.process.done:
			return fmt.Errorf("the server ended: %w", errors.Join(errors.New("before it answered"), s.process.err))
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", errors.Join(context.Cause(ctx), err))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// open returns a pool of the harness's own connections, as root without a
// password, with schema as the default database.
func (s *Server) open(schema string) (*sql.DB, error) {
	config := mysql.NewConfig()
	config.Net, config.Addr, config.User, config.DBName = "unix", s.socket, "root", schema
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("cannot prepare connections to %s: %w", s.socket, err)
	}
	return sql.OpenDB(connector), nil
}

// String names the server in errors.
func (s *Server) String() string { return s.dialect.name + " on " + s.config.Datadir }

// Flavor is the family that the server is of.
func (s *Server) Flavor() Flavor { return s.flavor }

// Socket is the path of the server's socket.
func (s *Server) Socket() string { return s.socket }

// Address is host:port when the server was started with TCP, otherwise empty.
func (s *Server) Address() string { return s.address }

// Datadir is the data directory.
func (s *Server) Datadir() string { return s.config.Datadir }

// BinlogDir is where the binlogs are.
func (s *Server) BinlogDir() string { return s.config.BinlogDir }

// PID is the server's process.
func (s *Server) PID() int { return s.process.cmd.Process.Pid }

// DB is the harness's own access, as root. It is closed by Stop and Wait.
func (s *Server) DB() *sql.DB { return s.db }

// StartedIn is how long the start took, the system tables included.
func (s *Server) StartedIn() time.Duration { return s.startedIn }

// Exited is closed when the server has ended, for whatever reason.
func (s *Server) Exited() <-chan struct{} { return s.process.done }
