package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// advertiseAddr returns the address others use: Config.Advertise, else the
// endpoint's, else, if that is on all interfaces, the first private address of
// this machine, or the first global one.
func advertiseAddr(ctx context.Context, cfg *Config, bound net.Addr) (netip.AddrPort, error) {
	local, err := netip.ParseAddrPort(bound.String())
	if err != nil {
		return local, fmt.Errorf("cluster: the endpoint's address %s is not IP and port: %w", bound, err)
	}
	local = netip.AddrPortFrom(local.Addr().Unmap().WithZone(""), local.Port())
	if cfg.Advertise == "" {
		if !local.Addr().IsUnspecified() {
			return local, nil
		}
		ip, err := interfaceAddr()
		return netip.AddrPortFrom(ip, local.Port()), err
	}
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
		ips, lookupErr := cfg.Resolve(ctx, host)
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
	if ip = ip.Unmap().WithZone(""); ip.IsUnspecified() {
		return local, fmt.Errorf("cluster: Config.Advertise %q: nobody can reach an unspecified address", cfg.Advertise)
	}
	return netip.AddrPortFrom(ip, uint16(n)), nil
}

func interfaceAddr() (netip.Addr, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("cluster: reading the interfaces' addresses: %w", err)
	}
	var best netip.Addr
	rank := 0
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		ip, r := p.Addr().Unmap(), 0
		switch {
		case ip.IsPrivate() && ip.Is4():
			r = 5
		case ip.IsGlobalUnicast() && ip.Is4():
			r = 4
		case ip.IsPrivate():
			r = 3
		case ip.IsGlobalUnicast():
			r = 2
		case ip.IsLoopback() && ip.Is4():
			r = 1
		}
		if r > rank {
			best, rank = ip, r
		}
	}
	if rank == 0 {
		return best, errors.New("cluster: no interface has an address to advertise: set Config.Advertise")
	}
	return best, nil
}
