//go:build !linux

package doctor

import "net"

// dontFragment makes the kernel send datagrams whole or not at all. It reports whether
// it does.
func dontFragment(*net.UDPConn) bool { return false }
