package docs

import (
	"context"
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// runnable are the documents whose commands are run. docs/local-aws.md is about a server at a terminal of its own and is not run;
// docs/database-user.md has its own test in internal/mysql, infra/cloudformation/README.md one against moto.
var runnable = []string{"README.md", "docs/guide.md", "docs/runbook.md", "docs/perl.md", "docs/security.md", "CONTRIBUTING.md"}

// A reader of the README gets from nothing to a request that succeeds.
func TestReadme(t *testing.T) {
	t.Parallel()
	s := set(t)
	s.follow("README.md", nil)
}

// A reader of the guide gets from nothing to a restored server that holds what the original does.
func TestGuide(t *testing.T) {
	t.Parallel()
	s := set(t)
	s.follow("docs/guide.md", map[string]hook{
		"## Restore by hand\nSET=": {before: func() { // the original goes on after the set, and is at rest when it is compared
			at := s.Load.Stats().Transactions
			for s.Load.Stats().Transactions < at+100 && s.ctx.Err() == nil && s.Load.Err() == nil {
				<-tick()
			}
			if err := s.Load.Stop(); err != nil {
				s.Fatal(err)
			}
		}},
		"## Restore by hand\nsudo mariadbd": {after: func(string) {
			if s.sums(filepath.Join(s.Dir, "rs.sock")) == s.sums(s.Server.Socket()) {
				s.Error("the set holds what was written after it: the replay is not tried")
			}
		}},
		"## Restore by hand\ncd /var/lib/mysql": {after: func(string) {
			if got, want := s.sums(filepath.Join(s.Dir, "rs.sock")), s.sums(s.Server.Socket()); got != want {
				s.Errorf("after the replay the restored server has\n%s\nand the original\n%s", got, want)
			}
		}},
	})
	if s.aws != "" && s.last == nil {
		s.Error("no request was worked on")
	}
}

// On-call finds each command of the runbook to work: also where the disk is really frozen, by somebody else.
func TestRunbook(t *testing.T) {
	t.Parallel()
	s := set(t)
	s.install()
	s.follow("docs/runbook.md", map[string]hook{
		"## First commands\nREQUEST=": {before: func() {
			s.words = strings.NewReplacer("req-of-the-result", s.last.RequestID)
		}, after: func(out string) {
			if !strings.Contains(out, s.last.Snapshots[0].SnapshotID) || !strings.Contains(out, "application") {
				s.Errorf("the set of %s is not shown:\n%s", s.last.RequestID, out)
			}
			s.substitute()
		}},
		"## A disk is frozen now\nsudo stillpoint thaw": {before: func() {
			mount := s.Volumes[0].Mount
			if out, err := exec.CommandContext(s.ctx, "fsfreeze", "--freeze", mount).CombinedOutput(); err != nil {
				s.Fatalf("%v: %s", err, out)
			}
			s.Cleanup(func() { _ = exec.Command("fsfreeze", "--unfreeze", mount).Run() })
		}},
		"## The dead-letter queue is not empty\nDEAD=": {before: func() {
			if _, err := s.Send(s.ctx, `{"plan":"nobody-has-this-plan"}`); err != nil {
				s.Fatal(err)
			}
			s.await("a dead letter", func() bool { n, _, _ := s.Depth(s.ctx, s.DeadLetterURL); return n != "0" })
		}, after: func(out string) {
			if !strings.Contains(out, "unknown_plan") || !strings.Contains(out, "stillpoint-reason") {
				s.Errorf("the dead letter does not say why:\n%s", out)
			}
		}},
		"## The dead-letter queue is not empty\naws sqs start-message-move-task": {after: func(string) {
			s.await("the dead letter to come back", func() bool { return strings.Count(s.worker.Log(), "unknown_plan") >= 2 })
		}},
	})
}

// The commands of the other documents, and those within their text.
func TestOtherDocuments(t *testing.T) {
	t.Parallel()
	s := set(t)
	s.install()
	for _, file := range []string{"docs/perl.md", "docs/security.md", "CONTRIBUTING.md"} {
		s.follow(file, nil)
	}
	s.inline()
}

// hook is what a test does around a block.
type hook struct {
	before func()
	after  func(out string)
}

// follow runs the shell blocks of a document, in their order.
func (s *stage) follow(file string, hooks map[string]hook) {
	s.Helper()
	d := parse(s.T, file)
	used := map[string]bool{}
	skipped := ""
	for _, b := range d.shell() {
		if s.aws == "" && (strings.Contains(b.text, "aws ") || skipped == b.section) {
			skipped = b.section // what stands after it in the section may need what it makes
			s.Logf("%s:%d: left out: this machine has no aws command", b.file, b.line)
			continue
		}
		var h hook
		for key, with := range hooks {
			section, begins, _ := strings.Cut(key, "\n")
			if strings.TrimLeft(section, "# ") == b.section && strings.HasPrefix(b.text, begins) {
				h, used[key] = with, true
			}
		}
		if h.before != nil {
			h.before()
		}
		out, err := s.run(b.text)
		if err != nil {
			s.Fatalf("%s:%d: %v\n%s\nit said:\n%s", b.file, b.line, err, b.text, out)
		}
		s.Logf("%s:%d:\n%s", b.file, b.line, clip(out))
		if strings.Contains(b.text, "aws sqs send-message") {
			s.succeed()
		}
		if h.after != nil {
			h.after(out)
		}
	}
	for key := range hooks {
		if !used[key] && s.aws != "" {
			s.Errorf("%s has no block %q", file, key)
		}
	}
}

// clip is the beginning of what a block said.
func clip(out string) string {
	if len(out) > 600 {
		return out[:600] + " ..."
	}
	return out
}

// install does what the guide says, up to a worker that runs and a first set.
func (s *stage) install() {
	s.Helper()
	for _, b := range parse(s.T, "docs/guide.md").shell() {
		if slices.Contains([]string{"The database user", "The plan"}, b.section) {
			if out, err := s.run(b.text); err != nil {
				s.Fatalf("%s:%d: %v\n%s", b.file, b.line, err, out)
			}
		}
	}
	if _, err := standInSystem(s, []string{"start", "stillpoint"}); err != nil {
		s.Fatal(err)
	}
	if _, err := s.Send(s.ctx, `{"plan":"nightly"}`); err != nil {
		s.Fatal(err)
	}
	s.succeed()
}

// notRun are inline commands that are not run as they stand, each with why.
var notRun = map[string]string{
	"stillpoint worker": "runs for ever; systemctl's stand-in starts it",
}

// inline runs what the documents' text says between backquotes: `stillpoint ...`.
func (s *stage) inline() {
	s.Helper()
	seen := map[string]string{}
	for _, file := range append([]string{"docs/commands.md", "docs/lock.md", "docs/when-something-dies.md", "docs/consistency.md", "docs/database-user.md"}, runnable...) {
		for _, span := range spans(parse(s.T, file).prose) {
			if strings.HasPrefix(span, "stillpoint ") {
				seen[strings.TrimSuffix(span, " [PLAN]")] = file
			}
		}
	}
	if len(seen) < 8 {
		s.Errorf("only %d inline commands were found", len(seen))
	}
	for command, file := range seen {
		if why, ok := notRun[command]; ok {
			s.Logf("%s: `%s` is not run: it %s", file, command, why)
			continue
		}
		out, err := s.run(command)
		if err != nil {
			s.Errorf("%s: `%s`: %v\n%s", file, command, err, out)
		}
		if strings.HasPrefix(command, "stillpoint send") {
			s.succeed() // else the next one may find it busy
		}
	}
}

// sums are the checksums of the load's tables.
func (s *stage) sums(socket string) string {
	s.Helper()
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User = "unix", socket, "root"
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		s.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	list := func(query string) (out []string) {
		found, err := db.QueryContext(s.ctx, query)
		if err != nil {
			s.Fatal(err)
		}
		defer func() { _ = found.Close() }()
		for found.Next() {
			var name string
			var sum sql.NullInt64
			columns, _ := found.Columns()
			to := []any{&name, &sum}[:len(columns)]
			if err := found.Scan(to...); err != nil {
				s.Fatal(err)
			}
			out = append(out, fmt.Sprint(name, " ", sum.Int64))
		}
		return out
	}
	var all []string
	for _, table := range list("SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.tables WHERE table_schema = 'rig' ORDER BY 1") {
		all = append(all, list("CHECKSUM TABLE "+strings.Fields(table)[0])...)
	}
	if len(all) == 0 {
		s.Fatal("the load has no tables")
	}
	return strings.Join(all, "\n")
}

// await polls a condition that no event announces.
func (s *stage) await(what string, ok func() bool) {
	s.Helper()
	for !ok() {
		select {
		case <-s.ctx.Done():
			s.Fatalf("%s did not happen: %v", what, context.Cause(s.ctx))
		case <-tick():
		}
	}
}

// tick is the pace of a poll.
func tick() <-chan time.Time { return time.After(10 * time.Millisecond) }
