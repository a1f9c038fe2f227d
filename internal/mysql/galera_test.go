package mysql

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stillpoint/internal/mysql/mysqltest"
	"stillpoint/internal/snapshot"
	"stillpoint/test/rig"
)

// Real nodes of a Galera cluster, with Debian's galera-4: one that is alone is
// locked like any server, one that is not is refused unless it was desynced.
func TestGalera(t *testing.T) {
	provider := filepath.Join(rig.MariaDBTree(), "usr/lib/galera/libgalera_smm.so")
	garbd := filepath.Join(rig.MariaDBTree(), "usr/bin/garbd")
	for _, path := range []string{provider, garbd} {
		if _, err := os.Stat(path); err != nil {
			t.Skip("Galera is not here: scripts/setup.sh mysql fetches it")
		}
	}
	port := mysqltest.FreePort(t)
	options := []string{"--wsrep-on=ON", "--wsrep-provider=" + provider, "--wsrep-cluster-address=gcomm://", "--wsrep-cluster-name=stillpoint",
		"--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-node-address=127.0.0.1",
		fmt.Sprintf("--wsrep-provider-options=base_port=%[1]d;gmcast.listen_addr=tcp://127.0.0.1:%[1]d;gcache.size=8M;pc.recovery=false", port)}
	first := startServer(t, options...)
	s := first.connect(t, nil)
	if !s.pair.Server.Wsrep {
		t.Fatal("it is not taken for a node")
	}
	mustLock(t, s, 10*time.Second)
	first.MustBlock(t)
	if err := s.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.MustWrite(t)

	// An arbitrator counts as a member.
	arbitrator := exec.Command(garbd, "--address", fmt.Sprintf("gcomm://127.0.0.1:%d", port), "--group", "stillpoint", //nolint:noctx // it ends with the test
		"--options", fmt.Sprintf("gmcast.listen_addr=tcp://127.0.0.1:%d", mysqltest.FreePort(t)), "--workdir", t.TempDir())
	arbitrator.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	arbitrator.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(filepath.Dir(filepath.Dir(garbd)), "lib", "boost"))
	var said bytes.Buffer
	arbitrator.Stdout, arbitrator.Stderr = &said, &said
	if err := arbitrator.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = arbitrator.Process.Kill(); _ = arbitrator.Wait() }()
	root := first.Root(t)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		rows, err := root.Query(t.Context(), "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_size'")
		if err == nil && len(rows) == 1 && rows[0]["value"] == "2" {
			break
		}
		if time.Now().After(end) {
			_ = arbitrator.Process.Kill()
			_ = arbitrator.Wait()
			t.Fatal("no second node: ", rows, err, said.String())
		}
	}
	if err := s.Lock(t.Context(), time.Second); err == nil || !strings.Contains(err.Error(), "wsrep_desync") {
		t.Errorf("Lock with a second node: %v", err)
	} else if _, ok := errorAs[*snapshot.RefusedError](err); !ok {
		t.Errorf("Lock: %T", err)
	}
	d, err := New(first.config())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "wsrep_desync") {
		t.Errorf("Connect: %v", err)
	}
	first.MustExec(t, "SET GLOBAL wsrep_desync = ON")
	mustLock(t, s, 10*time.Second)
	first.MustBlock(t)
	if err := s.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
}
