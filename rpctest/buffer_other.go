//go:build !unix

package rpctest

// setReceiveBuffer leaves the receive buffer as the system has made it. A limited
// rate then has more bytes on their way, and is limited all the same.
func setReceiveBuffer(uintptr, int) error { return nil }
