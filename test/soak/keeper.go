package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"stillpoint/test/rig"
)

// keeper is the service manager: it runs the worker, and whenever that ends
// runs `stillpoint thaw`, as the stop hook does, and starts the next one.
type keeper struct {
	soak *soak
	port int
	log  *os.File

	mu       sync.Mutex
	child    *rig.Child
	starts   int
	awaited  bool          // its end was asked for
	up       chan struct{} // closed while a worker runs
	deaths   []string      // ends that nobody asked for
	stalled  []time.Time   // when worker and guardian were killed together
	thawed   []time.Time   // when the thaw after that had ended
	retiring bool

	stop context.CancelFunc
	done chan struct{}
}

func startKeeper(ctx context.Context, s *soak, port int) (*keeper, error) {
	log, err := os.Create(filepath.Join(s.Dir, "worker.log"))
	if err != nil {
		return nil, fmt.Errorf("cannot make the worker's log: %w", err)
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	k := &keeper{soak: s, port: port, log: log, up: make(chan struct{}), stop: stop, done: make(chan struct{})}
	s.Defer("the worker", k.close)
	if err := k.start(); err != nil {
		close(k.done)
		return nil, err
	}
	go k.keep(life)
	return k, nil
}

func (k *keeper) start() error {
	cmd := k.soak.Command(context.Background(), "worker", "--config", k.soak.ConfigPath, "--log-format", "json")
	// After an ambiguous answer, two seconds of looking instead of minutes.
	cmd.Env = append(cmd.Env, "STILLPOINT_LOOKUP=500ms")
	cmd.Stdout, cmd.Stderr = k.log, k.log
	child, err := rig.StartChild(cmd)
	if err != nil {
		return fmt.Errorf("cannot start the worker: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.child, k.awaited = child, false
	k.starts++
	close(k.up)
	return nil
}

func (k *keeper) keep(ctx context.Context) {
	defer close(k.done)
	for {
		k.mu.Lock()
		child := k.child
		k.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-child.Exited():
		}
		k.mu.Lock()
		k.up = make(chan struct{})
		if err := child.Wait(ctx); !k.awaited && !k.retiring {
			k.deaths = append(k.deaths, fmt.Sprint(err))
		}
		retiring := k.retiring
		k.mu.Unlock()
		k.thaw(ctx)
		if retiring {
			return
		}
		for k.start() != nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
	}
}

// thaw runs the stop hook. A build without the command gets fsfreeze instead.
func (k *keeper) thaw(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	cmd := k.soak.Command(ctx, "thaw", "--runtime-dir", filepath.Join(k.soak.Dir, "runtime"))
	cmd.Stdout, cmd.Stderr = k.log, k.log
	err := cmd.Run()
	k.soak.count(func() { k.soak.done.thaws++ })
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 64 { // no such command
		k.soak.count(func() { k.soak.done.thawless = true })
		k.soak.unfreeze()
	} else if err != nil {
		k.mu.Lock()
		k.deaths = append(k.deaths, "thaw after the worker's end: "+err.Error())
		k.mu.Unlock()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.thawed) < len(k.stalled) {
		k.thawed = append(k.thawed, time.Now())
	}
}

// running waits for a worker and returns its pid.
func (k *keeper) running(ctx context.Context) (pid int, err error) {
	k.mu.Lock()
	up := k.up
	k.mu.Unlock()
	select {
	case <-up:
	case <-ctx.Done():
		return 0, fmt.Errorf("there is no worker: %w", context.Cause(ctx))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.child.PID(), nil
}

// end signals the worker, and waits until it has ended.
func (k *keeper) end(ctx context.Context, signal os.Signal) error {
	k.mu.Lock()
	k.awaited = true
	child := k.child
	k.mu.Unlock()
	if err := child.Signal(signal); err != nil {
		return err
	}
	err := child.Wait(ctx)
	if ctx.Err() != nil {
		return fmt.Errorf("the worker does not end: %w", err)
	}
	if signal != syscall.SIGKILL && err != nil {
		k.mu.Lock()
		k.deaths = append(k.deaths, fmt.Sprintf("after %s: %v", signal, err))
		k.mu.Unlock()
	}
	return nil
}

// both kills worker and guardian together, so that only the thaw helps.
func (k *keeper) both(ctx context.Context, guardian int) error {
	k.mu.Lock()
	k.awaited = true
	child := k.child
	k.stalled = append(k.stalled, time.Now())
	err := errors.Join(syscall.Kill(guardian, syscall.SIGKILL), child.Kill())
	k.mu.Unlock()
	return errors.Join(err, awaitExit(ctx, child))
}

func awaitExit(ctx context.Context, child *rig.Child) error {
	select {
	case <-child.Exited():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the worker does not end: %w", context.Cause(ctx))
	}
}

// guardian is the worker's child; 0 where it has none.
func guardian(worker int) int {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", worker))
	for _, t := range tasks {
		b, _ := os.ReadFile(t)
		if f := strings.Fields(string(b)); len(f) > 0 {
			pid, _ := strconv.Atoi(f[0])
			return pid
		}
	}
	return 0
}

func (k *keeper) close(ctx context.Context) error {
	k.mu.Lock()
	k.retiring = true
	child := k.child
	k.mu.Unlock()
	k.stop()
	<-k.done
	var err error
	if child != nil {
		k.mu.Lock()
		child = k.child // the last that was started
		k.mu.Unlock()
		err = child.Kill()
		err = errors.Join(err, awaitExit(ctx, child))
	}
	return errors.Join(err, k.log.Close())
}

// tail is the end of the worker's log.
func (k *keeper) tail() string {
	b, err := os.ReadFile(k.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-6000):])
}

// logged says how often the worker's log has a text.
func (k *keeper) logged(text string) int {
	b, err := os.ReadFile(k.log.Name())
	if err != nil {
		return 0
	}
	return bytes.Count(b, []byte(text))
}

func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("cannot find a free port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
