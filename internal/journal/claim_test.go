package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func refused(t *testing.T, dir, instance string) *UnclaimedError {
	t.Helper()
	_, err := Open(dir, Options{InstanceID: instance})
	var u *UnclaimedError
	if !errors.As(err, &u) || !strings.Contains(err.Error(), "stillpoint claim") {
		t.Fatalf("%s may work: %v", instance, err)
	}
	return u
}

// used is the directory of an instance that has something to publish.
func used(t *testing.T, instance string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir, Options{InstanceID: instance})
	ok(t, j.Record(delivery("under way", "nightly"), "m").Intend(ctx, "a-0", []string{"vol-1"}))
	ok(t, j.Finish(result("r", "a-1", "succeeded", time.Now()), nil))
	return dir
}

func TestACloneIsRefusedUntilItIsClaimed(t *testing.T) {
	dir := used(t, "i-0a")
	open(t, dir, Options{InstanceID: "i-0a"}) // the same one needs no claim
	open(t, dir, Options{})                   // nor whoever does not ask

	u := refused(t, dir, "i-0b")
	if u.Owner != "i-0a" || u.Instance != "i-0b" {
		t.Errorf("%+v", u)
	}
	for _, id := range []string{"i-0b", "i-0c"} {
		if again := refused(t, dir, id); again.SetAside != u.SetAside {
			t.Errorf("set aside anew: %+v", again)
		}
	}
	kept, err := records(filepath.Join(u.SetAside, outboxDir))
	ok(t, err)
	if len(kept) != 1 {
		t.Errorf("the owner's outbox: %v", kept)
	}

	c, err := Claim(dir, Options{InstanceID: "i-0b", Region: "eu-west-1"})
	ok(t, err)
	if c.Already || c.Owner != "i-0a" || c.SetAside != u.SetAside {
		t.Errorf("%+v", c)
	}
	c, err = Claim(dir, Options{InstanceID: "i-0b"})
	ok(t, err)
	if !c.Already {
		t.Errorf("the second time: %+v", c)
	}
	j := open(t, dir, Options{InstanceID: "i-0b"})
	if ids := eventIDs(t, j); len(ids) != 0 {
		t.Errorf("it publishes %v of another instance", ids)
	}
	if e, err := j.Load("r"); err != nil || e.Result != nil {
		t.Errorf("%+v, %v", e, err)
	}
	if found, err := j.Unfinished(); err != nil || len(found) != 0 {
		t.Errorf("it settles what is another's: %v, %v", found, err)
	}
	if _, err := os.Stat(u.SetAside); err != nil {
		t.Error("what was set aside is gone")
	}
}

