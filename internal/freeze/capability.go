package freeze

import (
	"fmt"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

// checkCapability refuses where the kernel would answer FIFREEZE with EPERM:
// it needs CAP_SYS_ADMIN and nothing else [V].
func checkCapability() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("cannot read this process's capabilities: %w", err)
	}
	if data[0].Effective&(1<<unix.CAP_SYS_ADMIN) == 0 {
		return &snapshot.RefusedError{Sentence: "freezing needs CAP_SYS_ADMIN, which this process lacks: run it as root, or give the service that capability"}
	}
	return nil
}
