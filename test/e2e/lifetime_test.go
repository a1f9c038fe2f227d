package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"stillpoint/messages"
	"stillpoint/test/scene"
)

// A log that nobody takes any more, and one that nobody reads, change nothing.
func TestStandardErrorIsGone(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]bool{"closed": true, "full": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, s := set(t, scene.Config{NoDatabase: true})
			m := listen(t, s, 0)
			r, wr, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, wr.Fd(), 1031 /* F_SETPIPE_SZ */, 4096); errno != 0 {
				t.Fatal(errno)
			}
			if gone {
				_ = r.Close()
			}
			cmd := s.Command(context.WithoutCancel(ctx), "worker", "--config", s.ConfigPath, "--log-format", "json", "--log-level", "debug")
			cmd.Stdout, cmd.Stderr = wr, wr
			child := start(t, s, cmd)
			_ = wr.Close()
			m.hears(t, ctx, 0, "READY=1")
			for i := range 5 { // enough to fill the pipe
				send(t, ctx, s, fmt.Sprintf(`{"requestId":"unread-%d"}`, i))
				wants(t, next(t, ctx, s).Result, messages.Succeeded, "", messages.ConsistencyFilesystem)
			}
			kill(t, child.PID(), syscall.SIGTERM)
			m.hears(t, ctx, 0, "STOPPING=1")
			send(t, ctx, s, `{"requestId":"too-late"}`)
			if err := child.Wait(ctx); err != nil {
				t.Errorf("the worker ended with %v", err)
			}
		})
	}
}

// A program that is replaced, or deleted, while it runs goes on as the one that it was.
func TestUpgradeWhileItRuns(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{NoDatabase: true})
	place := filepath.Join(s.Dir, "stillpoint")
	s.Config.Stillpoint = place
	install := func(from string) {
		t.Helper()
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(place+".new", b, 0o755)
		}
		if err == nil {
			err = os.Rename(place+".new", place)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	install(program)
	other := filepath.Join(s.Dir, "other")
	if out, err := shell(ctx, "cd "+sources(t)+" && go build -buildvcs=false -race -ldflags '-X main.version=upgraded' -o "+other+" ./cmd/stillpoint").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	w := work(t, ctx, s)
	await(t, ctx, "the start", func() bool { return strings.Contains(w.Log(), "worker started") })
	install(other)
	send(t, ctx, s, `{"requestId":"replaced"}`)
	r := next(t, ctx, s).Result
	wants(t, r, messages.Succeeded, "", messages.ConsistencyFilesystem)
	if r.Agent.Version == "upgraded" {
		t.Error("the result is the new program's")
	}
	if err := os.Remove(place); err != nil {
		t.Fatal(err)
	}
	send(t, ctx, s, `{"requestId":"deleted"}`)
	wants(t, next(t, ctx, s).Result, messages.Succeeded, "", messages.ConsistencyFilesystem)
	await(t, ctx, "an empty queue", func() bool {
		visible, inFlight, err := s.Depth(ctx, s.QueueURL)
		return err == nil && visible == "0" && inFlight == "0"
	})
	kill(t, w.PID(), syscall.SIGKILL) // which spares the wait for its poll
	<-w.Exited()

	install(other)
	work(t, ctx, s)
	send(t, ctx, s, `{"requestId":"upgraded"}`)
	r = next(t, ctx, s).Result
	wants(t, r, messages.Succeeded, "", messages.ConsistencyFilesystem)
	if r.Agent.Version != "upgraded" {
		t.Errorf("the result is of version %s", r.Agent.Version)
	}
}
