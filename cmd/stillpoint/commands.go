package main

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/rs/zerolog"
	"golang.org/x/term"

	"stillpoint/messages"
)

// globals are the flags of every command, and where it speaks.
type globals struct {
	Config    string `help:"The file that says what to snapshot and how (default: ${configPath})." placeholder:"FILE" type:"path"`
	LogFormat string `help:"json or console (default: console on a terminal)." enum:"json,console," default:"" placeholder:"FORMAT"`
	LogLevel  string `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info" placeholder:"LEVEL"`

	out, err io.Writer
}

type commands struct {
	globals `embed:""`

	Worker   workerCommand   `cmd:"" help:"Take requests from the queue until SIGTERM."`
	Snapshot snapshotCommand `cmd:"" help:"Take one set of snapshots now, without the queue."`
	Doctor   doctorCommand   `cmd:"" help:"Look at all that could go wrong, beforehand; holds and changes nothing."`
	Thaw     thawCommand     `cmd:"" help:"Thaw what dead workers have left frozen; safe at any time."`
	Send     sendCommand     `cmd:"" help:"Check a request and put it on the queue."`
	Claim    claimCommand    `cmd:"" help:"Confirm that this instance, a clone, may answer its queue."`
	Schema   schemaCommand   `cmd:"" help:"Print the JSON Schema of a request or a result."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

// version is set by the linker for a release; else the build info says it.
var version = ""

func agent() messages.Agent {
	v := version
	if v == "" {
		v = "devel"
		if info, ok := debug.ReadBuildInfo(); ok {
			if info.Main.Version != "" && info.Main.Version != "(devel)" {
				v = info.Main.Version
			}
		}
	}
	return messages.Agent{Name: "stillpoint", Version: v}
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(g *globals) error {
	_, err := fmt.Fprintln(g.out, "stillpoint", agent().Version)
	return err
}

type schemaCommand struct {
	Name string `arg:"" help:"request or result." enum:"request,result"`
}

// Run prints the schema.
func (c schemaCommand) Run(g *globals) error {
	s, err := messages.Schema(c.Name)
	if err != nil {
		return err
	}
	_, err = g.out.Write(s)
	return err
}

// terminal says whether w is one, and how wide.
func terminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width = 0
	}
	return width, true
}

// logger writes to standard error through a buffer that never blocks: a log
// line to a frozen disk or a full pipe must not hold anything up. Close
// flushes what it can.
func (g *globals) logger() (zerolog.Logger, io.Closer, error) {
	level, err := zerolog.ParseLevel(g.LogLevel)
	if err != nil {
		return zerolog.Nop(), nil, coded(exitUsage, err)
	}
	w := g.err
	if _, tty := terminal(g.err); g.LogFormat == "console" || g.LogFormat == "" && tty {
		w = zerolog.ConsoleWriter{Out: g.err, TimeFormat: "15:04:05.000", NoColor: !tty || os.Getenv("NO_COLOR") != ""}
	}
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	zerolog.DurationFieldUnit = 1e6
	buffer := newLogBuffer(w)
	return zerolog.New(buffer).Level(level).With().Timestamp().Logger(), buffer, nil
}
