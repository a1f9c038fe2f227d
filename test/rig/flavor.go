package rig

import (
	"context"
	"fmt"
)

// Flavor is a family of servers.
type Flavor string

// The flavors that the rig knows.
const (
	MariaDB Flavor = "mariadb"
	MySQL   Flavor = "mysql" // Oracle's
)

// Flavors are all of them. A test that holds for both runs once for each.
var Flavors = []Flavor{MariaDB, MySQL}

// Name is how people write it.
func (f Flavor) Name() string {
	d, err := f.dialect()
	if err != nil {
		return string(f)
	}
	return d.name
}

// Missing says in a few words why this machine has no server of the flavor; "" where it has.
func (f Flavor) Missing() string {
	d, err := f.dialect()
	if err != nil {
		return err.Error()
	}
	return d.missing()
}

// Journals are the engines without transactions of which the load can have a table.
func (f Flavor) Journals() []string {
	d, err := f.dialect()
	if err != nil {
		return nil
	}
	return d.journals
}

// Program is for tests that start a server by themselves: its path, and the
// arguments that every start of it needs, on a data directory that Fill made.
func (f Flavor) Program() (path string, args []string, err error) {
	d, err := f.dialect()
	if err != nil {
		return "", nil, err
	}
	path, err = d.server()
	return path, append(d.arguments(), asRoot()...), err
}

// Fill makes the system tables in an empty directory, in which root needs no
// password. The first time takes seconds, the others copy.
func (f Flavor) Fill(ctx context.Context, datadir string) error {
	d, err := f.dialect()
	if err != nil {
		return err
	}
	return d.template.initialise(ctx, d.fill, datadir)
}

func (f Flavor) dialect() (*dialect, error) {
	if d := dialects[f]; d != nil {
		return d, nil
	}
	return nil, fmt.Errorf("unknown flavor %q of server", string(f))
}

var dialects = map[Flavor]*dialect{MariaDB: &mariaDB, MySQL: &oracleMySQL}

// dialect is what one flavor has of its own.
type dialect struct {
	name    string // as people write it
	missing func() string
	// server and binlogReader are the paths of the programs.
	server, binlogReader func() (string, error)
	// fill makes the system tables in a directory that is not there yet.
	fill func(ctx context.Context, datadir string) error
	// arguments are those that the flavor needs, noRepair those of NoRepair.
	arguments func() []string
	noRepair  []string
	// position asks for the binlog's file and position, gtid for what was executed.
	position, gtid string
	// account are the statements that make or change an {account} with a {password}.
	account []string
	// privileges are those that a quiesce with FTWRL needs at the least.
	privileges []string
	// replay are the binlog reader's options of its own.
	replay   []string
	journals []string
	template template
}
