package nodeimage

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// cannotMakeDebian says what is missing to make a Debian root folder, or nothing.
func cannotMakeDebian() error {
	if os.Getuid() != 0 {
		return errors.New("only root can make a Debian root folder (debootstrap): run it as root")
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		return errors.New("debootstrap is missing: apt-get install debootstrap")
	}
	if _, err := os.Stat(debianKeyring); err != nil {
		return fmt.Errorf("Debian's keys are missing (apt-get install debian-archive-keyring): %w", err)
	}
	_, err := debianSources("/")
	return err
}

// mount shows folders as one, as the options of overlayfs say.
func mount(target, options string, readOnly bool) error {
	var flags uintptr
	if readOnly {
		flags = syscall.MS_RDONLY
	}
	return syscall.Mount("overlay", target, "overlay", flags, options)
}

// detach unmounts what may still be in use.
func detach(target string) { _ = syscall.Unmount(target, syscall.MNT_DETACH) }

// inRootFolder has a command run in a root folder, in a mount namespace of its own, so
// that nothing stays mounted, whatever ends it.
func inRootFolder(root string) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Chroot: root, Unshareflags: syscall.CLONE_NEWNS}
}

// isOpaque reports whether overlayfs hides what a folder's lower layers have.
func isOpaque(folder string) bool {
	var opaque [1]byte
	n, err := syscall.Getxattr(folder, "trusted.overlay.opaque", opaque[:])
	return err == nil && n == 1 && opaque[0] == 'y'
}
