package rig

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Position is a place in a server's binlogs.
type Position struct {
	File   string
	Offset int64
}

func (p Position) String() string { return fmt.Sprintf("%s:%d", p.File, p.Offset) }

// compare orders the positions of one server. (Names of binlogs have a number of fixed width.)
func (p Position) compare(q Position) int {
	return cmp.Or(strings.Compare(p.File, q.File), cmp.Compare(p.Offset, q.Offset))
}

// Position asks the server where its binlog ends.
func (s *Server) Position(ctx context.Context) (p Position, err error) {
	rows, err := s.db.QueryContext(ctx, s.dialect.position)
	if err != nil {
		return p, fmt.Errorf("cannot ask for the binlog's position: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return p, err
	}
	values := make([]any, len(columns)) // more of them in newer versions
	for i := range values {
		values[i] = new(any)
	}
	values[0], values[1] = &p.File, &p.Offset
	if !rows.Next() {
		return p, errors.Join(errors.New("cannot ask for the binlog's position: no binlog is written"), rows.Err())
	}
	return p, rows.Scan(values...)
}

// GTID is what the server says that it has executed: MariaDB's gtid_binlog_pos, MySQL's gtid_executed without line breaks.
func (s *Server) GTID(ctx context.Context) (string, error) {
	var gtid string
	if err := s.db.QueryRowContext(ctx, s.dialect.gtid).Scan(&gtid); err != nil {
		return "", fmt.Errorf("cannot ask for the GTID: %w", err)
	}
	return strings.ReplaceAll(gtid, "\n", ""), nil
}

// BinlogEnd returns the end of the last whole transaction in the binlogs of a
// server that does not run, as those of a snapshot before a server starts there.
// It is how far a recovery by that binlog goes, and so the state in which InnoDB
// will be.
func BinlogEnd(dir string) (Position, error) {
	index, err := os.ReadFile(filepath.Join(dir, "binlog.index"))
	if err != nil {
		return Position{}, fmt.Errorf("cannot find the binlogs: %w", err)
	}
	names := strings.Fields(string(index))
	if len(names) == 0 {
		return Position{}, fmt.Errorf("cannot find a binlog in %s: the index is empty", dir)
	}
	p := Position{File: filepath.Base(names[len(names)-1])}
	path := filepath.Join(dir, p.File)
	events, err := readEvents(path)
	if err != nil {
		return p, err
	}
	file, err := os.Open(path)
	if err != nil {
		return p, fmt.Errorf("cannot read the binlog: %w", err)
	}
	defer func() { _ = file.Close() }()
	alone := 0 // statements in the transaction under way that are neither its begin nor its end
	whole := true
	for i, event := range events {
		switch {
		case event.begins():
			whole, alone = false, 0
		case event.kind == eventXID:
			whole = true
		case event.kind == eventQuery:
			body := make([]byte, event.end-event.begin)
			if _, err := file.ReadAt(body, event.begin); err != nil {
				return p, fmt.Errorf("cannot read the binlog %s at %d: %w", path, event.begin, err)
			}
			switch text := queryText(body); {
			case bytes.HasPrefix(text, []byte("BEGIN")):
			case bytes.HasPrefix(text, []byte("COMMIT")), bytes.HasPrefix(text, []byte("ROLLBACK")):
				whole = true
			default: // a statement that is a transaction by itself, such as DDL
				alone++
				whole = alone == 1 && events[i-1].begins()
			}
		}
		if whole || event.between() && !event.begins() {
			p.Offset = event.end
		}
	}
	return p, nil
}

// queryText is the statement of a query event, with the checksum that may follow
// it (log_event.h: thread 4, time 4, length of schema 1, error 2, length of status
// variables 2; then these, the schema with a zero, and the text).
func queryText(event []byte) []byte {
	const fixed = 13
	if len(event) < eventHeaderSize+fixed {
		return nil
	}
	schema := int(event[eventHeaderSize+8])
	status := int(binary.LittleEndian.Uint16(event[eventHeaderSize+11:]))
	return event[min(len(event), eventHeaderSize+fixed+status+schema+1):]
}

// TransactionsBetween counts the transactions in a server's binlogs from one
// position to the other; the count is negative where the second comes first.
// Positions with none between them are the same state.
func (s *Server) TransactionsBetween(from, to Position) (int, error) {
	if from.compare(to) > 0 {
		n, err := s.TransactionsBetween(to, from)
		return -n, err
	}
	paths, err := binlogsUntil(s.config.BinlogDir, to.File)
	if err != nil {
		return 0, err
	}
	paths = slices.DeleteFunc(paths, func(path string) bool { return filepath.Base(path) < from.File })
	n := 0
	for _, path := range paths {
		events, err := readEvents(path)
		if err != nil {
			return 0, err
		}
		for _, event := range events {
			at := Position{filepath.Base(path), event.begin}
			if event.begins() && at.compare(from) >= 0 && at.compare(to) < 0 {
				n++
			}
		}
	}
	return n, nil
}
