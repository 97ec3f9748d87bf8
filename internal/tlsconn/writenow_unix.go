//go:build unix

package tlsconn

import (
	"os"
	"syscall"
)

// writesNow says whether writeNow writes on this system.
const writesNow = true

// writeNow writes as much of p as the socket takes without waiting, possibly
// nothing, and returns how much that was. A full socket is no error. Go's sockets are
// non-blocking, so that write(2) does not wait.
func writeNow(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Write(int(fd), p)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR: // a signal came first: again
		case syscall.EAGAIN: // full
			return 0, nil
		default:
			return 0, os.NewSyscallError("write", err)
		}
	}
}
