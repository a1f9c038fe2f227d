package wire

import (
	"os"
)

// Readable reads a defaults file as Target would, and says whether others than
// its owner may read it.
func Readable(path string) (bool, error) {
	if _, err := readDefaults(path); err != nil {
		return false, err
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o044 != 0, err
}
