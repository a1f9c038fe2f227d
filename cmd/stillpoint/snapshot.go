package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"stillpoint/internal/config"
	"stillpoint/internal/ebs"
	"stillpoint/internal/journal"
	"stillpoint/internal/notify"
	"stillpoint/internal/timeline"
	"stillpoint/messages"
	"stillpoint/worker"
)

// flagPlan is the name of the plan that flags alone describe.
const flagPlan = "command-line"

type snapshotCommand struct {
	Plan        string            `arg:"" optional:"" help:"The plan of the file; none: the default plan, or what the flags say."`
	RequestID   string            `help:"Names the request: the same id never makes a second set (default: a new one)." placeholder:"ID"`
	Description string            `help:"For the snapshots."`
	Tag         map[string]string `help:"A tag for the snapshots, where the plan lets requests set it; may be repeated." placeholder:"KEY=VALUE" mapsep:"none"`
	DryRun      bool              `help:"All checks and look-ups; no lock, no freeze, no snapshot."`
	JSON        bool              `help:"Print the Result as JSON." name:"json"`
	Wait        bool              `help:"Follow the upload until EBS has completed the snapshots."`

	Set setFlags `embed:"" group:"Instead of a plan"`
}

// setFlags describe a plan without a file.
type setFlags struct {
	MySQL             bool     `name:"mysql" help:"Lock the MySQL or MariaDB server."`
	MySQLSocket       string   `name:"mysql-socket" placeholder:"PATH"`
	MySQLHost         string   `name:"mysql-host" placeholder:"HOST"`
	MySQLPort         uint16   `name:"mysql-port" placeholder:"PORT"`
	MySQLUser         string   `name:"mysql-user" placeholder:"USER"`
	MySQLDefaultsFile string   `name:"mysql-defaults-file" help:"An option file with a [client] section: user, password, ..." placeholder:"FILE"`
	LockTimeout       string   `help:"For one try (default: 500ms)." placeholder:"DURATION"`
	LockTries         int      `help:"(default: 60)" placeholder:"N"`
	LockSleep         string   `help:"Between tries, with nothing held (default: 5s)." placeholder:"DURATION"`
	SnapshotTimeout   string   `help:"For EC2's answer (default: 10s)." placeholder:"DURATION"`
	Freeze            []string `help:"A mount point to freeze; may be repeated." placeholder:"MOUNT" sep:"none"`
	NoFreeze          []string `help:"A mount point whose volumes belong to the set, but is not frozen." placeholder:"MOUNT" sep:"none"`
	Volume            []string `help:"A volume of the set, where mount points do not say it." placeholder:"vol-..." sep:"none"`
	Region            string   `help:"(default: the AWS configuration, then the instance's metadata)" placeholder:"REGION"`
	InstanceID        string   `help:"(default: the instance's metadata)" placeholder:"i-..."`
	StateDir          string   `help:"Where the journal is kept (default: /var/lib/stillpoint)." placeholder:"DIR"`
	RuntimeDir        string   `help:"Where locks are kept (default: /run/stillpoint)." placeholder:"DIR"`
}

// given says whether the flags describe a plan.
func (s setFlags) given() bool {
	return s.MySQL || s.MySQLSocket != "" || s.MySQLHost != "" || s.MySQLDefaultsFile != "" ||
		len(s.Freeze)+len(s.NoFreeze)+len(s.Volume) > 0
}

// tuned says whether there are flags that a plan of the file would not obey.
func (s setFlags) tuned() bool {
	return s.MySQLUser != "" || s.MySQLPort != 0 || s.LockTimeout != "" || s.LockTries != 0 || s.LockSleep != "" || s.SnapshotTimeout != ""
}

