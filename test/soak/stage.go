package soak

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// addPlan gives the file a second plan, for requests that name an id with another plan.
func (s *soak) addPlan() error {
	text, err := os.ReadFile(s.ConfigPath)
	if err != nil {
		return fmt.Errorf("cannot read the worker's file: %w", err)
	}
	_, plan, ok := strings.Cut(string(text), "\n  nightly:\n")
	if !ok {
		return fmt.Errorf("cannot find the plan in the worker's file")
	}
	text = append(text, "  weekly:\n"+plan...)
	if err := os.WriteFile(s.ConfigPath, text, 0o600); err != nil {
		return fmt.Errorf("cannot write the worker's file: %w", err)
	}
	return nil
}

// unfreeze thaws the scene's own file systems; nothing else is touched.
func (s *soak) unfreeze() {
	for _, v := range s.Volumes {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_ = exec.CommandContext(ctx, "fsfreeze", "-u", v.Mount).Run() // most of the time there is nothing to thaw
		cancel()
	}
}

// thawAtTheEnd is the last resort, so that nothing keeps the scene from being taken down.
func (s *soak) thawAtTheEnd() {
	s.Defer("what may be frozen yet", func(context.Context) error { s.unfreeze(); return nil })
}

// reseed sets the dice of the local AWS's faults.
func (s *soak) reseed(ctx context.Context) error {
	body := strings.NewReader(fmt.Sprintf(`{"seed":%d}`, s.Seed))
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.AWS.URL()+"/_localstack/seed", body)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("cannot set the seed: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("cannot set the seed: %s", res.Status)
	}
	return nil
}

// keep copies what tells how something came to be.
func (s *soak) keep() error {
	if s.Keep == "" {
		return nil
	}
	log, err := os.ReadFile(s.keeper.log.Name())
	if err == nil {
		err = os.CopyFS(filepath.Join(s.Keep, "state"), os.DirFS(filepath.Join(s.Dir, "state")))
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(s.Keep, "worker.log"), log, 0o600)
	}
	if err != nil {
		return fmt.Errorf("cannot keep what the worker left: %w", err)
	}
	return nil
}
