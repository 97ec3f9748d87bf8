package cluster

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/role"
)

// An announcement is what the node says of itself in its meta: its tags, whether it
// leaves, and the name that its certificate carries. memberlist reads it under its own
// lock, so that all of it is atomic.
type announcement struct {
	n           *Node
	certificate *x509.Certificate // as seen last; Join's and then the run goroutine's

	mu         sync.Mutex             // one change at a time; held while memberlist takes it
	tags       atomic.Value           // Tags, which are replaced and never changed
	leaving    atomic.Bool            // the node has said that it will leave
	serverName atomic.Pointer[string] // the name that others verify this node by
}

// change replaces the tags by what f makes of a copy of them. If these are not valid, or
// too large, it changes nothing. Equal tags are not announced.
func (a *announcement) change(f func(Tags) Tags) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n.life.stopping() {
		return errStopped
	}
	old := a.tags.Load().(Tags)
	copied := maps.Clone(old)
	if copied == nil {
		copied = Tags{}
	}
	tags := f(copied)
	if err := cmp.Or(tags.Validate(), a.fits(tags)); err != nil {
		return err
	}
	if tags.Equal(old) {
		return nil
	}
	a.tags.Store(tags)
	return a.spread()
}

// spread makes memberlist take this node's meta by [delegate.NodeMeta], and spread it.
// When it returns, this node's own view shows the change. The caller holds mu.
func (a *announcement) spread() error {
	if !a.n.life.begin() {
		return errStopped
	}
	defer a.n.life.work.Done()
	// The time-out is for waiting until the message was sent, which is of no use; what
	// must happen now has happened before that wait.
	a.n.list.UpdateNode(time.Nanosecond)
	a.n.view.drain()
	return nil
}

// announceLeaving makes the others see this node as leaving. It is idempotent.
func (a *announcement) announceLeaving() error {
	if a.leaving.Swap(true) {
		return nil
	}
	// The packets are faster, the meta reaches those that miss them.
	endpoint{a.n}.sendControl(controlLeaving)
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.spread()
}

// checkCertificate looks whether the node's certificate is another than before. It
// then chooses the name that others verify it by, says what they will refuse, and
// reports whether the name has changed. Join calls it, and later the run goroutine.
func (a *announcement) checkCertificate() (changed bool) {
	self := a.n.ep.Self()
	leaf := self.Chain[0]
	if leaf == a.certificate {
		return false
	}
	a.certificate = leaf
	name, ok := ownName(leaf, a.n.cfg.Advertise, a.n.advertise.Addr())
	old := a.serverName.Swap(&name)
	told := func(level slog.Level, msg string, args ...any) {
		a.n.log.Log(backgroundCtx, level, msg, append(args, "advertised", a.n.advertise, "certificate", credentials.For(leaf))...)
	}
	host := advertisedName(a.n.cfg.Advertise)
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
	if err := extend.AllowServer(extend.Roles(a.n.ep), self, role.Node); err != nil {
		told(slog.LevelWarn, "other nodes with the rules of this one will refuse it", "err", err)
	}
	return old == nil || *old != name
}

// followCertificate announces the name that others verify this node by if it has changed
// because the certificate was renewed. The run goroutine calls it about once a second.
func (a *announcement) followCertificate() {
	if a.checkCertificate() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.spread()
	}
}

// verifiedBy returns the name that others verify this node by.
func (a *announcement) verifiedBy() string {
	if name := a.serverName.Load(); name != nil {
		return *name
	}
	return ""
}

// fits returns an error if tags are too large beside the name that gossip carries
// with them.
func (a *announcement) fits(tags Tags) error {
	name := a.verifiedBy()
	m := gossip.Meta{Tags: tags, ServerName: name}
	if size := len(m.Append(nil)); name != "" && size > gossip.MaxMeta {
		return fmt.Errorf("%w: %d bytes, where the name %q, by which others verify this node, leaves room for %d; a certificate that carries the address %s needs none",
			errTagsTooLarge, tags.Size(), name, tags.Size()-(size-gossip.MaxMeta), a.n.advertise.Addr())
	}
	return nil
}

// meta returns what the node says of itself. The name is left out if a renewed
// certificate has one for which the tags leave no room.
func (a *announcement) meta() []byte {
	m := gossip.Meta{Leaving: a.leaving.Load(), Key: a.n.transport.PublicKey(), Tags: a.tags.Load().(Tags), ServerName: a.verifiedBy()}
	b := m.Append(nil)
	if len(b) > gossip.MaxMeta {
		a.n.lines.Log(slog.LevelWarn, "name", "the tags leave no room for the name that others verify this node by: they will refuse it; remove tags",
			"name", m.ServerName, "tags", Tags(m.Tags).Size())
		m.ServerName = ""
		b = m.Append(nil)
	}
	return b
}