// plan is what the flags describe.
func (s setFlags) plan() (*config.Plan, error) {
	p := config.NewPlan(flagPlan)
	p.Freeze, p.NoFreeze, p.Volumes = s.Freeze, s.NoFreeze, s.Volume
	var errs []error
	set := func(d *time.Duration, flag, v string) {
		if v == "" {
			return
		}
		parsed, err := messages.ParseDuration(v)
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
		}
		*d = parsed
	}
	set(&p.SnapshotTimeout, "snapshot-timeout", s.SnapshotTimeout)
	if s.MySQL || s.MySQLSocket != "" || s.MySQLHost != "" || s.MySQLDefaultsFile != "" || s.MySQLUser != "" {
		m := config.NewMySQL()
		m.Socket, m.Host, m.User, m.DefaultsFile = s.MySQLSocket, s.MySQLHost, s.MySQLUser, s.MySQLDefaultsFile
		if s.MySQLPort != 0 {
			m.Port, m.PortSet = int(s.MySQLPort), true
		}
		set(&m.LockTimeout, "lock-timeout", s.LockTimeout)
		set(&m.LockSleep, "lock-sleep", s.LockSleep)
		if s.LockTries != 0 {
			m.LockTries = s.LockTries
		}
		p.MySQL = m
	}
	if least, _ := p.MinHold(); p.MaxHold < least {
		p.MaxHold = least
	}
	return p, errors.Join(errs...)
}

// file is the configuration of this run: the file, the flags, or both.
func (c snapshotCommand) file(g *globals) (*config.File, error) {
	flags := c.Set.given()
	if (flags || c.Set.tuned()) && c.Plan != "" {
		return nil, coded(exitUsage, errors.New("give a plan of the file, or the flags that describe one, not both: what a plan does stands in the file"))
	}
	if c.Set.tuned() && !flags {
		return nil, coded(exitUsage, errors.New("the flags say how, but not what to snapshot: add --mysql, --freeze MOUNT, --no-freeze MOUNT or --volume ID"))
	}
	f := config.Default()
	_, statErr := os.Stat(g.configPath())
	if !flags || g.Config != "" || statErr == nil {
		var err error
		if f, err = config.Load(g.configPath()); err != nil {
			if !flags && errors.Is(err, os.ErrNotExist) {
				err = fmt.Errorf("%w; write one, or say by flags what to snapshot (--freeze MOUNT, --mysql, ...)", err)
			}
			return nil, coded(exitConfig, err)
		}
	}
	override(&f.Region, c.Set.Region)
	override(&f.InstanceID, c.Set.InstanceID)
	override(&f.StateDir, c.Set.StateDir)
	override(&f.RuntimeDir, c.Set.RuntimeDir)
	if flags {
		p, err := c.Set.plan()
		if err != nil {
			return nil, coded(exitUsage, err)
		}
		p.RequestTags = []string{"*"} // whoever may give these flags is root here
		f.Plans = map[string]*config.Plan{flagPlan: p}
		f.DefaultPlan = flagPlan
		if err := f.Check(); err != nil {
			return nil, coded(exitUsage, err)
		}
	}
	return f, nil
}

// override puts a flag's value in the place of the file's.
func override(to *string, v string) {
	if v != "" {
		*to = v
	}
}

