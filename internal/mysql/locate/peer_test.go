package locate

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// pair is a connection and its other end, both in this process.
func pair(t *testing.T, network, address string) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = l.Close() }()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	ours, err = net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs = <-accepted
	t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
	return ours, theirs
}

var ways = map[string][2]string{
	"unix": {"unix", ""}, "IPv4": {"tcp4", "127.0.0.1:0"}, "IPv6": {"tcp6", "[::1]:0"}, "IPv4 to a listener of both": {"tcp", "[::]:0"},
}

// The other end is the process that has it, and not the one that listened: a
// process that is handed the accepted connection, as with socket activation.
func TestPeer(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			network, address := way[0], way[1]
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "s")
			}
			ours, theirs := pair(t, network, address)
			p, err := Peer(ours)
			if err != nil {
				t.Fatal(err)
			}
			if p.PID != os.Getpid() || !strings.HasSuffix(p.Name, ".test") {
				t.Errorf("the other end is %s", p)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			file, err := theirs.(interface{ File() (*os.File, error) }).File()
			if err != nil {
				t.Fatal(err)
			}
			child := exec.Command("cat")
			child.ExtraFiles = []*os.File{file}
			child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if os.Geteuid() == 0 { // as in a container
				child.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS
			}
			stdin, err := child.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = stdin.Close(); _ = child.Wait() }()
			_, _ = file.Close(), theirs.Close()
			p, err = Peer(ours)
			if err != nil {
				t.Fatal(err)
			}
			if p.PID != child.Process.Pid {
				t.Errorf("the other end is %s, and is process %d", p, child.Process.Pid)
			}
			// The handle does not go over to whoever comes next.
			_, _ = stdin.Close(), child.Wait()
			if _, err := p.Files(); err == nil {
				t.Error("a process that has ended has files")
			}
			if p.Same(p) {
				t.Error("a process that has ended is the same as another")
			}
			_ = p.Close()
		})
	}
}

// A connection whose other end is in no process here.
func TestNoPeer(t *testing.T) {
	ours, theirs := pair(t, "tcp4", "127.0.0.1:0")
	_ = theirs.Close()
	_, err := Peer(ours)
	if err == nil || !strings.Contains(err.Error(), "not on this host, or in a container's network") {
		t.Errorf("closed: %v", err)
	}
	_, err = Peer(struct{ net.Conn }{ours})
	if err == nil || !strings.Contains(err.Error(), "does not say who is at its other end") {
		t.Errorf("a wrapped one: %v", err)
	}
}

// Someone who may not look at the process says so.
func TestNobodySeesNothing(t *testing.T) {
	if address := os.Getenv("LOCATE_TEST_ADDRESS"); address != "" {
		c, err := net.Dial("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Peer(c)
		fmt.Println(err)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can become nobody")
	}
	l, err := net.Listen("unix", "@stillpoint-locate-test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "sp-locate-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program := filepath.Join(dir, "locate.test")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=TestNobodySeesNothing", "-test.v")
	cmd.Dir = "/"
	cmd.Env = []string{"LOCATE_TEST_ADDRESS=" + l.Addr().String()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "may not be looked at (that takes root, or CAP_SYS_PTRACE") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestTCPTable(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0
   1: 0100007F:0CEA 0100007F:C350 06 00000000:00000000 00:00000000 00000000     0        0 12 1 0 20 4 30 10 -1
   2: 0100007F:C350 0100007F:0CEA 01 00000000:00000000 00:00000000 00000000     0        0 13 1 0 20 4 30 10 -1
   3: 0000000000000000FFFF00000100007F:0CEA 0000000000000000FFFF00000100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 14 1 0 20 4 30 10 -1
`
	server, client := netip.MustParseAddrPort("127.0.0.1:3306"), netip.MustParseAddrPort("127.0.0.1:50000")
	got, err := findTCP(strings.NewReader(table), server, client)
	if err != nil || got != 14 {
		t.Errorf("inode %d, %v", got, err)
	}
	if got, _ := findTCP(strings.NewReader(table), client, server); got != 13 {
		t.Errorf("the other way round: inode %d", got)
	}
}

func TestIsData(t *testing.T) {
	for name, want := range map[string]bool{
		"ibdata1": true, "/x/ib_logfile0": true, "a.ibd": true, "t.MYD": true, "t.MAI": true, "#ib_redo12": true, "#ib_16384_0.dblwr": true,
		"undo_001": true, "undo001": true, "u.ibu": true, "aria_log_control": true, "aria_log.00000001": true, "mysql.ibd": true, "t.frm": true,
		"ibtmp1": false, "temp_1.ibt": false, "/tmp/#sql-temptable-1-2-3.MAI": false, "error.log": false, "slow.log": false, "x.pid": false, "x.csv.gz": false,
	} {
		if IsData(name) != want {
			t.Errorf("IsData(%q) is %v", name, !want)
		}
	}
}

func TestServerName(t *testing.T) {
	for name, want := range map[string]bool{
		"mysqld": true, "mariadbd": true, "mysqld-debug": true, "mysqld.bin": true,
		"mysqld_exporter": false, "mysqld_safe": false, "mysql": false, "xmysqld": false,
	} {
		if serverName.MatchString(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

// What the kernel answers is taken apart without trust in its lengths.
func FuzzPeerOf(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 40))
	f.Fuzz(func(_ *testing.T, message []byte) { _, _ = peerOf(message) })
}
