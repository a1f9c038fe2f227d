package doctor

import (
	"fmt"
	"path"
	"strings"
)

// JudgeDefaults judges a defaults file that can be used. readable says that others may read it,
// empty that no option stands in its [client] section.
func JudgeDefaults(file string, readable, empty bool) Finding {
	switch {
	case empty:
		return Poor(file+" has no option in a section [client]: nothing of it is used", "write user and password, and where the server is, below a line [client]")
	case readable:
		return Poor(file+" can be read by others than its owner, with the password in it", "chmod 0600 "+file)
	}
	return Good(file + " can be read by its owner alone")
}

// JudgeVersion judges a server's. known says how it is known that the statements
// for it are right; "": it is older than those.
func JudgeVersion(flavor, version, known string) Finding {
	name := flavor + " " + version
	switch known {
	case "":
		return Poor(name+" is older than any that this was written for", "take a newer one; stillpoint snapshot --dry-run shows more")
	case "read, not run":
		return Good(name + ": its statements were read in its manual; the tests run on others")
	}
	return Good(name)
}

// Lock is the lock that a run would take now.
type Lock struct {
	// Name is the lock in words, Asked the plan's lock, Reason why this one, where the plan left the choice.
	Name, Asked, Reason string
}

// JudgeLock judges it.
func JudgeLock(l Lock) Finding {
	said := fmt.Sprintf("lock: %s takes %s", l.Asked, l.Name)
	if l.Name == "none" {
		return Good("lock: none, so that nothing is locked")
	}
	if l.Reason != "" {
		said += ", since " + l.Reason
	}
	return Good(said)
}

// Promise is what the sets of a plan can be at the best.
type Promise struct {
	// Level is messages.Consistency, Exact whether the coordinates can be.
	Level string
	Exact bool
	// Locks says that something is locked; Frozen that all the server's file systems are frozen.
	Locks, Frozen bool
	// Doubt is why the lock is worth less than it could be: a table that is not
	// transactional; "" for none.
	Doubt string
	// LogsLate: InnoDB writes its log up to a second after a commit.
	LogsLate bool
	// Binlog says that the server writes one.
	Binlog bool
}

// JudgePromise judges it.
func JudgePromise(p Promise) Finding {
	said := "at the best a set of this plan is " + p.Level + "-consistent"
	switch {
	case p.LogsLate:
		return Poor(said+": InnoDB writes its log up to a second after a commit (innodb_flush_log_at_trx_commit is 0), so that what is restored may lack transactions that its binlog has",
			"SET GLOBAL innodb_flush_log_at_trx_commit = 1, or 2, and in the server's file as well")
	case p.Locks && p.Doubt != "":
		return Poor(said+": the backup lock keeps only transactional tables at rest, and "+p.Doubt, "write lock: ftwrl, which keeps them all, or lock: auto")
	case p.Locks && !p.Frozen:
		return Poor(said+": not every file system that the server writes to is frozen, so that what it wrote last may not have reached the volumes, and coordinates are not exact",
			"name its mount points under freeze")
	case p.Exact && p.Binlog:
		said += ", with exact coordinates"
	case p.Binlog:
		said += "; its coordinates are not exact, since the lock stops no writes"
	}
	return Good(said)
}

// Blockers are what would block the lock at this moment.
type Blockers struct {
	// Long and Ended are those that are long by the plan, and those of them that a run would end.
	Long, Ended []string
	// Young is how many there are besides.
	Young int
	// Policy is the plan's long_queries: wait, fail or kill. After is its long_query_after.
	Policy, After string
	// For is how long a run goes on trying, in words.
	For string
}

// JudgeBlockers judges them.
func JudgeBlockers(b Blockers) Finding {
	names := strings.Join(b.Long, "; ")
	switch {
	case len(b.Long) == 0 && b.Young == 0:
		return Good("nothing is in the way of the lock at this moment")
	case len(b.Long) == 0:
		return Good(fmt.Sprintf("no statement in the way of the lock has been running for %s; %d younger would be waited for", b.After, b.Young))
	case b.Policy == "fail":
		return Bad("in the way of the lock at this moment, and long_queries is fail: "+names, "end them, or wait for their end; a run that comes now is refused")
	case b.Policy == "kill" && len(b.Ended) == len(b.Long):
		return Poor("in the way of the lock at this moment: "+names, "a run that comes now ends them (long_queries: kill)")
	case b.Policy == "kill":
		return Poor("in the way of the lock at this moment: "+names, fmt.Sprintf("a run that comes now ends %d of these %d and waits for the others, for %s", len(b.Ended), len(b.Long), b.For))
	}
	return Poor("in the way of the lock at this moment: "+names, "a run that comes now waits for their end, for "+b.For+", and then fails with lock_timeout")
}

