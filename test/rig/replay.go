package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// Replay brings the load's schema of a fresh server to the state that the source
// had at binlogFile:position: it runs the source's binlogs, from the very first
// one on, through the flavor's own reader of binlogs and the mariadb client,
// which speaks to both. The position has to lie between two transactions. The
// source may be running, under load, stopped or killed; its files are read from
// where they are. The other server is of the same flavor and must not have the
// schema yet; it writes no binlog of this, and its other databases are left alone.
func Replay(ctx context.Context, source *Server, until Position, into *Server) error {
	if err := replay(ctx, source.config.BinlogDir, until, into); err != nil {
		return fmt.Errorf("cannot replay %s up to %s: %w", source, until, err)
	}
	return nil
}

func replay(ctx context.Context, dir string, until Position, into *Server) (err error) {
	paths, err := binlogsUntil(dir, until.File)
	if err != nil {
		return err
	}
	if err := checkPosition(filepath.Join(dir, until.File), until.Offset); err != nil {
		return err
	}
	var present int
	query := "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ?"
	if err := into.db.QueryRowContext(ctx, query, Schema).Scan(&present); err != nil {
		return fmt.Errorf("cannot ask the other server for its schemas: %w", err)
	}
	if present != 0 {
		return fmt.Errorf("the other server has the schema %s already", Schema)
	}
	// What is replayed can be replayed again, so it need not be flushed at every
	// commit. This makes a replay some times faster.
	var flush string
	if err := into.db.QueryRowContext(ctx, "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit").Scan(&flush); err != nil {
		return fmt.Errorf("cannot ask the other server for its settings: %w", err)
	}
	if err := into.setFlush(ctx, "0"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, into.setFlush(context.WithoutCancel(ctx), flush)) }()
	return pipeBinlogs(ctx, paths, until.Offset, into)
}

func (s *Server) setFlush(ctx context.Context, value string) error {
	if _, err := s.db.ExecContext(ctx, "SET GLOBAL innodb_flush_log_at_trx_commit = "+value); err != nil {
		return fmt.Errorf("cannot set the other server's flushing: %w", err)
	}
	return nil
}

// pipeBinlogs runs the reader of binlogs | mariadb and returns once both have ended.
func pipeBinlogs(ctx context.Context, paths []string, position int64, into *Server) error {
	reader, err := into.dialect.binlogReader()
	if err != nil {
		return err
	}
	client, err := lookTool("mariadb")
	if err != nil {
		return err
	}
	// The position counts for the last file only. GTID and transaction events
	// pass the choice of the database, row events by the table's.
	options := append([]string{
		"--no-defaults", "--disable-log-bin", "--database=" + Schema,
		"--stop-position=" + strconv.FormatInt(position, 10),
	}, into.dialect.replay...)
	read := exec.Command(reader, append(options, paths...)...)
	apply := exec.Command(client,
		"--no-defaults", "--protocol=socket", "--socket="+into.socket, "--user=root",
		"--binary-mode", "--batch", "--max-allowed-packet=1G")
	output, input, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("cannot make a pipe: %w", err)
	}
	var readSays, applySays bytes.Buffer
	read.Stdout, read.Stderr = input, &readSays
	apply.Stdin, apply.Stderr = output, &applySays
	applying, applyErr := startProcess(apply)
	var reading *process
	var readErr error
	if applyErr == nil {
		reading, readErr = startProcess(read)
	}
	// Each end belongs to its process alone, so that either notices the other's end.
	closeErr := errors.Join(output.Close(), input.Close())
	if applyErr != nil {
		return errors.Join(applyErr, closeErr)
	}
	stop := context.AfterFunc(ctx, func() {
		_ = applying.kill()
		if reading != nil {
			_ = reading.kill()
		}
	})
	defer stop()
	if readErr == nil {
		<-reading.done
		if reading.err != nil || readSays.Len() > 0 {
			readErr = fmt.Errorf("cannot read the binlogs: %s: %w%s", filepath.Base(reader), orSaid(reading.err), quoteOutput(readSays.String()))
		}
	}
	<-applying.done
	if applying.err != nil {
		applyErr = fmt.Errorf("cannot apply the binlogs: mariadb: %w%s", applying.err, quoteOutput(applySays.String()))
	}
	return errors.Join(context.Cause(ctx), applyErr, readErr, closeErr)
}

// orSaid stands for the error of a program that ended well but complained.
func orSaid(err error) error {
	if err == nil {
		return errors.New("it complained")
	}
	return err
}
