package freeze

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// selfPath names the running executable, also after its file was replaced or
// removed: it leads to the inode that is being executed (proc(5)) [S].
const selfPath = "/proc/self/exe"

// build says which program a process runs.
type build struct {
	// Device and Inode are those of the executable.
	Device, Inode uint64
	// ID is a hash of the linker's build id and of what is known of the
	// sources; "" where the linker left no build id.
	ID string
}

// same says that both run the same program: the same file (which cannot be
// written to while it runs, ETXTBSY), or a copy of it.
func (b build) same(other build) bool {
	if b.Device == other.Device && b.Inode == other.Inode {
		return true
	}
	return b.ID != "" && b.ID == other.ID
}

// ownBuild looks at the running executable.
func ownBuild() (build, error) {
	f, err := os.Open(selfPath)
	if err != nil {
		return build{}, fmt.Errorf("cannot open the running executable: %w", err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return build{}, fmt.Errorf("cannot look at the running executable: %w", err)
	}
	b := build{Device: st.Dev, Inode: st.Ino}
	if note := buildNote(f); len(note) > 0 {
		h := sha256.New()
		h.Write(note)
		if info, ok := debug.ReadBuildInfo(); ok {
			_, _ = io.WriteString(h, info.String())
		}
		b.ID = hex.EncodeToString(h.Sum(nil))
	}
	return b, nil
}

// buildNote returns the note in which the Go linker keeps its build id, a hash
// of all that went into the program; nil where there is none.
func buildNote(f io.ReaderAt) []byte {
	file, err := elf.NewFile(f)
	if err != nil {
		return nil
	}
	section := file.Section(".note.go.buildid")
	if section == nil {
		return nil
	}
	note, err := section.Data()
	const header = 16 // three lengths and the name "Go\0\0", see elf(5)
	if err != nil || len(note) <= header {
		return nil
	}
	return note
}
