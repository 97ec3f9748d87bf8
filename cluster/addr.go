package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
)

// advertiseAddr returns the address that others use. It is the first of these that there
// is: Config.Advertise; the endpoint's, unless that is on all interfaces; the one from
// which the route to a seed leaves; the likeliest of this machine. The last is a guess,
// which reachability checks later.
func advertiseAddr(ctx context.Context, cfg *Config, bound net.Addr) (addr netip.AddrPort, guess bool, _ error) {
	local, err := netip.ParseAddrPort(bound.String())
	if err != nil {
		return local, false, fmt.Errorf("cluster: the endpoint's address %s is not IP and port: %w", bound, err)
	}
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	if cfg.Advertise == "" {
		if !local.Addr().IsUnspecified() {
			return local, false, nil
		}
		ip, ok := routeToSeeds(ctx, cfg, local.Addr())
		if !ok {
			ip, err = interfaceAddr()
		}
		return netip.AddrPortFrom(ip, local.Port()), !ok, err
	}
	addr, err = configuredAddr(ctx, cfg, local)
	return addr, false, err
}

// configuredAddr returns the address that Config.Advertise means: a host name is resolved
// once, and a port that is missing or 0 is that of local, the endpoint's address.
func configuredAddr(ctx context.Context, cfg *Config, local netip.AddrPort) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(cfg.Advertise)
	if err != nil { // no port
		host, port = cfg.Advertise, "0"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return local, fmt.Errorf("cluster: Config.Advertise: %q: port %q is not a number up to 65535", cfg.Advertise, port)
	}
	if n == 0 { // the usual case behind a name: the endpoint's port
		n = uint64(local.Port())
	}
	// A name is resolved once: what others verify is the name, what they dial must not
	// change while the node runs.
	ip, err := netip.ParseAddr(host)
	if err != nil {
		ips, lookupErr := cfg.Discovery.Resolve(ctx, host)
		if lookupErr != nil {
			return local, fmt.Errorf("cluster: Config.Advertise: %q: %w", cfg.Advertise, lookupErr)
		}
		if len(ips) == 0 {
			return local, fmt.Errorf("cluster: Config.Advertise: %q: the name has no address", cfg.Advertise)
		}
		if ip, err = netip.ParseAddr(ips[0]); err != nil {
			return local, fmt.Errorf("cluster: Config.Advertise: %q: resolves to %q, which is no address", cfg.Advertise, ips[0])
		}
	}
	if ip = ip.Unmap(); lacksZone(ip) {
		return local, fmt.Errorf("cluster: Config.Advertise: %q: a link-local address needs its zone, as in [fe80::1%%eth0]:61000", cfg.Advertise)
	}
	if ip.IsUnspecified() {
		return local, fmt.Errorf("cluster: Config.Advertise: %q: others cannot reach an unspecified address", cfg.Advertise)
	}
	return netip.AddrPortFrom(ip, uint16(n)), nil
}

// routeToSeeds returns the address from which packets to a seed leave. An address that
// others can reach comes before a loopback one. Seeds with addresses come before those
// with names, whose look-up takes time; of names, the first that resolves counts. bound
// is the unspecified address of the endpoint: one of IPv4 alone has no route over IPv6.
func routeToSeeds(ctx context.Context, cfg *Config, bound netip.Addr) (netip.Addr, bool) {
	var loopback netip.Addr
	found := func(ip, port string) (netip.Addr, bool) {
		from, ok := routeTo(seedAddr(ip, port))
		switch {
		case !ok || bound.Is4() && !from.Is4():
		case from.IsLoopback():
			loopback = from
		default:
			return from, true
		}
		return netip.Addr{}, false
	}
	// Addresses first: they cost no look-up.
	names := map[string]string{} // with their ports
	for _, s := range cfg.Seeds {
		host, port, _ := net.SplitHostPort(s)
		if _, err := netip.ParseAddr(host); err != nil {
			names[host] = port
		} else if from, ok := found(host, port); ok {
			return from, true
		}
	}
	if loopback.IsValid() {
		return loopback, true
	}
	// Then all names at once. The channel has room for every answer, so that a
	// goroutine whose answer is not needed any more ends as well.
	ctx, cancel := context.WithTimeout(ctx, min(lookupTimeout, cfg.Discovery.JoinTimeout))
	defer cancel()
	type answer struct {
		ips  []string
		port string
	}
	answers := make(chan answer, len(names))
	for host, port := range names {
		go func() {
			ips, _ := resolve(ctx, cfg, host)
			answers <- answer{ips, port}
		}()
	}
	for range names {
		a := <-answers // comes in time
		for _, ip := range a.ips {
			if from, ok := found(ip, a.port); ok {
				return from, true
			}
		}
		if loopback.IsValid() {
			break
		}
	}
	return loopback, loopback.IsValid()
}

// routeTo returns the address from which packets to addr leave: the system chooses it
// when a UDP socket is connected. That sends no packet.
func routeTo(addr string) (netip.Addr, bool) {
	c, err := net.Dial("udp", addr)
	if err != nil {
		return netip.Addr{}, false
	}
	defer c.Close()
	from := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	return from, from.IsValid() && !from.IsUnspecified()
}

// elsewhere is an address for documentation (RFC 5737), which no host has: the route to
// it is the one to the rest of the world.
const elsewhere = "192.0.2.1:9"

// interfaceAddr returns the likeliest address of this machine: private before public,
// IPv4 before IPv6, and that of the route to the rest of the world before others. A
// bridge for containers, which has the same address on many machines, comes after all
// but loopback, unless that route leaves through it.
func interfaceAddr() (netip.Addr, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("cluster: reading the interfaces: %w", err)
	}
	// Without a route, as on a machine that is offline, out is no address of any interface.
	out, _ := routeTo(elsewhere)
	var best netip.Addr
	rank := 0
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 {
			continue
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			if r := addrRank(p.Addr().Unmap(), out, isBridge(i.Name)); r > rank {
				best, rank = p.Addr().Unmap(), r
			}
		}
	}
	if rank == 0 {
		return best, errors.New("cluster: no interface has an address to advertise: set Config.Advertise")
	}
	return best, nil
}

// addrRank returns how likely it is that others reach this machine at ip, as a number to
// compare; 0 if they cannot. out is the address of the route to the rest of the world.
// The kind of an address counts most, then whether it is out, and a bridge ranks below
// every other kind.
func addrRank(ip, out netip.Addr, bridge bool) int {
	r := 0
	switch {
	case ip.IsLoopback() && ip.Is4():
		return 1
	case ip.IsPrivate() && ip.Is4():
		r = 5
	case ip.IsGlobalUnicast() && ip.Is4():
		r = 4
	case ip.IsPrivate():
		r = 3
	case ip.IsGlobalUnicast():
		r = 2
	default:
		return 0
	}
	switch {
	case ip == out:
		return 10*r + 1
	case bridge:
		return r
	}
	return 10 * r
}

// isBridge reports whether an interface is a bridge. Only Linux has the directory that
// says so (sysfs); elsewhere it returns false.
func isBridge(name string) bool {
	_, err := os.Stat(filepath.Join("/sys/class/net", name, "bridge"))
	return err == nil
}
