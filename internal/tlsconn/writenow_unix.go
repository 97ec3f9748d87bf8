//go:build unix

package tlsconn

import (
	"os"
	"syscall"
)

// writesNow says whether writeNow writes.
const writesNow = true

// writeNow writes as much of p as the socket takes at once, which may be
// nothing.
func writeNow(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Write(int(fd), p)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, os.NewSyscallError("write", err)
		}
	}
}
