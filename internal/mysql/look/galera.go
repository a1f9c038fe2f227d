package look

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// CheckCluster refuses a node of a Galera cluster (MariaDB Galera, Percona XtraDB
// Cluster) that takes part in it. While the lock is held or waits, such a node
// does not apply what the others write; as soon as its queue is full flow control
// makes every writer of the cluster wait for it (mydumper issue 649). A node that
// its operator has taken out of flow control (wsrep_desync), or that is alone, hurts nobody
// but itself. Nothing global is changed by us, so that is for the operator to do.
func (w *Watcher) CheckCluster(ctx context.Context) error {
	if !w.Server.Wsrep || w.NoLock {
		return nil
	}
	rows, err := w.B.Query(ctx, "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_size'")
	if err != nil {
		return w.StatementError(w.B, "read the cluster status of", err)
	}
	size := 0
	if len(rows) == 1 {
		size, _ = strconv.Atoi(rows[0]["value"])
	}
	if len(rows) == 1 && size <= 1 {
		return nil
	}
	rows, err = w.B.Query(ctx, "SHOW GLOBAL VARIABLES LIKE 'wsrep_desync'")
	if err != nil {
		return w.StatementError(w.B, "read the cluster status of", err)
	}
	if len(rows) == 1 && strings.EqualFold(rows[0]["value"], "ON") {
		return nil
	}
	return w.Target.Refused(fmt.Sprintf("is a node of a Galera cluster (wsrep_cluster_size %d), whose other writers its lock would stall: take it out of flow control for the snapshot (SET GLOBAL wsrep_desync = ON, and OFF afterwards), or use a replica outside the cluster", size), nil)
}
