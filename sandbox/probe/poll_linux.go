package probe

import (
	"syscall"
	"unsafe"
)

// What to ask the kernel of a socket, from poll(2).
const (
	readable = 0x1
	writable = 0x4
)

// ready asks the kernel, without waiting, whether one of the events, or an
// error, has come to the socket. It sees what has arrived and has not reached
// the goroutine that waits for it.
func ready(c syscall.RawConn, events int16) bool {
	var n uintptr
	err := c.Control(func(fd uintptr) {
		set := struct {
			fd              int32
			events, revents int16
		}{fd: int32(fd), events: events}
		var zero syscall.Timespec
		n, _, _ = syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&set)), 1, uintptr(unsafe.Pointer(&zero)), 0, 0, 0)
	})
	return err == nil && n == 1
}
