package rig

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sys/unix"
)

const (
	// startPatience bounds the start of a server, recovery included.
	startPatience = 60 * time.Second
	// logTail is how much of the error log ErrorLog returns.
	logTail = 64 << 10
	// socketPathMax is the room in sockaddr_un (unix(7)), less the final zero.
	socketPathMax = 107
)

// MariaDBConfig says which server to start.
type MariaDBConfig struct {
	// Datadir is the data directory, binlogs included. It is made and filled with
	// the system tables when it is absent or empty.
	Datadir string
	// RunDir takes what must not lie on the volume: socket, pid file, error log
	// and temporary files. It is made when absent. Its path has to be short
	// enough for a socket, some 90 bytes.
	RunDir string
	// ServerID is the replication identity. Zero means 1.
	ServerID uint32
	// TCP makes the server listen on a free port of 127.0.0.1 as well.
	TCP bool
	// GTIDStrict sets gtid_strict_mode.
	GTIDStrict bool
	// NoRepair keeps the server from repairing MyISAM and Aria tables when it
	// opens them, so that CheckTables sees them as the snapshot has them.
	NoRepair bool
	// BufferPoolMiB is the size of InnoDB's buffer pool. Zero means 64.
	BufferPoolMiB int
	// Options are further arguments such as "--sync-binlog=1". They come last and
	// therefore win.
	Options []string
}

// Server is a running MariaDB. It dies with this process, however that ends.
type Server struct {
	config    MariaDBConfig
	socket    string
	address   string
	log       string
	process   *process
	db        *sql.DB
	startedIn time.Duration
}

// StartMariaDB starts a server and returns once it answers on its socket. The
// context bounds only the start.
func StartMariaDB(ctx context.Context, config MariaDBConfig) (*Server, error) {
	s, err := startMariaDB(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("cannot start MariaDB on %s: %w", config.Datadir, err)
	}
	return s, nil
}

func startMariaDB(ctx context.Context, config MariaDBConfig) (*Server, error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	var err error
	if config.Datadir, err = filepath.Abs(config.Datadir); err != nil {
		return nil, err
	}
	if config.RunDir, err = filepath.Abs(config.RunDir); err != nil {
		return nil, err
	}
	s := &Server{
		config: config,
		socket: filepath.Join(config.RunDir, "mariadb.sock"),
		log:    filepath.Join(config.RunDir, "error.log"),
	}
	if len(s.socket) > socketPathMax {
		return nil, fmt.Errorf("the socket's path %s is longer than %d bytes", s.socket, socketPathMax)
	}
	if err := prepareDirectories(ctx, config); err != nil {
		return nil, err
	}
	args, err := s.arguments()
	if err != nil {
		return nil, err
	}
	program, err := lookTool("mariadbd")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = config.RunDir
	if s.db, err = s.open(""); err != nil {
		return nil, err
	}
	if s.process, err = startProcess(cmd); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	if err := s.awaitReady(ctx); err != nil {
		err = errors.Join(err, s.Kill())
		<-s.process.done
		s.closeDB()
		return nil, fmt.Errorf("%w%s", err, quoteOutput(s.ErrorLog()))
	}
	s.startedIn = time.Since(begun)
	return s, nil
}

