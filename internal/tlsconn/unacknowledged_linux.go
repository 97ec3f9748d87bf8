package tlsconn

import (
	"syscall"
	"unsafe"
)

// unacknowledged returns how many bytes the system has taken to send that the peer's
// system has not acknowledged: SIOCOUTQ of tcp(7), which has the number of TIOCOUTQ.
// On an error it returns 0, as on systems that do not report it.
func unacknowledged(fd uintptr) uint64 {
	var n int32 // an int of C
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n)))
	if errno != 0 || n < 0 {
		return 0
	}
	return uint64(n)
}
