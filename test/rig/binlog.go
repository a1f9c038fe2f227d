package rig

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Of the binlog's format (MariaDB's log_event.h; MySQL's is the same in this): every file begins with four
// bytes of magic, every event with a header of 19 bytes, of which the fifth is
// the type and those from the tenth on are the length, little-endian.
const (
	binlogMagic     = "\xfebin"
	eventHeaderSize = 19
	eventTypeAt     = 4
	eventLengthAt   = 9
	eventQuery      = 2
	eventStop       = 3
	eventRotate     = 4
	eventFormat     = 15
	eventXID        = 16
	// Of MySQL alone (libs/mysql/binlog/event/binlog_event.h).
	eventMySQLGTID     = 33
	eventAnonymousGTID = 34
	eventPreviousGTIDs = 35
	eventTaggedGTID    = 42
	// Of MariaDB alone.
	eventCheckpoint  = 161
	eventGTID        = 162
	eventGTIDList    = 163
	eventStartCipher = 164
)

// binlogEvent is the place of one event in its file.
type binlogEvent struct {
	begin, end int64
	kind       byte
}

// between tells whether the event stands outside transactions or begins one, so
// that a replay can end before it.
func (e binlogEvent) between() bool {
	return e.begins() || slices.Contains([]byte{
		eventStop, eventRotate, eventFormat, eventPreviousGTIDs, eventCheckpoint, eventGTIDList, eventStartCipher,
	}, e.kind)
}

// begins tells whether the event begins a transaction.
func (e binlogEvent) begins() bool {
	return slices.Contains([]byte{eventMySQLGTID, eventAnonymousGTID, eventTaggedGTID, eventGTID}, e.kind)
}

// readEvents lists the events of a binlog up to the first that is not all there,
// as the last may be in a file that is being written.
func readEvents(path string) (events []binlogEvent, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the binlog: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read the binlog: %w", err)
	}
	magic := make([]byte, len(binlogMagic))
	if _, err := io.ReadFull(file, magic); err != nil {
		return nil, fmt.Errorf("cannot read the binlog %s: %w", path, err)
	}
	if string(magic) != binlogMagic {
		return nil, fmt.Errorf("cannot read the binlog %s: it begins with %x", path, magic)
	}
	header := make([]byte, eventHeaderSize)
	for at := int64(len(binlogMagic)); at+eventHeaderSize <= info.Size(); {
		if _, err := file.ReadAt(header, at); err != nil {
			return nil, fmt.Errorf("cannot read the binlog %s at %d: %w", path, at, err)
		}
		length := int64(binary.LittleEndian.Uint32(header[eventLengthAt:]))
		if length < eventHeaderSize {
			return nil, fmt.Errorf("cannot read the binlog %s at %d: an event of %d bytes", path, at, length)
		}
		if at+length > info.Size() {
			break
		}
		events = append(events, binlogEvent{begin: at, end: at + length, kind: header[eventTypeAt]})
		at += length
	}
	return events, nil
}

// checkPosition returns an error unless a replay that stops at position ends
// between two transactions of the binlog at path.
func checkPosition(path string, position int64) error {
	events, err := readEvents(path)
	if err != nil {
		return err
	}
	for i, event := range events {
		switch {
		case event.end < position:
			continue
		case event.end > position:
			return fmt.Errorf("cannot stop at %s:%d: it is within an event", filepath.Base(path), position)
		case i+1 < len(events) && !events[i+1].between():
			return fmt.Errorf("cannot stop at %s:%d: it is within a transaction", filepath.Base(path), position)
		}
		return nil
	}
	return fmt.Errorf("cannot stop at %s:%d: the file ends before", filepath.Base(path), position)
}

// binlogsUntil lists the paths of the binlogs in dir from the very first one,
// whose number has to be 1, up to the file named last.
func binlogsUntil(dir, last string) ([]string, error) {
	base, number, found := strings.Cut(last, ".")
	count, err := strconv.Atoi(number)
	if !found || err != nil || count < 1 || filepath.Base(last) != last {
		return nil, fmt.Errorf("cannot replay up to %q: it is no name of a binlog", last)
	}
	var paths []string
	for i := 1; i <= count; i++ {
		path := filepath.Join(dir, fmt.Sprintf("%s.%0*d", base, len(number), i))
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("cannot replay up to %s from the first binlog on: %w", last, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}
