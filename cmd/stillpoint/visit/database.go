package visit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"stillpoint/cmd/stillpoint/parts"
	"stillpoint/internal/config"
	"stillpoint/internal/doctor"
	"stillpoint/internal/mysql"
	"stillpoint/internal/snapshot"
	"stillpoint/internal/volume"
)

// serverFix is what to do where a question is not answered that every server answers.
const serverFix = "look at the server's error log, and run the doctor again"

// databaseWithin bounds a look at a server: each statement has 5 s, a connection 10.
const databaseWithin = 30 * time.Second

// database are the checks of a plan's MySQL or MariaDB. They share two sessions.
func (v *visit) database(p *config.Plan) []doctor.Check {
	if p.MySQL == nil {
		return []doctor.Check{{Name: "database.unlocked", Plan: p.Name, Needs: []string{"volumes.set"},
			Look: func(ctx context.Context) []doctor.Finding { return v.lookForServers(ctx, p) }}}
	}
	var checks []doctor.Check
	add := func(name string, look func(context.Context, *server) []doctor.Finding, needs ...string) {
		checks = append(checks, doctor.Check{Name: name, Plan: p.Name, Within: databaseWithin, Needs: append([]string{checkConnection}, needs...),
			Look: func(ctx context.Context) []doctor.Finding { return look(ctx, v.servers[p.Name]) }})
	}
	if p.MySQL.DefaultsFile != "" {
		checks = append(checks, doctor.Check{Name: checkDefaults, Plan: p.Name, Look: func(context.Context) []doctor.Finding { return lookAtDefaults(p.MySQL.DefaultsFile) }})
	}
	if p.MySQL.CoordinatesFile != "" {
		checks = append(checks, doctor.Check{Name: "database.coordinates_file", Plan: p.Name, Look: func(context.Context) []doctor.Finding { return lookAtCoordinates(p) }})
	}
	checks = append(checks, doctor.Check{Name: checkConnection, Plan: p.Name, Within: databaseWithin, Needs: []string{checkDefaults},
		Look: func(ctx context.Context) []doctor.Finding { return v.connect(ctx, p) }})
	add("database.version", lookAtVersion)
	add("database.connections", lookAtConnections)
	add(checkPrivileges, lookAtPrivileges)
	add("database.cluster", lookAtCluster)
	add(checkLock, func(ctx context.Context, s *server) []doctor.Finding { return lookAtLock(ctx, s, p) }, checkPrivileges)
	add("database.blockers", func(ctx context.Context, s *server) []doctor.Finding { return lookForBlockers(ctx, s, p) }, checkLock)
	add("database.replica", func(ctx context.Context, s *server) []doctor.Finding { return lookAtReplica(ctx, s, p) }, checkPrivileges)
	add("database.location", func(ctx context.Context, s *server) []doctor.Finding { return v.lookAtLocation(ctx, s, p) }, checkPrivileges)
	add("database.binlog", func(ctx context.Context, s *server) []doctor.Finding { return lookAtBinlog(ctx, s, p) })
	add("database.consistency", func(_ context.Context, s *server) []doctor.Finding { return lookAtConsistency(s, p) }, checkLock)
	return append(checks, doctor.Check{Name: "database.farewell", Plan: p.Name, Look: func(context.Context) []doctor.Finding {
		if s := v.servers[p.Name]; s != nil {
			_ = s.Close()
		}
		return nil
	}})
}

func lookAtDefaults(path string) []doctor.Finding {
	readable, empty, err := mysql.LookDefaults(path)
	if err != nil {
		return looked(err, "the file needs a [client] section with user and password, root as its owner, and mode 0600")
	}
	return []doctor.Finding{doctor.JudgeDefaults(path, readable, empty)}
}

func lookAtCoordinates(p *config.Plan) []doctor.Finding {
	if err := parts.CoordinatesFile(p).Check(); err != nil {
		return looked(err, "a directory of root's on the volume, such as install -d -o root -m 700 "+p.MySQL.CoordinatesFile[:strings.LastIndexByte(p.MySQL.CoordinatesFile, '/')])
	}
	return []doctor.Finding{doctor.Good(p.MySQL.CoordinatesFile + " can be made, on a file system of the set")}
}

// connect opens the sessions that the other checks use.
func (v *visit) connect(ctx context.Context, p *config.Plan) []doctor.Finding {
	db, err := mysql.New(parts.Database(v.file, p))
	if err != nil {
		return looked(err, "correct the plan's mysql section, or its defaults file")
	}
	c, err := db.CheckUp(ctx)
	switch {
	case errors.As(err, new(*snapshot.OutOfReachError)):
		return looked(err, "see that the server runs, and that socket, or host and port, are its own; where it says that there are too many connections, raise max_connections, or MAX_USER_CONNECTIONS of the user: a run has up to 3")
	case err != nil:
		return looked(err, "correct user, password, host or TLS in the plan's mysql section or its defaults file")
	}
	if v.servers == nil {
		v.servers = map[string]*server{}
	}
	v.servers[p.Name] = &server{CheckUp: c}
	return []doctor.Finding{doctor.Good(c.Target() + " answers")}
}

func lookAtVersion(_ context.Context, s *server) []doctor.Finding {
	m := s.Server()
	return []doctor.Finding{doctor.JudgeVersion(m.Flavor, m.Version, s.Known())}
}

func lookAtConnections(ctx context.Context, s *server) []doctor.Finding {
	set, err := s.Settings(ctx)
	if err != nil {
		return looked(err, serverFix)
	}
	return []doctor.Finding{doctor.JudgeConnections(set.Connections, set.MaxConnections)}
}

