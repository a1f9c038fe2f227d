package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/test/scene"
)

const (
	// maxHold is the least that the plan's timeouts allow.
	maxHold = 6 * time.Second
	// promise is within what writes flow again.
	promise = maxHold + time.Second
	// lookupDelay stands between the look-ups after an ambiguous answer: four of
	// them outlast the slowest create call of a cell.
	lookupDelay = 350 * time.Millisecond
	// patience bounds every wait that no promise bounds.
	patience = 30 * time.Second
)

const (
	planYAML  = "max_hold: 6s\nsnapshot_timeout: 900ms"
	hooksYAML = "\nhook_timeout: 500ms\npre_freeze: [%s, %s]\npost_thaw: [%s, -f, %s]"
	mysqlYAML = "lock_timeout: 100ms\nlock_tries: 60\nlock_sleep: 200ms"
)

// stand is a scene in which one kill after the other takes place.
type stand struct {
	scene    *scene.Scene
	program  string
	holdFile string
	marker   string // what pre_freeze makes and post_thaw removes; "": there are no hooks
	lengths  stageLengths
	results  *inbox
	files    []*meter
	db       *meter
	worker   *traced
	rcu      string
	stops    []func()
}

// newStand sets the scene: two volumes with a file system each, a database
// under load, and a client of our own that writes to each of them.
func (m *matrix) newStand(ctx context.Context) (_ *stand, err error) {
	plan := planYAML
	if m.marker != "" {
		touch, err1 := exec.LookPath("touch")
		rm, err2 := exec.LookPath("rm")
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		plan += fmt.Sprintf(hooksYAML, touch, m.marker, rm, m.marker)
	}
	sc, err := scene.New(ctx, scene.Config{
		Stillpoint: m.program, Extra: "ext4", VolumeMiB: 1024, Writers: 4, Pause: 60 * time.Millisecond,
		PlanYAML: plan, MySQLYAML: mysqlYAML,
	})
	if err != nil {
		return nil, err
	}
	s := &stand{scene: sc, program: m.program, holdFile: filepath.Join(sc.Dir, "hold"), lengths: m.lengths, marker: m.marker, rcu: m.rcu}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	behaviour := sc.AWS.EC2Behaviour()
	behaviour.Unthrottled, behaviour.Limits.Pending, behaviour.Limits.PendingPerVolume = true, -1, -1
	if err := sc.AWS.BehaveEC2(behaviour); err != nil {
		return nil, err
	}
	for _, v := range sc.Volumes {
		w, stop, err := startFileWriter(v.Mount)
		if err != nil {
			return nil, err
		}
		s.files, s.stops = append(s.files, w), append(s.stops, stop)
	}
	w, stop, err := startCommitter(ctx, sc.Server)
	if err != nil {
		return nil, err
	}
	s.db, s.stops = w, append(s.stops, stop)
	s.results = collect(ctx, sc)
	s.stops = append(s.stops, s.results.stop)
	return s, nil
}

// close takes everything down; what is still frozen is thawed first, so that nothing hangs on it.
func (s *stand) close() error {
	endAll(s.program)
	if s.worker != nil {
		select {
		case <-s.worker.Exited():
		case <-time.After(patience):
		}
		_ = s.worker.release.Close()
	}
	err := s.thawAll()
	for _, stop := range s.stops {
		stop()
	}
	return errors.Join(err, s.scene.Close())
}

// meters are all writing clients.
func (s *stand) meters() []*meter { return append([]*meter{s.db}, s.files...) }

// The ioctls of linux/fs.h.
const (
	ioctlFreeze = 0xC0045877
	ioctlThaw   = 0xC0045878
)

func freezer(mount string, request uint) error {
	fd, err := unix.Open(mount, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.IoctlSetInt(fd, request, 0)
}

// thawAll is the last resort; the error names what was still frozen.
func (s *stand) thawAll() (err error) {
	for _, v := range s.scene.Volumes {
		if freezer(v.Mount, ioctlThaw) == nil {
			err = errors.Join(err, fmt.Errorf("%s was still frozen", v.Mount))
		}
	}
	return err
}

// ensureWorker starts a worker where none is alive.
func (s *stand) ensureWorker(ctx context.Context) error {
	if s.worker != nil {
		if s.worker.alive() {
			return nil
		}
		_ = s.worker.release.Close()
	}
	if err := os.WriteFile(s.holdFile, nil, 0o600); err != nil {
		return err
	}
	w, err := s.startWorker(ctx)
	if err != nil {
		return err
	}
	s.worker = w
	return nil
}

// runtimeLeft names what stands in the runtime directory that is no lock file and not empty.
func (s *stand) runtimeLeft() []string {
	var left []string
	dir := filepath.Join(s.scene.Dir, "runtime")
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || filepath.Ext(e.Name()) == ".lock" || info.Size() == 0 || !info.Mode().IsRegular() {
			continue
		}
		left = append(left, e.Name())
	}
	return left
}

// sessions counts the product's sessions at the server, and what waits for a global lock.
func (s *stand) sessions(ctx context.Context) (own, queued int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	row := s.scene.Server.DB().QueryRowContext(ctx, `SELECT COALESCE(SUM(user = 'stillpoint'), 0),
		COALESCE(SUM(info LIKE '%WITH READ LOCK%' AND user <> 'root'), 0) FROM information_schema.processlist`)
	return own, queued, row.Scan(&own, &queued)
}

// quiesced says that pre_freeze was run, and post_thaw is still to come.
func (s *stand) quiesced() bool {
	if s.marker == "" {
		return false
	}
	_, err := os.Lstat(s.marker)
	return err == nil
}
