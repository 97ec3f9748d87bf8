//go:build !unix

package rpctest

// setReceiveBuffer leaves the receive buffer as the system has made it.
func setReceiveBuffer(uintptr, int) error { return nil }
