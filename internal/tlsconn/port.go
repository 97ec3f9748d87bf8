package tlsconn

import (
	"cmp"
	"net"
	"net/netip"
)

// Bind listens on TCP and UDP at the same port of addr. With port 0 it tries ports
// that the system chooses for TCP until UDP has the same one free, 32 at most. The
// listener's Addr keeps the zone of an IPv6 address, also where the system does not
// report it with the bound address. Errors are those of the net package.
func Bind(addr string) (net.Listener, *net.UDPConn, error) {
	const tries = 32
	for i := 1; ; i++ {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		a := *l.Addr().(*net.TCPAddr)
		host, port, _ := net.SplitHostPort(addr)
		if ip, err := netip.ParseAddr(host); err == nil && a.IP.IsLinkLocalUnicast() {
			a.Zone = cmp.Or(a.Zone, ip.Zone())
		}
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: a.IP, Port: a.Port, Zone: a.Zone})
		if err == nil {
			// The address is copied: the one of the system lacks the zone.
			return listener{l, &a}, u, nil
		}
		// UDP has the port in use. A fixed port stays in use; of port 0 the next try
		// brings another one.
		l.Close()
		if port != "0" || i == tries {
			return nil, nil, err
		}
	}
}

// A listener reports an address of its own in place of the system's.
type listener struct {
	net.Listener
	addr net.Addr
}

// Addr returns the bound address with its zone.
func (l listener) Addr() net.Addr { return l.addr }

// Unmap returns a with an IPv4-mapped IPv6 address (::ffff:1.2.3.4), as sockets for
// both families report IPv4 peers, as plain IPv4, so that addresses compare equal.
func Unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// SourceOf is what counts as one source of connections: an IPv4 address, or the 64 bits of
// an IPv6 address that a network has.
func SourceOf(addr net.Addr) netip.Prefix {
	t, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := t.AddrPort().Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}
