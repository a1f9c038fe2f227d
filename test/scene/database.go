package scene

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"stillpoint/test/rig"
)

// serverConfig is that of a server whose data lie on these volumes: the scene's, or those of a restored set.
func (s *Scene) serverConfig(volumes []Volume, run string, id int) rig.ServerConfig {
	c := rig.ServerConfig{Datadir: filepath.Join(volumes[0].Mount, "mysql"), RunDir: filepath.Join(s.Dir, run), ServerID: uint32(id)}
	if s.Config.BinlogOnExtra {
		c.BinlogDir = filepath.Join(volumes[1].Mount, "binlog")
	}
	return c
}

// StartServer starts the database, the first time or again after its end.
func (s *Scene) StartServer(ctx context.Context) (err error) {
	config := s.serverConfig(s.Volumes, "run-db", 1)
	config.Options = s.Config.ServerOptions
	if s.Server, err = rig.StartServer(ctx, s.Config.Flavor, config); err != nil {
		return err
	}
	// Nobody wants its data when the scene is taken down.
	s.stack.Add("the server", s.Server.Discard)
	return nil
}

func (s *Scene) startDatabase(ctx context.Context) (err error) {
	if s.Config.NoDatabase {
		return nil
	}
	if err := s.StartServer(ctx); err != nil {
		return err
	}
	if err := s.Server.CreateUser(ctx, "stillpoint", Password, s.Config.Privileges...); err != nil {
		return err
	}
	s.DefaultsFile = filepath.Join(s.Dir, "my.cnf")
	s.Config.Say("%s on it, started in %s", s.Config.Flavor.Name(), s.Server.StartedIn().Round(time.Millisecond))
	return rig.WriteDefaultsFile(s.DefaultsFile, "stillpoint", Password, s.Server.Socket())
}

func (s *Scene) startLoad(ctx context.Context) error {
	if s.Config.Writers == 0 || s.Config.NoDatabase {
		return nil
	}
	return s.StartLoad(ctx)
}

// StartLoad starts the load, the first time or again on the data of an earlier one.
func (s *Scene) StartLoad(ctx context.Context) (err error) {
	load, err := rig.StartLoad(context.WithoutCancel(ctx), s.Server, rig.LoadConfig{
		Writers: s.Config.Writers, Pause: s.Config.Pause, Journals: s.Config.Journals,
	})
	if err != nil {
		return err
	}
	s.Load = load
	s.stack.Add("the load", func(context.Context) error { _ = load.Stop(); return nil })
	s.Config.Say("%d writers on %s tables", s.Config.Writers, strings.Join(append([]string{"InnoDB"}, s.journals()...), ", "))
	return nil
}

// journals are the engines without transactions that have a table in the load.
func (s *Scene) journals() []string {
	if s.Config.Journals == nil {
		return s.Config.Flavor.Journals()
	}
	return s.Config.Journals
}

// enough is how many transactions of a load make a comparison worth its name.
const enough = 600

// AwaitLoad waits until the load has written enough since its start to be worth a comparison, or until ctx ends.
func (s *Scene) AwaitLoad(ctx context.Context) error { return s.awaitTransactions(ctx, enough) }

// awaitTransactions waits until the load has done that many since its start.
func (s *Scene) awaitTransactions(ctx context.Context, n int64) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.Load.Stats().Transactions < n {
		if err := s.Load.Err(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the load does not write: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}