// JudgeSight judges whether all that holds the lock up can be seen. blind: a MariaDB without metadata_lock_info.
func JudgeSight(blind bool) Finding {
	if blind {
		return Poor("a session that sleeps after LOCK TABLES ... WRITE is not seen: without the plugin metadata_lock_info a run finds it by its lock_timeout, and cannot name it",
			"INSTALL SONAME 'metadata_lock_info'")
	}
	return Good("whatever holds the lock up is seen, sleeping sessions too")
}

// Binlog is the server's own.
type Binlog struct {
	On bool
	// Sync is sync_binlog; Base the path of the files without their number, Datadir the data directory.
	Sync, Base, Datadir string
	// Frozen says that all the server's file systems are frozen.
	Frozen bool
}

// JudgeBinlog judges it.
func JudgeBinlog(b Binlog) Finding {
	switch {
	case !b.On:
		return Poor("the server writes no binlog: a set has no coordinates, and cannot be rolled forward", "turn it on (log_bin), if that matters")
	case b.Sync != "1" && !b.Frozen:
		return Poor("sync_binlog is "+b.Sync+" and not every file system is frozen: the last transactions of a set may be missing in its binlog", "SET GLOBAL sync_binlog = 1, or freeze what the binlog lies on")
	case path.Dir(b.Base) != path.Clean(b.Datadir):
		return Poor("the binlog lies outside the data directory, in "+path.Dir(b.Base)+": its index then holds absolute names, which a copy mounted elsewhere would follow to the original",
			"restore it to the same path, or edit the index of the copy before its first start")
	}
	return Good("on, in the data directory, sync_binlog " + b.Sync)
}

// Source is one that the server replicates from.
type Source struct {
	Channel, Host    string
	Applying, Failed bool
	// Doubt is why file and position of what was executed would be left out.
	Doubt string
}

// JudgeSources judges the replication of a server. stops: replica: stop_applier.
func JudgeSources(list []Source, stops bool) Finding {
	if len(list) == 0 && stops {
		return Good("no replica of another server, so that stop_applier has nothing to stop")
	}
	if len(list) == 0 {
		return Good("no replica of another server")
	}
	var ill, doubts, fine []string
	for _, s := range list {
		name := "from " + s.Host
		if s.Channel != "" {
			name += fmt.Sprintf(" (channel %s)", s.Channel)
		}
		switch {
		case s.Failed:
			ill = append(ill, name+": the applier stopped with an error")
		case !s.Applying:
			ill = append(ill, name+": the applier is stopped")
		case s.Doubt != "":
			doubts = append(doubts, name+": "+s.Doubt)
		default:
			fine = append(fine, name)
		}
	}
	switch {
	case len(ill) > 0:
		return Poor("a replica that does not follow: "+strings.Join(ill, "; "), "START REPLICA SQL_THREAD (MariaDB: START SLAVE), and look at SHOW REPLICA STATUS")
	case len(doubts) > 0:
		return Poor("a replica whose position in the source's binlog is left out of results: "+strings.Join(doubts, "; "), "write replica: stop_applier, or go by the GTIDs")
	case stops:
		return Good("a replica " + strings.Join(fine, ", ") + ", whose applier is stopped for each try and started again")
	}
	return Good("a replica " + strings.Join(fine, ", ") + "; its position can be told")
}

// ourConnections is how many a run has at the most: two, and one more to withdraw a request.
const ourConnections = 3

// JudgeConnections judges how many are left of the most that may be open, ours being among those that are.
func JudgeConnections(open, most int) Finding {
	left := most - open
	said := fmt.Sprintf("%d of %d connections are in use", open, most)
	if most > 0 && (left < ourConnections || left*10 < most) {
		return Poor(said+": a run that finds all taken is refused", "raise max_connections, or find out who has them")
	}
	return Good(said)
}

// JudgeUnlocked judges the servers that have files on the set of a plan without
// mysql; hook says that it has a pre_freeze, which may bring them to rest.
func JudgeUnlocked(servers []string, hook bool) Finding {
	switch {
	case len(servers) == 0:
		return Good("the plan locks no database, and no MySQL or MariaDB that runs here has files on the set")
	case hook:
		return Good("the plan locks no database; that its pre_freeze brings this to rest is its own matter: " + strings.Join(servers, "; "))
	}
	return Poor("the plan has no mysql section, and a database has files on the set: "+strings.Join(servers, "; ")+
		": it is not locked, and a set is worth no more to it than what a power cut leaves",
		"add mysql to the plan; where that is meant, there is nothing to do")
}