// prepareDirectories makes both directories and fills an empty data directory.
func prepareDirectories(ctx context.Context, config MariaDBConfig) error {
	for _, dir := range []string{config.RunDir, config.Datadir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(config.Datadir)
	if err != nil {
		return err
	}
	if len(entries) == 0 || len(entries) == 1 && entries[0].Name() == "lost+found" {
		return initialise(ctx, config.Datadir)
	}
	if _, err := os.Stat(filepath.Join(config.Datadir, "mysql")); err != nil {
		return fmt.Errorf("the directory is neither empty nor a data directory: %w", err)
	}
	return nil
}

func (s *Server) arguments() ([]string, error) {
	c := s.config
	args := []string{
		"--no-defaults",
		"--datadir=" + c.Datadir,
		"--socket=" + s.socket,
		"--pid-file=" + filepath.Join(c.RunDir, "mariadb.pid"),
		"--log-error=" + s.log,
		"--tmpdir=" + c.RunDir,
		"--server-id=" + strconv.FormatUint(uint64(cmp.Or(c.ServerID, 1)), 10),
		"--log-bin=binlog",
		"--binlog-format=ROW",
		"--innodb-buffer-pool-size=" + strconv.Itoa(cmp.Or(c.BufferPoolMiB, 64)) + "M",
		redoLogSize,
		"--skip-name-resolve",
		// Debian's server uses io_uring, with which it was seen to stop working for
		// minutes on a busy machine (and once to abort at start). What is tested here is not that.
		"--skip-innodb-use-native-aio",
	}
	if os.Geteuid() == 0 {
		// Also because a server that changes its user loses its parent-death signal.
		args = append(args, "--user=root")
	}
	if c.GTIDStrict {
		args = append(args, "--gtid-strict-mode=ON")
	}
	if c.NoRepair {
		args = append(args, "--myisam-recover-options=OFF", "--aria-recover-options=OFF")
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

// Socket is the path of the server's socket.
func (s *Server) Socket() string { return s.socket }

// Address is host:port when the server was started with TCP, otherwise empty.
func (s *Server) Address() string { return s.address }

// Datadir is the data directory.
func (s *Server) Datadir() string { return s.config.Datadir }

// PID is the server's process.
func (s *Server) PID() int { return s.process.cmd.Process.Pid }

// DB is the harness's own access, as root. It is closed by Stop and Wait.
func (s *Server) DB() *sql.DB { return s.db }

// StartedIn is how long StartMariaDB took, the system tables included.
func (s *Server) StartedIn() time.Duration { return s.startedIn }

// Exited is closed when the server has ended, for whatever reason.
func (s *Server) Exited() <-chan struct{} { return s.process.done }

// Stop shuts the server down cleanly and waits for its end. When ctx ends first
// the server is killed and the error says so. A server that has ended is no error.
func (s *Server) Stop(ctx context.Context) error {
	select {
	case <-s.process.done:
		s.closeDB()
		return nil
	default:
	}
	if err := s.process.cmd.Process.Signal(unix.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cannot stop MariaDB on %s: %w", s.config.Datadir, err)
	}
	err := s.Wait(ctx)
	if err != nil && ctx.Err() != nil {
		// A server whose volume is frozen ignores the kill until the thaw.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, s.Kill())
		_ = s.process.wait(last)
		if last.Err() != nil {
			err = errors.Join(err, fmt.Errorf("cannot kill MariaDB on %s: process %d is still there", s.config.Datadir, s.PID()))
		}
	}
	if err != nil {
		s.closeDB()
		return fmt.Errorf("cannot stop MariaDB cleanly: %w", err)
	}
	return nil
}

// Kill sends SIGKILL and returns at once; Wait waits for the end, which a frozen
// volume can put off until its thaw.
func (s *Server) Kill() error {
	if err := s.process.kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cannot kill MariaDB on %s: %w", s.config.Datadir, err)
	}
	return nil
}

// Wait waits for the server's end. The error tells of an end that was not clean,
// such as a signal, or that ctx ended before.
func (s *Server) Wait(ctx context.Context) error {
	err := s.process.wait(ctx)
	select {
	case <-s.process.done:
		s.closeDB()
	default:
	}
	if err != nil {
		return fmt.Errorf("cannot see a clean end of MariaDB on %s: %w", s.config.Datadir, err)
	}
	return nil
}

// closeDB gives up the connections to a server that has ended.
func (s *Server) closeDB() {
	// The driver takes leave of the server, which is gone, and says that it cannot.
	_ = s.db.Close()
}

// ErrorLog returns the last 64 KiB of the error log, or why they cannot be read.
// The log begins anew in every RunDir, not at every start.
func (s *Server) ErrorLog() string {
	text, err := s.readLog()
	if err != nil {
		return fmt.Sprintf("cannot read the error log: %v", err)
	}
	return text
}

func (s *Server) readLog() (string, error) {
	file, err := os.Open(s.log)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	offset := max(0, info.Size()-logTail)
	text, err := io.ReadAll(io.NewSectionReader(file, offset, logTail))
	return string(text), err
}

// Complaints returns the lines of ErrorLog that tell of errors or of damaged
// tables, which a server says nowhere else when it repairs them by itself.
func (s *Server) Complaints() []string {
	var lines []string
	for line := range strings.Lines(s.ErrorLog()) {
		for _, sign := range []string{"[ERROR]", "crashed", "not closed", "hasn't closed", "corrupt", "cannot read the error log"} {
			if strings.Contains(line, sign) {
				lines = append(lines, strings.TrimSpace(line))
				break
			}
		}
	}
	return lines
}
