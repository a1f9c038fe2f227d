package rig

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// logTail is how much of the error log ErrorLog returns.
const logTail = 64 << 10

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
