package locate

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"

	"stillpoint/internal/snapshot"
)

// serverName matches the programs of MySQL, MariaDB and Percona Server
// (mysqld-debug, mariadbd.real too), and not mysqld_exporter or mysqld_safe.
var serverName = regexp.MustCompile(`^(mysqld|mariadbd)([-.].*)?$`)

// otherDatabases are programs whose files a snapshot takes as they are.
var otherDatabases = []string{"postgres", "mongod", "redis-server", "valkey-server"}

// Neighbours finds the other database servers of this host, in whatever
// namespaces, with the file systems that they have data on; of other databases
// than MySQL's family those that they have any file open for writing on. The
// process with the number except is left out; 0: none is. Servers that may not
// be looked at are a *NotShownError, beside those that may.
func Neighbours(except int) ([]snapshot.Neighbour, error) {
	var found []snapshot.Neighbour
	var hidden error
	err := each(func(p *Process) bool {
		defer func() { _ = p.Close() }()
		server := serverName.MatchString(p.Name)
		if p.PID == except || !server && !slices.Contains(otherDatabases, p.Name) {
			return true
		}
		n, err := neighbour(p, server)
		switch {
		case errors.Is(err, fs.ErrNotExist): // it has ended
		case err != nil && server:
			hidden = err
		case err == nil && len(n.Parts) > 0:
			found = append(found, n)
		}
		return true
	})
	if err != nil {
		return nil, notShown(err, "the processes of this host cannot be listed")
	}
	if hidden != nil {
		return found, notShown(hidden, "another server may have files on the set")
	}
	return found, nil
}

func neighbour(p *Process, server bool) (snapshot.Neighbour, error) {
	n := snapshot.Neighbour{Name: p.Name, PID: p.PID, Dir: p.Directory(), Server: server}
	files, err := p.Files()
	if err != nil {
		return n, err
	}
	for _, f := range files {
		if server && !IsData(f.Path) && !binlogName.MatchString(path.Base(f.Path)) {
			continue
		}
		if !slices.ContainsFunc(n.Parts, func(o snapshot.Part) bool { return o.FS == f.FS }) {
			n.Parts = append(n.Parts, snapshot.Part{What: "an open file", Path: f.Path, FS: f.FS})
		}
	}
	return n, nil
}
