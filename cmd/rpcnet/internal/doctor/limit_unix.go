//go:build unix

package doctor

import "syscall"

// fileLimit returns how many files a process may have open, below 0 if it is not known.
func fileLimit() int64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || uint64(limit.Cur) > 1<<62 {
		return -1
	}
	return int64(limit.Cur)
}
