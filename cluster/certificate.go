package cluster

import (
	"crypto/x509"
	"net"
	"net/netip"
	"strings"

	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
)

// Which certificate a node accepts from another.
//
// Gossip carries addresses, and not every certificate carries one. So a node whose
// certificate does not says in its meta which of its names it is to be verified by:
// the name of Config.Advertise, another DNS name, or its SPIFFE id. Who dials it
// wants a certificate that carries the address, or that name. The name of a seed
// counts for the addresses that it stands for. A certificate without DNS names and
// addresses that nothing is known of yet, as that of a seed, must meet a rule
// (extend.AllowServer).

// ownName returns the name that others are to verify a node by whose certificate
// is leaf, and that advertises addr, as Config.Advertise says; "" if the address
// does. ok is false if there is nothing that others could verify it by.
func ownName(leaf *x509.Certificate, advertise string, addr netip.Addr) (name string, ok bool) {
	usable := func(name string) bool { return gossip.ValidServerName(name) && credentials.Carries(leaf, name) }
	if host := advertisedName(advertise); usable(host) {
		return host, true
	}
	if credentials.Carries(leaf, addr.WithZone("").String()) {
		return "", true
	}
	for _, name := range leaf.DNSNames {
		// Every machine is localhost to itself.
		local := strings.EqualFold(name, "localhost") || strings.HasSuffix(strings.ToLower(name), ".localhost")
		if !strings.Contains(name, "*") && (!local || addr.IsLoopback()) && usable(name) {
			return name, true
		}
	}
	if id, _ := credentials.Identity([]*x509.Certificate{leaf}); strings.HasPrefix(id, "spiffe://") && usable(id) {
		return id, true
	}
	// Of a certificate that no host can be compared with a rule decides alone.
	nameless := len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0
	return "", nameless && len(leaf.URIs) > 0
}

// advertisedName returns the DNS name in Config.Advertise, "" if there is none.
func advertisedName(advertise string) string {
	host, _, err := net.SplitHostPort(advertise)
	if err != nil { // no port
		host = advertise
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	return host
}
