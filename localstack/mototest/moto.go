// Package mototest runs moto_server, the other local AWS, for tests that want a
// second opinion.
package mototest

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// Account is the account that moto has by default.
const Account = "123456789012"

// Start starts a moto_server on a free port of 127.0.0.1, which ends with the
// test, and says where it answers. It skips the test where there is none.
func Start(t *testing.T) (url string) {
	t.Helper()
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
	url = "http://127.0.0.1:" + port
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		answer, err := http.Get(url + "/moto-api/data.json")
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return url
			}
		}
		select {
		case <-ended:
			t.Fatalf("moto_server ended at once:\n%s", log.Bytes())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("moto_server does not answer on port %s after a minute: %v", port, err)
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
