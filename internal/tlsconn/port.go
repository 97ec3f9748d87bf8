package tlsconn

import (
	"cmp"
	"net"
	"net/netip"
)

// Bind opens TCP and UDP on the same port of addr. With port 0 it looks for
// one that both have free. The zone of an IPv6 address is kept, also where the
// system does not tell it with the address that was bound.
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
			return listener{l, &a}, u, nil
		}
		l.Close()
		if port != "0" || i == tries {
			return nil, nil, err
		}
	}
}

// A listener is one whose address is known better than the system tells it.
type listener struct {
	net.Listener
	addr net.Addr
}

func (l listener) Addr() net.Addr { return l.addr }

// Unmap returns an address with an IPv4 address in its short form.
func Unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
