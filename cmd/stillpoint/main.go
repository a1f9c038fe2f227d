// Command stillpoint takes consistent EBS snapshots of the database on this
// instance. It wires the rooms together and owns signals and exit codes,
// nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"stillpoint/cmd/stillpoint/parts"
	"stillpoint/internal/config"
	"stillpoint/internal/freeze"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == parts.GuardianCommand {
		os.Exit(freeze.GuardianMain())
	}
	if len(os.Args) == 2 && os.Args[1] == parts.ProbeCommand {
		os.Exit(freeze.ProbeMain())
	}
	keepDescriptors()
	survive()
	// Never un-notified: a second signal must not cut the end short either.
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && err.Error() != "" {
		lastWord(err)
	}
	os.Exit(exitCode(err))
}

// lastWord says why the program ends, but does not stay for a reader that has gone.
func lastWord(err error) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		fmt.Fprintln(os.Stderr, "stillpoint:", err)
	}()
	select {
	case <-said:
	case <-time.After(logFlushWait):
	}
}

// The exit codes of the contract.
const (
	exitDone         = 0
	exitFailed       = 1
	exitRefused      = 3
	exitInconsistent = 4
	exitUsage        = 64
	exitBusy         = 75
	exitConfig       = 78
	exitInterrupted  = 130
)

// codedError is an error that knows its exit code. Its text may be empty where
// everything was said already.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}
func (e *codedError) Unwrap() error { return e.err }

func coded(code int, err error) error {
	if err == nil {
		return nil
	}
	return &codedError{code, err}
}

func exitCode(err error) int {
	var c *codedError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &c):
		return c.code
	default:
		return exitFailed
	}
}

// exited carries kong's wish to end (after --help) out of its parser.
type exited int

// run parses the arguments and carries out the command.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var cli commands
	defer func() {
		if r := recover(); r != nil {
			code, ok := r.(exited)
			if !ok {
				panic(r) //nolint:forbidigo // not ours: nothing is held while arguments are parsed
			}
			if code != 0 {
				err = &codedError{code: exitUsage}
			}
		}
	}()
	parser, err := newParser(&cli, kong.Writers(stdout, stderr), kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		return err
	}
	if len(args) > 0 && args[0] == completeWord {
		return complete(stdout, parser.Model, args[1:])
	}
	k, err := parser.Parse(args)
	if err != nil {
		return coded(exitUsage, fmt.Errorf("%w (see stillpoint --help)", err))
	}
	cli.out, cli.err = stdout, stderr
	return asRoot(k.Run(ctx, &cli.globals))
}

// asRoot says what helps a plain user whom a file was refused.
func asRoot(err error) error {
	const fix = "run it as root"
	if os.Geteuid() == 0 || !errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), fix) {
		return err
	}
	return fmt.Errorf("%w: %s", err, fix)
}

// newParser makes what reads the arguments into cli.
func newParser(cli *commands, more ...kong.Option) (*kong.Kong, error) {
	return kong.New(cli, append([]kong.Option{
		kong.Name("stillpoint"),
		kong.Description("Consistent EBS snapshots of the MySQL or MariaDB on this instance: on request from an SQS queue, with the result on SNS."),
		kong.Exit(func(code int) { panic(exited(code)) }), //nolint:forbidigo // recovered by run
		kong.Vars{"configPath": config.DefaultPath, "runtimeDir": defaultRuntimeDir},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	}, more...)...)
}
