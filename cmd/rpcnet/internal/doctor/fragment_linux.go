package doctor

import (
	"net"
	"syscall"
)

// dontFragment makes the kernel send datagrams whole or not at all. It reports whether
// it does.
func dontFragment(c *net.UDPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	ok := false
	raw.Control(func(fd uintptr) {
		// One of the two is of another family.
		v4 := syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_MTU_DISCOVER, syscall.IP_PMTUDISC_PROBE)
		v6 := syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_MTU_DISCOVER, syscall.IP_PMTUDISC_PROBE)
		ok = v4 == nil || v6 == nil
	})
	return ok
}
