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

// advertiseAddr returns the address others use: Config.Advertise, else the
// endpoint's, else, if that is on all interfaces, the one that the route to a
// seed leaves from, else the likeliest of this machine: then it is a guess.
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

// configuredAddr returns the address that Config.Advertise means.
func configuredAddr(ctx context.Context, cfg *Config, local netip.AddrPort) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(cfg.Advertise)
	if err != nil { // no port
		host, port = cfg.Advertise, "0"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return local, fmt.Errorf("cluster: Config.Advertise %q: port %q is not a number up to 65535", cfg.Advertise, port)
	}
	if n == 0 {
		n = uint64(local.Port())
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		ips, lookupErr := cfg.Discovery.Resolve(ctx, host)
		if lookupErr != nil {
			return local, fmt.Errorf("cluster: Config.Advertise %q: %w", cfg.Advertise, lookupErr)
		}
		if len(ips) == 0 {
			return local, fmt.Errorf("cluster: Config.Advertise %q: the name has no address", cfg.Advertise)
		}
		if ip, err = netip.ParseAddr(ips[0]); err != nil {
			return local, fmt.Errorf("cluster: Config.Advertise %q resolves to %q, which is no address", cfg.Advertise, ips[0])
		}
	}
	if ip = ip.Unmap(); lacksZone(ip) {
		return local, fmt.Errorf("cluster: Config.Advertise %q: a link-local address needs its zone, as in [fe80::1%%eth0]:61000", cfg.Advertise)
	}
	if ip.IsUnspecified() {
		return local, fmt.Errorf("cluster: Config.Advertise %q: nobody can reach an unspecified address", cfg.Advertise)
	}
	return netip.AddrPortFrom(ip, uint16(n)), nil
}

// routeToSeeds returns the address that packets to a seed leave from; one that
// others can reach, if there is one, before one of this machine alone. Addresses
// are looked at before names, of which the first to be looked up counts. bound
// is the unspecified address of the endpoint.
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

// routeTo returns the address that packets to addr leave from. It sends none.
func routeTo(addr string) (netip.Addr, bool) {
	c, err := net.Dial("udp", addr)
	if err != nil {
		return netip.Addr{}, false
	}
	defer c.Close()
	from := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	return from, from.IsValid() && !from.IsUnspecified()
}

// elsewhere is an address of documentation (RFC 5737), which nobody has: the
// route to it is that to the rest of the world.
const elsewhere = "192.0.2.1:9"

// interfaceAddr returns the likeliest address of this machine: private before
// public, IPv4 before IPv6, that of the route to the rest of the world before
// others. A bridge for containers, which has the same address on many machines,
// comes last but for loopback, unless that route leaves through it.
func interfaceAddr() (netip.Addr, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("cluster: reading the interfaces: %w", err)
	}
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

// addrRank is how likely others reach this machine at ip; 0: not at all. out is
// the address of the route to the rest of the world.
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

// isBridge reports whether an interface is a bridge, as Linux tells it.
func isBridge(name string) bool {
	_, err := os.Stat(filepath.Join("/sys/class/net", name, "bridge"))
	return err == nil
}
