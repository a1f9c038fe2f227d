package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// CreateUser makes an account for the product, for the socket and for
// 127.0.0.1. It has the privileges named, such as "BACKUP_ADMIN ON *.*"; without
// any those that a quiesce with FTWRL needs at the least. An account that exists
// gets the new password. The statements go to the binlog.
func (s *Server) CreateUser(ctx context.Context, user, password string, privileges ...string) error {
	if len(privileges) == 0 {
		privileges = s.dialect.privileges
	}
	for _, host := range []string{"localhost", "127.0.0.1"} {
		account := quoteSQL(user) + "@" + quoteSQL(host)
		var statements []string
		for _, form := range s.dialect.account {
			statements = append(statements, strings.NewReplacer("{account}", account, "{password}", quoteSQL(password)).Replace(form))
		}
		for _, privilege := range privileges {
			statements = append(statements, "GRANT "+privilege+" TO "+account)
		}
		for _, statement := range statements {
			if _, err := s.db.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("cannot create the user %s at %s: %w", user, host, err)
			}
		}
	}
	return nil
}

// quoteSQL writes text as an SQL string.
func quoteSQL(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
}

// WriteDefaultsFile writes an option file with a [client] section and mode 0600,
// over a file of that name. None of the values may hold a line break or a quote.
func WriteDefaultsFile(path, user, password, socket string) error {
	var text strings.Builder
	text.WriteString("[client]\n")
	for _, option := range [][2]string{{"user", user}, {"password", password}, {"socket", socket}} {
		if strings.ContainsAny(option[1], "\n\r\"'") {
			return fmt.Errorf("cannot write the defaults file %s: the %s holds a line break or a quote", path, option[0])
		}
		fmt.Fprintf(&text, "%s=\"%s\"\n", option[0], strings.ReplaceAll(option[1], `\`, `\\`))
	}
	// A file that exists would keep its mode.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot replace the defaults file: %w", err)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("cannot write the defaults file: %w", err)
	}
	return nil
}
