//go:build unix

package web

import "syscall"

// openFiles is how many files the process may have open. The runtime has raised that
// to what the system allows.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return socketsAtMost
	}
	return int(min(uint64(limit.Cur), 1<<30))
}
