package conformance

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// motoAccount is the account that moto has by default.
const motoAccount = "123456789012"

// startMoto starts a moto_server on a free port of 127.0.0.1, which ends with the test. It skips the test where there is none.
func startMoto(t *testing.T) *target {
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("moto_server is not on this machine: pip install 'moto[server]'")
	}
	port := freePort(t)
	cmd := exec.Command(path, "-H", "127.0.0.1", "-p", port)
	// It shall not outlive a test that is killed. The kernel watches the thread that started it, so a thread is kept for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("cannot start %s: %v", path, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	to := newTarget(t, "http://127.0.0.1:"+port, motoAccount)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		answer, err := to.http.Get(to.url + "/moto-api/data.json")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return to
			}
		}
		select {
		case <-ended:
			t.Fatalf("moto_server ended at once:\n%s", log.Bytes())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("moto_server does not answer on port %s after 30 s: %v", port, err)
		}
	}
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}

// motoVersion is that of the moto that python3 finds, or a note that it finds none.
func motoVersion() string {
	out, err := exec.Command("python3", "-c", "import importlib.metadata; print(importlib.metadata.version('moto'))").Output()
	if err != nil {
		return "of unknown version"
	}
	return strings.TrimSpace(string(out))
}