// Run takes one set of snapshots.
func (c snapshotCommand) Run(ctx context.Context, g *globals) error {
	if g.LogLevel == "info" { // the answer is the timeline; progress is for --log-level=debug and for a terminal that waits
		if _, tty := terminal(g.err); !tty {
			g.LogLevel = "warn"
		}
	}
	log, logs, err := g.logger()
	if err != nil {
		return err
	}
	defer func() { _ = logs.Close() }()
	req := messages.Request{
		SchemaVersion: messages.SchemaVersion, RequestID: c.RequestID, Action: messages.ActionSnapshot, Plan: c.Plan,
		Description: c.Description, Tags: c.Tag, DryRun: c.DryRun,
	}
	if req.RequestID == "" {
		req.RequestID = "cli:" + uuid.NewString()
	}
	if err := req.Validate(time.Now()); err != nil {
		return coded(exitUsage, err)
	}
	f, err := c.file(g)
	if err != nil {
		return err
	}
	if len(f.Plans) == 0 {
		return coded(exitConfig, fmt.Errorf("%s has no plans: add one, or say by flags what to snapshot (--freeze MOUNT, --mysql, ...)", g.configPath()))
	}
	cfg, id, err := identify(ctx, f)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.RuntimeDir, 0o755); err != nil {
		return hostError(fmt.Errorf("cannot make the runtime directory: %w", err))
	}
	delivery := messages.Delivery{Request: req, Source: messages.SourceCLI, RequestedAt: time.Now()}
	lock, err := lockSoon(ctx, runLock(f))
	if err != nil {
		if errors.As(err, new(*journal.BusyError)) && c.JSON {
			r := id.Result(delivery, time.Now())
			r.Status, r.Reason = messages.Skipped, messages.ReasonBusy
			r.Message = fmt.Sprintf("nothing was done: %v; try again when it has ended", err)
			r.Seal("cli:"+uuid.NewString(), time.Now())
			if err := c.print(g, r); err != nil {
				return err
			}
		}
		return hostError(err)
	}
	defer func() { _ = lock.Unlock() }()
	if err := lock.For(req.RequestID, cmp.Or(req.Plan, f.DefaultPlan)); err != nil {
		log.Debug().Err(err).Msg("cannot note in the run lock what it is for")
	}
	defer settleFreezes(ctx, f, settleWithin, log)()
	defer settleAppliers(ctx, f.RuntimeDir, log)()
	j, err := journal.Open(f.StateDir, journal.Options{InstanceID: id.InstanceID, Region: id.Region, KeepForeign: true, Log: log})
	if err != nil {
		return hostError(err)
	}
	client := ebs.New(cfg, id.InstanceID)
	run, err := newRunner(f, id, client, func(bool) {}, log)
	if err == nil { // what is wrong with another plan is none of this run's business
		err = run.fit(cmp.Or(req.Plan, f.DefaultPlan))
	}
	if err != nil {
		return err
	}
	run.locked, run.lock = true, lock
	h := &worker.Handler{Identity: id, Runner: run, Journal: j, NoQueue: true, Log: zerolog.Nop()} // what it would log is the answer
	if g.LogLevel == "debug" {
		h.Log = log
	}
	var publisher *witness
	if f.TopicARN != "" {
		topic, err := notify.New(cfg, f.TopicARN)
		if err != nil {
			return coded(exitConfig, err)
		}
		publisher = &witness{Publisher: topic}
		h.Publisher = publisher
	}
	out := h.Handle(ctx, delivery, "cli:"+uuid.NewString(), nil)
	if out.Duplicate {
		_, _ = fmt.Fprintf(g.err, "stillpoint: request %s was finished before, at %s: nothing was done now, this is the result of then\n",
			req.RequestID, out.Result.FinishedAt.Format(time.RFC3339))
	}
	if err := c.print(g, out.Result); err != nil {
		return err
	}
	if h.Publisher != nil && !out.Published && out.Err == nil {
		log.Warn().Err(publisher.err).Msg("the result is not published yet: the worker will, from the outbox")
	}
	verdict := resultError(ctx, out)
	if c.Wait && len(out.Result.Snapshots) > 0 {
		followed := followUpload(ctx, g.err, client, out.Result)
		if verdict == nil {
			return followed
		}
		if followed != nil && followed.Error() != "" {
			_, _ = fmt.Fprintln(g.err, "stillpoint:", followed)
		}
	}
	return verdict
}

// witness remembers why a result was not published.
type witness struct {
	worker.Publisher
	err error
}

func (w *witness) Publish(ctx context.Context, r *messages.Result) error {
	w.err = w.Publisher.Publish(ctx, r)
	return w.err
}

func (c snapshotCommand) print(g *globals, r *messages.Result) error {
	if c.JSON {
		b, err := messages.MarshalResult(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(g.out, "%s\n", b)
		return err
	}
	width, tty := terminal(g.out)
	return timeline.Write(g.out, r, timeline.Options{Width: min(width, 110), Color: tty && os.Getenv("NO_COLOR") == ""})
}

// resultError maps the result to the exit code; what it says was printed already.
func resultError(ctx context.Context, out worker.Outcome) error {
	if out.Err != nil {
		return out.Err
	}
	r := out.Result
	switch {
	case r.Status == messages.Succeeded:
		return nil
	case r.Status == messages.Inconsistent:
		return &codedError{code: exitInconsistent}
	case r.Status == messages.Rejected, r.Status == messages.Skipped, r.Reason == messages.ReasonPreflightFailed:
		return &codedError{code: exitRefused}
	case r.Reason == messages.ReasonInterrupted && ctx.Err() != nil:
		return &codedError{code: exitInterrupted}
	default:
		return &codedError{code: exitFailed}
	}
}
