package e2e

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"stillpoint/messages"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// leaks looks for passwords in whatever comes out.
type leaks struct {
	t       *testing.T
	secrets map[string]string // each form, and what it is
	looked  int
}

func newLeaks(t *testing.T, passwords ...string) *leaks {
	l := &leaks{t: t, secrets: map[string]string{}}
	for _, p := range passwords {
		l.secrets[p] = p
		l.secrets[base64.StdEncoding.EncodeToString([]byte(p))] = p + " in base64"
		l.secrets[hex.EncodeToString([]byte(p))] = p + " in hex"
		l.secrets[url.QueryEscape(p)] = p + " as in a URL"
	}
	return l
}

// in fails the test where text, which was found there, holds a password; empty text proves nothing.
func (l *leaks) in(where, text string) {
	l.t.Helper()
	if text == "" {
		l.t.Errorf("%s is empty: nothing to look at", where)
	}
	l.looked++
	for form, what := range l.secrets {
		if strings.Contains(text, form) {
			l.t.Errorf("%s has %s:\n%s", where, what, text)
		}
	}
}

// under looks at every file of a directory.
func (l *leaks) under(dir string) {
	l.t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if len(b) > 0 {
			l.in(path, string(b))
		}
		return err
	})
	if err != nil {
		l.t.Error(err)
	}
}

// process looks at what everyone can see of a process, and of its children.
func (l *leaks) process(pid int) {
	l.t.Helper()
	for _, name := range []string{"cmdline", "environ", "comm", "status"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			l.t.Error(err)
		}
		l.in(fmt.Sprintf("%s of process %d", name, pid), string(b))
	}
}