func lookAtPrivileges(ctx context.Context, s *server) []doctor.Finding {
	if err := s.Privileges(ctx); err != nil {
		return looked(err, "run these GRANTs as an administrator")
	}
	return []doctor.Finding{doctor.Good("the user may do all that this plan needs")}
}

func lookAtCluster(ctx context.Context, s *server) []doctor.Finding {
	member, err := s.Cluster(ctx)
	switch {
	case err != nil:
		return looked(err, "desync the node for the snapshot, by pre_freeze or by hand")
	case member:
		return []doctor.Finding{doctor.Good("a Galera node that is alone, or desynced")}
	}
	return []doctor.Finding{doctor.Good("no node of a Galera cluster")}
}

func lookAtLock(ctx context.Context, s *server, p *config.Plan) []doctor.Finding {
	var err error
	if s.claim, err = s.Claim(ctx); err != nil {
		return looked(err, "a run would be refused for the same reason")
	}
	return []doctor.Finding{doctor.JudgeLock(doctor.Lock{Name: string(s.claim.Lock), Asked: p.MySQL.Lock, Reason: s.claim.Reason})}
}

// lookForBlockers looks what is in the way of the lock at this moment, and whether all of that can be seen.
func lookForBlockers(ctx context.Context, s *server, p *config.Plan) []doctor.Finding {
	w, err := s.InTheWay(ctx)
	if err != nil {
		return looked(err, serverFix)
	}
	m := p.MySQL
	found := []doctor.Finding{doctor.JudgeBlockers(doctor.Blockers{
		Long: w.Long, Ended: w.Ended, Young: w.Young, Policy: m.LongQueries, After: m.LongQueryAfter.String(),
		For: fmt.Sprintf("%d tries, %s apart", m.LockTries, m.LockSleep),
	})}
	if s.claim.Lock != snapshot.LockNone {
		sight := doctor.JudgeSight(w.Blind)
		sight.Check = "database.sight"
		found = append(found, sight)
	}
	return found
}

func lookAtReplica(ctx context.Context, s *server, p *config.Plan) []doctor.Finding {
	sources, err := s.Sources(ctx)
	if err != nil {
		return looked(err, serverFix)
	}
	list := make([]doctor.Source, len(sources))
	for i, one := range sources {
		list[i] = doctor.Source(one)
	}
	return []doctor.Finding{doctor.JudgeSources(list, p.MySQL.Replica == config.ReplicaStopApplier)}
}

// lookAtLocation holds the server's files against the set, as a run does.
func (v *visit) lookAtLocation(ctx context.Context, s *server, p *config.Plan) []doctor.Finding {
	at, err := s.Locate(ctx)
	if err != nil {
		return looked(err, serverFix)
	}
	if at.Doubt != "" && !at.Trusted && os.Geteuid() != 0 {
		return []doctor.Finding{doctor.Unchecked("where the server's files are cannot be shown to a plain user: "+at.Doubt, doctor.AsRoot)}
	}
	survey := snapshot.Survey{
		Volumes: &volume.Resolver{}, Plan: &snapshot.Plan{Name: p.Name, Freeze: p.Freeze, NoFreeze: p.NoFreeze, Volumes: p.Volumes}, Hook: len(p.PreFreeze) > 0,
		Set: snapshot.Set{Freeze: p.Freeze, NoFreeze: p.NoFreeze, Volumes: v.sets[p.Name], Attached: v.attached},
	}
	verdict, err := survey.Judge(ctx, at)
	switch {
	case err != nil && v.notAttached == nil && v.sets[p.Name] == nil: // the same mount point, told there
		return []doctor.Finding{doctor.Unchecked("whether the set holds the server's files: "+err.Error(), "see volumes.set")}
	case err != nil:
		return looked(err, "mount what is missing, or correct freeze and no_freeze of the plan")
	}
	s.frozen = verdict.Frozen
	var said []string
	for _, r := range verdict.Refusals {
		said = append(said, r.Error())
	}
	switch {
	case len(said) > 0 && v.notAttached != nil && len(p.Volumes) > 0: // what lies on those cannot be told
		return []doctor.Finding{doctor.Unchecked("whether the set holds the server's files: EC2 did not say which volumes this instance has", "see volumes.set")}
	case len(said) > 0:
		return []doctor.Finding{doctor.Bad(strings.Join(said, "; "), "let the plan name every file system of this server, and of no other")}
	case len(verdict.Warnings) > 0:
		return []doctor.Finding{doctor.Poor(strings.Join(verdict.Warnings, "; "), "see whether a restore has all that it needs")}
	}
	return []doctor.Finding{doctor.Good(fmt.Sprintf("%s has its files on the set, and no other server has: %d places looked at", at.Process, len(at.Parts)))}
}

func lookAtBinlog(ctx context.Context, s *server, p *config.Plan) []doctor.Finding {
	set, err := s.Settings(ctx)
	if err != nil {
		return looked(err, serverFix)
	}
	return []doctor.Finding{doctor.JudgeBinlog(doctor.Binlog{On: s.Binlog(), Sync: set.SyncBinlog, Base: set.BinlogBase, Datadir: set.Datadir, Frozen: s.frozen || parts.EverythingFrozen(p)})}
}

// lookAtConsistency says what the sets of the plan can be at the best, by the table of claims.
func lookAtConsistency(s *server, p *config.Plan) []doctor.Finding {
	files := s.frozen || parts.EverythingFrozen(p)
	level, exact := s.claim.Reach(parts.EverythingFrozen(p), files)
	return []doctor.Finding{doctor.JudgePromise(doctor.Promise{
		Level: string(level), Exact: exact, Locks: s.claim.Lock != snapshot.LockNone, Frozen: files,
		Doubt: s.claim.Doubt, LogsLate: s.claim.LogsLate, Binlog: s.Binlog(),
	})}
}
