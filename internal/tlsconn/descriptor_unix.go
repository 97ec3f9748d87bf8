//go:build unix

package tlsconn

import (
	"math"
	"net"
	"syscall"
	"time"
)

// Descriptor returns the number of a connection's descriptor, -1 if it has none. The
// system gives out the lowest free number (POSIX, open), so that a high one says
// that many are in use.
func Descriptor(c net.Conn) int {
	n := -1
	control(c, func(fd uintptr) { n = int(fd) })
	return n
}

// MaxDescriptors returns how many descriptors the process may have open: the soft
// limit, which the Go runtime raises to the hard one at start.
func MaxDescriptors() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxInt32
	}
	return int(min(uint64(limit.Cur), math.MaxInt32))
}

// Unread reports whether something has come on a connection that was not read yet.
// It does not wait, not even for a read under way on another goroutine. It takes
// nothing away from the reader.
func Unread(c net.Conn) bool {
	var n int
	control(c, func(fd uintptr) {
		var b [1]byte
		n, _, _ = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return n > 0
}

// awaitBytes waits until the peer has sent something or has closed, for d at most,
// and reports whether it has sent something. It allocates nothing and leaves what
// came to the reader: a connection that stays silent costs its descriptor alone, and
// no TLS state. After d it returns false.
func awaitBytes(c net.Conn, d time.Duration) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	c.SetReadDeadline(time.Now().Add(d))
	defer c.SetReadDeadline(time.Time{})
	came := false
	raw.Read(func(fd uintptr) (done bool) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		came = n > 0
		// EAGAIN: nothing has come; the runtime calls again when that changes.
		return err != syscall.EAGAIN && err != syscall.EINTR
	})
	return came
}

// control calls f with the descriptor of c, if it has one.
func control(c net.Conn, f func(fd uintptr)) {
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			raw.Control(f)
		}
	}
}
