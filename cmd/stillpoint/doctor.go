package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"stillpoint/cmd/stillpoint/visit"
	"stillpoint/internal/doctor"
)

type doctorCommand struct {
	Plan string `arg:"" optional:"" help:"The plan to look at (default: all of the file)."`
	JSON bool   `name:"json" help:"Print the report as JSON."`
}

// Help is what `stillpoint doctor --help` says beside the flags.
func (doctorCommand) Help() string {
	return `A line for each thing, and what to do about it: ok, warn (works, but not as well as it could, or could not be looked at) or FAIL. Run it as root, as the worker runs: a plain user may not look at the database's credentials and the host.

Exit 0: nothing failed. 3: something did.`
}

// Run looks at all that could go wrong, prints it, and exits with 3 where
// something failed. It holds, freezes and changes nothing.
func (c doctorCommand) Run(ctx context.Context, g *globals) error {
	_, tty := terminal(g.out)
	_, watched := terminal(g.err)
	begun := func(check doctor.Check) {
		if watched && !c.JSON {
			_, _ = fmt.Fprintf(g.err, "\r\x1b[K%s ...", strings.TrimPrefix(check.Plan+": "+check.Name, ": "))
		}
	}
	report := visit.Make(ctx, g.configPath(), c.Plan, agent(), begun)
	if watched && !c.JSON {
		_, _ = fmt.Fprint(g.err, "\r\x1b[K")
	}
	if err := c.print(g, report, tty); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return coded(exitInterrupted, ctx.Err())
	case !report.OK:
		return &codedError{code: exitRefused}
	}
	return nil
}

func (c doctorCommand) print(g *globals, report doctor.Report, tty bool) error {
	if !c.JSON {
		return report.Text(g.out, tty && os.Getenv("NO_COLOR") == "")
	}
	e := json.NewEncoder(g.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(report)
}