// The database's password is nowhere but in its file: not in logs (at debug),
// answers, errors, results, tags, metrics, the state and runtime directories, what AWS
// is asked, what the server logs of us, its process list, ours, nor in the stacks of a
// program that is made to show them. Through a success and each kind of failure.
func TestPasswordIsNowhere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, flavor rig.Flavor) {
		ctx, s := set(t, scene.Config{Flavor: flavor, Writers: 2, Pause: 5 * time.Millisecond, FileYAML: "http_addr: 127.0.0.1:0"})
		const wrong, broken = "wr0ng/Passw0rd+x", "br0ken.Passw0rd'y"
		found := newLeaks(t, scene.Password, wrong, broken)
		db := s.Server.DB()
		general := filepath.Join(s.Dir, "general.log")
		for _, statement := range []string{"SET GLOBAL general_log_file = '" + general + "'", "SET GLOBAL general_log = ON"} {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				t.Fatal(err)
			}
		}
		w, err := s.StartWorker(ctx, "--log-level", "debug")
		if err != nil {
			t.Fatal(err)
		}
		loaded(t, ctx, s)

		// Inside the window: processes, process list, record of the freeze.
		inWindow(t, ctx, s, "good", 2*time.Second)
		found.process(w.PID())
		found.process(guardian(t, w))
		found.in("the process list", query(t, ctx, s, "SHOW FULL PROCESSLIST"))
		found.under(s.RuntimeDir)
		d := next(t, ctx, s)
		wants(t, d.Result, messages.Succeeded, "", messages.ConsistencyApplication)
		found.in("the result", d.Body)

		// Each way to fail. The file that was right comes back.
		right, err := os.ReadFile(s.DefaultsFile)
		if err != nil {
			t.Fatal(err)
		}
		s.AWS.SetFaults()
		with := func(old, changed string) string { return strings.Replace(string(right), old, changed, 1) }
		byHand := []string{"snapshot", "--dry-run", "--json", "--log-level", "debug", "--region", "eu-west-1", "--instance-id", s.InstanceID, "--mysql", "--mysql-defaults-file", s.DefaultsFile,
			"--freeze", s.Volumes[0].Mount, "--volume", s.Volumes[0].ID, "--state-dir", filepath.Join(s.Dir, "state2"), "--runtime-dir", s.RuntimeDir}
		line := `password="` + scene.Password + `"`
		for i, c := range []struct{ name, file, says string }{
			{"a wrong password", with(scene.Password, wrong), "check user and password"},
			{"a CA that is none", string(right) + "ssl-ca=" + s.ConfigPath + "\n", "ssl-ca"},
			{"TLS that is not verified", string(right) + "ssl-mode=VERIFY_IDENTITY\n", "TLS"},
			{"no equals sign", with(line, "password "+broken), "line 3"},
			{"an open quote", with(line, `password="`+broken), "closing quote"},
			{"a name that is none", with(line, broken+"=x"), "line 3"},
			{"before the group", broken + "\n" + string(right), "line 1"},
			{"an option of TLS's that is the password", string(right) + "ssl-mode=" + broken + "\n", "ssl-mode must be"},
			{"a port that is the password", string(right) + "port=" + broken + "\n", "port must be"},
			{"a protocol that is the password", string(right) + "protocol=" + broken + "\n", "protocol must be"},
			{"a version that is the password", string(right) + "tls-version=" + broken + "\n", "tls-version"},
		} {
			if err := os.WriteFile(s.DefaultsFile, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			send(t, ctx, s, "{}")
			d := next(t, ctx, s)
			wants(t, d.Result, messages.Failed, messages.ReasonPreflightFailed, messages.ConsistencyNone)
			if !strings.Contains(strings.ToLower(d.Result.Message), strings.ToLower(c.says)) {
				t.Errorf("%s: %s", c.name, d.Result.Message)
			}
			found.in("the result with "+c.name, d.Body)
			if i%4 == 0 { // the same sentences, said on a terminal
				out, errs, _ := cli(t, ctx, s, byHand...)
				found.in("what snapshot says with "+c.name, out+errs)
			}
		}
		if err := os.WriteFile(s.DefaultsFile, right, 0o600); err != nil {
			t.Fatal(err)
		}
		out, errs, code := cli(t, ctx, s, byHand...)
		if code != 0 {
			t.Errorf("exit %d\n%s\n%s", code, out, errs)
		}
		found.in("what snapshot says", out+errs)

		// All that the server has of us, but for the statements by which the tests made the user.
		log, err := os.ReadFile(general)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(log), "FLUSH LOCAL TABLES WITH READ LOCK") {
			t.Error("the general log has no statement of ours")
		}
		found.in("the general log", string(log))

		// The server dies inside the window.
		inWindow(t, ctx, s, "dies", time.Second)
		if err := s.Server.Kill(); err != nil {
			t.Fatal(err)
		}
		d = next(t, ctx, s)
		wants(t, d.Result, messages.Inconsistent, messages.ReasonLockLost, messages.ConsistencyFilesystem)
		found.in("the result of a server that dies", d.Body)

		for _, call := range s.AWS.Calls() {
			found.in("a call to AWS", fmt.Sprintf("%+v", call))
		}
		snapshots, err := s.EC2.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, snap := range snapshots.Snapshots {
			for _, one := range snap.Tags {
				found.in("a tag", *one.Key+"="+*one.Value)
			}
		}
		found.under(filepath.Join(s.Dir, "state"))
		found.under(s.RuntimeDir)

		// The stacks of all goroutines, as a panic shows them.
		if err := w.Signal(syscall.SIGQUIT); err != nil {
			t.Fatal(err)
		}
		_ = w.Wait(ctx)
		if !strings.Contains(w.Log(), "goroutine ") {
			t.Error("the program does not show its stacks")
		}
		found.in("the worker's log", w.Log())
		t.Logf("looked in %d places", found.looked)
	})
}

// query is all that a statement of the server's administrator shows.
func query(t *testing.T, ctx context.Context, s *scene.Scene, statement string) string {
	t.Helper()
	rows, err := s.Server.DB().QueryContext(ctx, statement)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new([]byte)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			fmt.Fprintf(&all, "%s\t", *v.(*[]byte))
		}
		all.WriteByte('\n')
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all.String()
}
