package capacity

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

func TestMachine_processes_that_may_not_be_looked_at_are_said_to_be_missing(t *testing.T) {
	root := folder(t, plain())
	locked := filepath.Join(root, "proc/7/fd")
	if err := os.Chmod(locked, 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(locked, 0o700) // so that it can be removed
	if os.Getuid() == 0 {
		// Root may look at all, so on this thread it is nobody who asks for files.
		if err := os.Chmod(filepath.Dir(root), 0o755); err != nil {
			t.Fatal(err)
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer syscall.Setfsuid(0)
	}
	if m := Here(root, 0).Machine(); len(m.Unknown) != 1 {
		t.Errorf("not known: %q", m.Unknown)
	}
}
