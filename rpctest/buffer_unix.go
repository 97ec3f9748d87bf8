//go:build unix

package rpctest

import "syscall"

// setReceiveBuffer sets the size of a socket's receive buffer, in bytes. Linux
// doubles it.
func setReceiveBuffer(fd uintptr, n int) error {
	return syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, n)
}
