package wire

import (
	"os"
)

// Readable reads a defaults file as Target would, and says whether others than
// its owner may read it, and whether no option stands in a section that is read.
func Readable(path string) (readable, empty bool, err error) {
	options, err := readDefaults(path)
	if err != nil {
		return false, false, err
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o044 != 0, len(options) == 0, err
}
