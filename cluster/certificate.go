package cluster

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
)

// Whose certificate a node is content with.
//
// Gossip carries addresses, and not every certificate carries one. So a node whose
// certificate does not says in its meta which of its names it is to be verified by:
// the name of Config.Advertise, another DNS name, or its SPIFFE id. Who dials it
// wants a certificate that carries the address, or that name. The name of a seed
// counts for the addresses that it stands for. A certificate without DNS names and
// addresses that nothing is known of yet, as that of a seed, must meet a rule
// (rpcnet.Roles.AllowServer).

// maxWantedNames bounds the names that are good for one address because members
// say so, who may say it as often as they like.
const maxWantedNames = 16

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

// checkCertificate looks whether the node's certificate is another than before. It
// then chooses the name that others verify it by, says what they will refuse, and
// reports whether the name has changed. Join calls it, and later the run goroutine.
func (n *Node) checkCertificate() (changed bool) {
	self := n.ep.Self()
	leaf := self.Chain[0]
	if leaf == n.certificate {
		return false
	}
	n.certificate = leaf
	name, ok := ownName(leaf, n.cfg.Advertise, n.advertise.Addr())
	old := n.serverName.Swap(&name)
	told := func(level slog.Level, msg string, args ...any) {
		n.log.Log(backgroundCtx, level, msg, append(args, "advertised", n.advertise, "certificate", credentials.For(leaf))...)
	}
	host := advertisedName(n.cfg.Advertise)
	if host != "" && name != host {
		told(slog.LevelWarn, "this node's certificate does not carry the name that it advertises: have one issued for that name, or advertise one that it carries", "name", host)
	}
	switch {
	case !ok:
		told(slog.LevelWarn, "this node's certificate carries neither the address that it advertises nor a name that tells it from others: other nodes will refuse it; "+
			"have one issued for the address, a DNS name or a SPIFFE id, or set Config.Advertise to what it carries")
	case name != "" && name != host:
		told(slog.LevelInfo, "this node's certificate does not carry the address that it advertises: others verify it by a name", "name", name)
	}
	if err := n.ep.AllowServer(self, rpcnet.RoleNode); err != nil {
		told(slog.LevelWarn, "other nodes with the rules of this one will refuse it", "err", err)
	}
	return old == nil || *old != name
}

// followCertificate tells the others when the name changes that they verify this
// node by, since its certificate was renewed.
func (n *Node) followCertificate() {
	if n.checkCertificate() {
		n.tagsMu.Lock()
		defer n.tagsMu.Unlock()
		n.announce()
	}
}

// verifiedBy returns the name that others verify this node by.
func (n *Node) verifiedBy() string {
	if name := n.serverName.Load(); name != nil {
		return *name
	}
	return ""
}

// fits returns an error if tags are too large beside the name that gossip carries
// with them.
func (n *Node) fits(tags Tags) error {
	name := n.verifiedBy()
	m := gossip.Meta{Tags: tags, ServerName: name}
	if size := len(m.Append(nil)); name != "" && size > gossip.MaxMeta {
		return fmt.Errorf("%w: %d bytes, where the name %q, by which others verify this node, leaves room for %d; a certificate that carries the address %s needs none",
			errTagsTooLarge, tags.Size(), name, tags.Size()-(size-gossip.MaxMeta), n.advertise.Addr())
	}
	return nil
}

// meta returns what the node says of itself. The name is left out if a renewed
// certificate has one for which the tags leave no room.
func (n *Node) meta() []byte {
	m := gossip.Meta{Leaving: n.leaving.Load(), Key: n.transport.PublicKey(), Tags: n.tags.Load().(Tags), ServerName: n.verifiedBy()}
	b := m.Append(nil)
	if len(b) > gossip.MaxMeta {
		n.lines.Log(slog.LevelWarn, "name", "the tags leave no room for the name that others verify this node by: they will refuse it; remove tags",
			"name", m.ServerName, "tags", Tags(m.Tags).Size())
		m.ServerName = ""
		b = m.Append(nil)
	}
	return b
}

// seedPrefix begins who has said a name when it is the configuration of a seed. No id
// has a zero byte.
const seedPrefix = "\x00seed "

// toldNames are the names that a certificate may carry in place of an address, by
// the address and by who has said so: a member of itself, or the configuration of a
// seed. Its lock is a leaf: memberlist must not wait for the view when it dials.
type toldNames struct {
	mu sync.Mutex
	at map[string]map[string]string
}

// set replaces what who has said: name is good at addr, and its former address is
// was. An empty name is good nowhere.
func (t *toldNames) set(who, was, addr, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if said := t.at[was]; said != nil {
		if delete(said, who); len(said) == 0 {
			delete(t.at, was)
		}
	}
	if name == "" {
		return
	}
	if t.at == nil {
		t.at = map[string]map[string]string{}
	}
	if t.at[addr] == nil {
		t.at[addr] = map[string]string{}
	}
	t.at[addr][who] = name
}

// wanted returns whom a certificate must be for that answers at an address, where
// the node of that id is looked for, or any with the id "": the address; what the
// node and the configuration say; and what others there say of themselves, which
// must not crowd those out, at most maxWantedNames of them.
func (t *toldNames) wanted(id, addr string) []string {
	host, _, _ := net.SplitHostPort(addr)
	names := []string{host}
	t.mu.Lock()
	defer t.mu.Unlock()
	others := 0
	for who, name := range t.at[addr] {
		if who != id && !strings.HasPrefix(who, seedPrefix) {
			if others++; others > maxWantedNames {
				continue
			}
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// settleAt notes the address of a member and the name that it is verified by. The
// caller holds mu.
func (n *Node) settleAt(m *member, addr, serverName string) {
	n.told.set(m.ID(), m.Addr, addr, serverName)
	m.Addr, m.ServerName = addr, serverName
}

// drop forgets a member. The caller holds mu.
func (n *Node) drop(id string) {
	if m := n.members[id]; m != nil {
		n.told.set(id, m.Addr, "", "")
	}
	delete(n.members, id)
	n.transport.Forget(id)
}

// standFor notes that the addresses of a seed, which were others before, may have
// certificates for its name. The caller holds the healer's mu.
func (n *Node) standFor(s *seed, was, addrs []string) {
	who := seedPrefix + s.text
	for _, a := range was {
		n.told.set(who, a, "", "")
	}
	for _, a := range addrs {
		n.told.set(who, a, a, s.verifiedBy)
	}
}
