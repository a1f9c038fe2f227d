package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Files of the directory itself.
const (
	instanceFile  = "instance" + suffix
	unclaimedFile = "unclaimed" + suffix
	foreignPrefix = "foreign-"
)

// binding ties the directory to one instance.
type binding struct {
	InstanceID string    `json:"instanceId"`
	Region     string    `json:"region,omitzero"`
	ClaimedAt  time.Time `json:"claimedAt,omitzero"` // zero: bound at its first start, empty
}

// unclaimed says that the directory's contents were another instance's and
// were set aside, and that nobody has confirmed yet that this one may work.
type unclaimed struct {
	Owner    string    `json:"owner"` // "": nobody can say
	SetAside string    `json:"setAside"`
	At       time.Time `json:"at"`
}

// UnclaimedError says that the directory was another instance's: this one is a
// clone, or the directory was copied. What was in it is set aside, and this
// instance may not answer its queue before someone has run `stillpoint claim`.
type UnclaimedError struct {
	Dir, Instance string
	// Owner is whose it was; "" where nobody can say.
	Owner string
	// SetAside is where the owner's journal and outbox are now; "" where
	// Options.KeepForeign left them in their place.
	SetAside string
}

func (e *UnclaimedError) Error() string {
	owner := "instance " + e.Owner
	if e.Owner == "" {
		owner = "an instance that nobody can name"
	}
	if e.SetAside == "" {
		return fmt.Sprintf("%s belongs to %s and this is %s: correct instance_id, if that is wrong; on a clone, run `stillpoint claim`, which sets aside what is in it", e.Dir, owner, e.Instance)
	}
	return fmt.Sprintf("%s came from %s and this is %s (a clone, or an image that was made of a worker): what was in it is set aside in %s, and nothing of it is published; "+
		"if %s is to answer its queue, run `stillpoint claim` on it", e.Dir, owner, e.Instance, e.SetAside, e.Instance)
}

// bind ties an empty directory to the instance and sets aside another's
// contents. The error is an *UnclaimedError until Claim was called then.
func (j *Journal) bind() error {
	if j.options.InstanceID == "" {
		return nil
	}
	return locked(j.dir, func() error {
		var u unclaimed
		err := read(filepath.Join(j.dir, unclaimedFile), &u)
		switch {
		case err == nil:
			err := j.moveAside(u) // what a crash may have left of it
			if u.Owner == j.options.InstanceID && errors.As(err, new(*UnclaimedError)) {
				return j.bringBack(u.SetAside) // another instance's id was used here for a while
			}
			return err
		case errors.As(err, new(*CorruptError)): // it says enough by being there
			j.options.Log.Error().Err(err).Msg("cannot tell whose the state directory was")
			return j.setAsideAll("")
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("cannot tell whether %s was claimed: %w", j.dir, err)
		}
		var b binding
		err = read(filepath.Join(j.dir, instanceFile), &b)
		switch {
		case err == nil && b.InstanceID == j.options.InstanceID:
			return nil
		case err == nil && j.options.KeepForeign:
			return &UnclaimedError{Dir: j.dir, Instance: j.options.InstanceID, Owner: b.InstanceID}
		case err == nil:
			return j.setAsideAll(b.InstanceID)
		case errors.As(err, new(*CorruptError)):
			j.options.Log.Error().Err(err).Msg("cannot tell whose the state directory is")
			return j.setAsideAll("")
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("cannot tell which instance %s belongs to: %w", j.dir, err)
		}
		holds, err := holdsRecords(j.dir)
		switch {
		case err != nil:
			return err
		case holds: // whose they are can only be guessed
			return j.setAsideAll("")
		default:
			return j.write(filepath.Join(j.dir, instanceFile), binding{InstanceID: j.options.InstanceID, Region: j.options.Region})
		}
	})
}

// setAsideAll moves everything into a folder of its own, in the same directory:
// that always works, where the directory itself is a mount point too. The
// marker comes first and the binding goes last, so that a crash in between is
// made up for by the next start, and publishes nothing meanwhile.
func (j *Journal) setAsideAll(owner string) error {
	now := j.options.Now().UTC()
	u := unclaimed{Owner: owner, At: now}
	u.SetAside = foreignPrefix + orUnknown(owner) + "-" + now.Format("20060102T150405.000Z")
	to := filepath.Join(j.dir, u.SetAside)
	if err := os.Mkdir(to, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot set aside what another instance left in %s: %w", j.dir, err)
	}
	if err := j.write(filepath.Join(j.dir, unclaimedFile), u); err != nil {
		return fmt.Errorf("cannot set aside what another instance left in %s: %w", j.dir, err)
	}
	j.options.Log.Error().Str("owner", owner).Str("set_aside", to).Msg("the state directory was another instance's: what is in it is set aside")
	return j.moveAside(u)
}