// A wrong instance_id, for a while: what is the instance's own comes back, at
// its next start, or at a claim where the other one was claimed meanwhile.
func TestOwnStateComesBack(t *testing.T) {
	own := func(dir string) {
		t.Helper()
		j := open(t, dir, Options{InstanceID: "i-0a"})
		if e, err := j.Load("r"); err != nil || e.Result == nil {
			t.Errorf("the journal is gone: %+v, %v", e, err)
		}
		if ids := eventIDs(t, j); len(ids) != 1 {
			t.Errorf("the outbox has %v", ids)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, foreignPrefix+"i-0a-*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
	dir := used(t, "i-0a")
	u := refused(t, dir, "i-0b")
	ok(t, os.Rename(filepath.Join(u.SetAside, outboxDir), filepath.Join(dir, outboxDir))) // as after a crash half-way
	own(dir)
	own(dir)

	dir = used(t, "i-0a")
	refused(t, dir, "i-0b")
	_, err := Claim(dir, Options{InstanceID: "i-0b"})
	ok(t, err)
	open(t, dir, Options{InstanceID: "i-0b"})
	refused(t, dir, "i-0a")
	c, err := Claim(dir, Options{InstanceID: "i-0a", KeepForeign: true})
	if err != nil || !c.Back || c.Owner != "i-0b" {
		t.Errorf("%+v, %v", c, err)
	}
	own(dir)
	refused(t, dir, "i-0b")
}

// A run by hand with a mistyped instance id moves nothing.
func TestKeepForeign(t *testing.T) {
	dir := used(t, "i-0a")
	_, err := Open(dir, Options{InstanceID: "i-0b", KeepForeign: true})
	var u *UnclaimedError
	if !errors.As(err, &u) || u.Owner != "i-0a" || u.SetAside != "" || !strings.Contains(err.Error(), "correct instance_id") {
		t.Errorf("%v", err)
	}
	if e, err := open(t, dir, Options{InstanceID: "i-0a"}).Load("r"); err != nil || e.Result == nil {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestAnEmptyDirectoryNeedsNoClaim(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	open(t, dir, Options{InstanceID: "i-0a"})
	c, err := Claim(dir, Options{InstanceID: "i-0a"})
	if err != nil || !c.Already {
		t.Errorf("%+v, %v", c, err)
	}
	fresh := filepath.Join(t.TempDir(), "state") // an image's first boot may claim before the first start
	if c, err := Claim(fresh, Options{InstanceID: "i-0a"}); err != nil || c.Owner != "" || c.SetAside != "" {
		t.Errorf("%+v, %v", c, err)
	}
	open(t, fresh, Options{InstanceID: "i-0a"})
	refused(t, fresh, "i-0b")
}

func TestWhoseTheDirectoryIsCannotBeRead(t *testing.T) {
	for name, spoiled := range map[string]string{"the binding": instanceFile, "the marker": unclaimedFile} {
		t.Run(name, func(t *testing.T) {
			dir := used(t, "i-0a")
			if spoiled == unclaimedFile {
				refused(t, dir, "i-0b")
			}
			ok(t, os.WriteFile(filepath.Join(dir, spoiled), []byte("{"), 0o600))
			for range 2 {
				if u := refused(t, dir, "i-0b"); u.Owner != "" {
					t.Errorf("%+v", u)
				}
			}
			_, err := Claim(dir, Options{InstanceID: "i-0b"})
			ok(t, err)
			if ids := eventIDs(t, open(t, dir, Options{InstanceID: "i-0b"})); len(ids) != 0 {
				t.Errorf("it publishes %v", ids)
			}
		})
	}
	dir := used(t, "i-0a")
	ok(t, os.Remove(filepath.Join(dir, instanceFile)))
	if u := refused(t, dir, "i-0a"); u.Owner != "" {
		t.Errorf("%+v", u)
	}
}

// A crash after each step of the setting aside.
func TestSettingAsideIsMadeUpFor(t *testing.T) {
	for _, moved := range [][]string{
		{outboxDir, requestsDir, sentDir, tagsDir, plansDir, instanceFile}, // only the marker was written
		{requestsDir, instanceFile},
		{instanceFile},
	} {
		dir := used(t, "i-0a")
		u := refused(t, dir, "i-0b")
		for _, name := range moved {
			ok(t, os.Rename(filepath.Join(u.SetAside, name), filepath.Join(dir, name)))
		}
		refused(t, dir, "i-0b")
		_, err := Claim(dir, Options{InstanceID: "i-0b"})
		ok(t, err)
		j := open(t, dir, Options{InstanceID: "i-0b"})
		if found, err := j.Unfinished(); err != nil || len(found) != 0 || len(eventIDs(t, j)) != 0 {
			t.Errorf("after a crash with %v left: %v, %v", moved, found, err)
		}
	}
}

// Whoever tidies up before the claim keeps neither the worker from waiting for it nor the claim from succeeding.
func TestWhatWasSetAsideMayBeDeleted(t *testing.T) {
	dir := used(t, "i-0a")
	u := refused(t, dir, "i-0b")
	left := filepath.Join(dir, outboxDir) // as by a crash before the last step
	ok(t, os.Rename(filepath.Join(u.SetAside, outboxDir), left))
	ok(t, os.RemoveAll(u.SetAside))
	refused(t, dir, "i-0b")
	if _, err := os.Stat(left); err == nil {
		t.Error("the owner's outbox is still there")
	}
	ok(t, os.RemoveAll(u.SetAside))
	refused(t, dir, "i-0b")
	_, err := Claim(dir, Options{InstanceID: "i-0b"})
	ok(t, err)
	if ids := eventIDs(t, open(t, dir, Options{InstanceID: "i-0b"})); len(ids) != 0 {
		t.Errorf("it publishes %v of another instance", ids)
	}
}

// A crash between the two steps of a claim.
func TestAClaimIsMadeUpFor(t *testing.T) {
	dir := used(t, "i-0a")
	refused(t, dir, "i-0b")
	ok(t, os.Remove(filepath.Join(dir, unclaimedFile)))
	open(t, dir, Options{InstanceID: "i-0b"})
	refused(t, dir, "i-0c")
}
