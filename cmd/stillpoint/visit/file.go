package visit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"stillpoint/internal/config"
	"stillpoint/internal/doctor"
)

// lookAtFile reads the configuration, and says what can be done with it.
func (v *visit) lookAtFile(context.Context) []doctor.Finding {
	f, err := config.Load(v.path)
	if err != nil {
		said := doctor.Bad(err.Error(), "mend that; nothing else can be looked at before")
		switch {
		case errors.Is(err, os.ErrNotExist):
			said.Fix = "write one: man stillpoint.yaml, a sample with every key is /usr/share/doc/stillpoint/stillpoint.yaml, and the stack of instance.yaml prints one; or name it by --config"
		case errors.Is(err, os.ErrPermission):
			said.Checked, said.Fix = false, doctor.AsRoot
		}
		return []doctor.Finding{said}
	}
	names := strings.Join(slices.Sorted(maps.Keys(f.Plans)), ", ")
	if v.only != "" && f.Plans[v.only] == nil {
		return []doctor.Finding{doctor.Bad(fmt.Sprintf("there is no plan %q in %s: it has %s", v.only, v.path, names), "name one of these")}
	}
	v.file = f
	memory, err := inMemory(f.RuntimeDir)
	worker, runtime := doctor.JudgeFile(f.QueueURL != "", f.TopicARN != "", len(f.Plans) > 0), doctor.JudgeRuntimeDir(f.RuntimeDir, memory, err)
	worker.Check, runtime.Check = "file.worker", "file.runtime_dir"
	return []doctor.Finding{doctor.Good(fmt.Sprintf("%s is well formed, and only its owner may write it; plans: %s", v.path, names)), worker, runtime}
}

// inMemory says whether a directory, or where it will be made, lies on a tmpfs.
func inMemory(dir string) (bool, error) {
	var fs unix.Statfs_t
	for {
		err := unix.Statfs(dir, &fs)
		if errors.Is(err, unix.ENOENT) && dir != "/" {
			dir = filepath.Dir(dir)
			continue
		}
		return fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC, err
	}
}