// moveAside returns an *UnclaimedError when all is moved. While the marker is
// there nothing of ours is in the directory: Open has refused to work.
func (j *Journal) moveAside(u unclaimed) error {
	to := filepath.Join(j.dir, u.SetAside)
	for _, name := range ownState {
		from := filepath.Join(j.dir, name)
		if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.Mkdir(to, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("cannot set aside what another instance left in %s: %w", j.dir, err)
		}
		if err := os.Rename(from, filepath.Join(to, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot set aside what another instance left in %s: %w", j.dir, err)
		}
	}
	// Whoever has looked at what was set aside may have deleted it by now.
	if err := errors.Join(ignoreMissing(syncDir(to)), syncDir(j.dir)); err != nil {
		return fmt.Errorf("cannot set aside what another instance left in %s: %w", j.dir, err)
	}
	return &UnclaimedError{Dir: j.dir, Instance: j.options.InstanceID, Owner: u.Owner, SetAside: to}
}

// ownState are the files and folders of an instance's state. The binding is the
// last: it says that the others are there.
var ownState = []string{outboxDir, requestsDir, sentDir, tagsDir, plansDir, instanceFile}

// bringBack undoes what moveAside did to the state of this very instance. The
// marker goes last, so that a crash in between is made up for by the next start.
func (j *Journal) bringBack(setAside string) error {
	fail := func(err error) error {
		return fmt.Errorf("cannot bring back what is this instance's own from %s: %w", setAside, err)
	}
	from := filepath.Join(j.dir, setAside)
	for _, name := range ownState {
		if err := os.Rename(filepath.Join(from, name), filepath.Join(j.dir, name)); ignoreMissing(err) != nil {
			return fail(err)
		}
	}
	if err := j.write(filepath.Join(j.dir, instanceFile), binding{InstanceID: j.options.InstanceID, Region: j.options.Region}); err != nil {
		return fail(err)
	}
	if err := remove(filepath.Join(j.dir, unclaimedFile)); err != nil {
		return fail(err)
	}
	_ = os.Remove(from) // it is empty, unless someone has put something there
	j.options.Log.Warn().Str("from", from).Msg("the state that was set aside is this instance's own: it is in use again")
	return nil
}

// ownSetAside is the newest folder with state of this instance that another one
// set aside; "" where there is none.
func (j *Journal) ownSetAside() string {
	found, _ := filepath.Glob(filepath.Join(j.dir, foreignPrefix+orUnknown(j.options.InstanceID)+"-*"))
	newest := ""
	for _, path := range found { // sorted, and so by time
		var b binding
		if read(filepath.Join(path, instanceFile), &b) == nil && b.InstanceID == j.options.InstanceID {
			newest = filepath.Base(path)
		}
	}
	return newest
}

func orUnknown(owner string) string {
	if owner == "" {
		return "unknown"
	}
	if filepath.Base(owner) != owner { // it becomes part of a file name
		return digest(owner)[:16]
	}
	return owner
}

// Claimed says what a claim found.
type Claimed struct {
	// Already: the directory was bound to this instance before; nothing was done.
	Already bool
	// Owner and SetAside are those of the UnclaimedError; "" where the
	// directory was empty.
	Owner, SetAside string
	// Back says that state of this instance, which another one had set aside
	// here, is in use again.
	Back bool
}

// Claim confirms that this instance may answer its queue: it binds the
// directory to it, where it was another's after setting its contents aside. It
// may be called at any time, and again.
func Claim(dir string, o Options) (Claimed, error) {
	if o.InstanceID == "" {
		return Claimed{}, fmt.Errorf("cannot claim %s: the instance is not known", dir)
	}
	j, err := openDir(dir, o)
	if err != nil {
		return Claimed{}, err
	}
	j.options.KeepForeign = false
	bound := false
	if _, err := os.Lstat(filepath.Join(dir, instanceFile)); err == nil {
		bound = true
	}
	err = j.bind()
	var u *UnclaimedError
	switch {
	case err == nil:
		return Claimed{Already: bound}, nil
	case !errors.As(err, &u):
		return Claimed{}, err
	}
	own := j.ownSetAside()
	return Claimed{Owner: u.Owner, SetAside: u.SetAside, Back: own != ""}, locked(dir, func() error {
		if own != "" {
			return j.bringBack(own)
		}
		// In this order: without both files the directory is an empty one, which
		// the next start binds by itself.
		if err := remove(filepath.Join(dir, unclaimedFile)); err != nil {
			return fmt.Errorf("cannot claim %s: %w", dir, err)
		}
		return j.write(filepath.Join(dir, instanceFile), binding{InstanceID: o.InstanceID, Region: o.Region, ClaimedAt: j.options.Now().UTC()})
	})
}

// locked runs f while no other process binds or claims the directory.
func locked(dir string, f func() error) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("cannot look at %s: %w", dir, err)
	}
	defer func() { _ = d.Close() }()
	if err := flock(d, unix.LOCK_EX); err != nil {
		return fmt.Errorf("cannot lock %s: %w", dir, err)
	}
	return f()
}

// holdsRecords says whether anything was ever recorded in dir.
func holdsRecords(dir string) (bool, error) {
	for _, folder := range []string{requestsDir, outboxDir, tagsDir, plansDir} {
		names, err := records(filepath.Join(dir, folder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("cannot look at %s: %w", dir, err)
		}
		if len(names) > 0 {
			return true, nil
		}
	}
	return false, nil
}
