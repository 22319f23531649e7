//go:build linux || darwin

package capacity

import "syscall"

// DiskOf is the disk that the folder is on: what of it is free counts, with what is used.
func DiskOf(folder string) (Amount, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return Amount{}, err
	}
	size := int64(s.Bsize)
	used := int64(s.Blocks-s.Bfree) * size
	// What is kept for root is nobody's here.
	return Amount{Total: used + int64(s.Bavail)*size, Used: used}, nil
}

// OpenFiles is how many files this process may have open.
func OpenFiles() Amount {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<62 {
		return Amount{}
	}
	return Amount{Total: int64(limit.Cur)}
}
