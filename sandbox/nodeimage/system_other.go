//go:build !linux

package nodeimage

import (
	"errors"
	"syscall"
)

// The images are built from source on Linux alone; the other ways to them work
// elsewhere, too.

func cannotMakeDebian() error { return errors.ErrUnsupported }

func mount(string, string, bool) error { return errors.ErrUnsupported }

func detach(string) {}

func inRootFolder(root string) *syscall.SysProcAttr { return &syscall.SysProcAttr{Chroot: root} }

func isOpaque(string) bool { return false }
