package locate

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// Entry is something in a directory that may lead elsewhere.
type Entry struct {
	// Path is as the process sees it.
	Path string
	// Depth is 1 in the directory itself.
	Depth int
	// Place is that of a directory on another mount than the one above it;
	// unset for a link.
	Place Place
	// Link says that it is a symbolic link, or the like of one: InnoDB's .isl
	// files, which hold the path that a table's file is at, in Target.
	Link   bool
	Target string // the path that it leads to, for Look
}

// islSuffix marks MariaDB's links to InnoDB files elsewhere (DATA DIRECTORY), as
// MySQL had them before 8.0; a path and nothing else.
const islSuffix = ".isl"

// Leads calls visit with whatever in a directory and the directories below it,
// down to a depth, leads elsewhere: symbolic links, InnoDB's link files, and
// directories that are mount points. Links are not followed.
func (p *Process) Leads(dir string, depth int, visit func(Entry) error) error {
	place, err := p.Look(dir)
	if err != nil {
		return err
	}
	return p.leads(dir, place, 1, depth, visit)
}

func (p *Process) leads(dir string, above Place, level, depth int, visit func(Entry) error) error {
	handle, place, err := p.look(dir)
	if errors.Is(err, fs.ErrNotExist) && level > 1 {
		return nil // dropped meanwhile
	}
	if err != nil {
		return err
	}
	defer func() { _ = handle.Close() }()
	if place.FS != above.FS {
		if err := visit(Entry{Path: dir, Depth: level - 1, Place: place}); err != nil {
			return err
		}
	}
	list, err := os.Open("/proc/self/fd/" + strconv.Itoa(int(handle.Fd())))
	if err != nil {
		return notShown(err, "the directory %s of %s cannot be read", dir, p)
	}
	defer func() { _ = list.Close() }()
	for {
		entries, err := list.ReadDir(1024) // by the kind in the directory: no inode is looked at
		for _, e := range entries {
			at := path.Join(dir, e.Name())
			switch {
			case e.Type()&fs.ModeSymlink != 0:
				err := visit(Entry{Path: at, Depth: level, Link: true, Target: at})
				if err != nil {
					return err
				}
			case e.IsDir() && level < depth:
				if err := p.leads(at, place, level+1, depth, visit); err != nil {
					return err
				}
			case e.Type().IsRegular() && strings.HasSuffix(e.Name(), islSuffix):
				text, err := os.ReadFile("/proc/self/fd/" + strconv.Itoa(int(list.Fd())) + "/" + e.Name())
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					return notShown(err, "%s of %s cannot be read", at, p)
				}
				if err := visit(Entry{Path: at, Depth: level, Link: true, Target: strings.TrimSpace(string(text))}); err != nil {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) || err == nil && len(entries) == 0 {
			return nil
		}
		if err != nil {
			return notShown(err, "the directory %s of %s cannot be read", dir, p)
		}
	}
}
