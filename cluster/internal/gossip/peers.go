package gossip

import (
	"fmt"
	"net/netip"
	"time"
)

// The table of keys: whose they are, how far each is to be trusted, and who
// makes room when the table is full.
//
// A key comes by hearsay (Learn) or in a hello. A hello proves that its sender
// has a certificate; with Config.NamesBound also that this certificate may carry
// the name. Only then may it replace a key under which packets have opened:
// otherwise any member could take the name of another that runs.

const (
	// maxPeers bounds the table of keys: a member that invents names must not
	// be able to fill the memory. Well above any cluster memberlist can carry.
	maxPeers = 20_000
	// fullFor is how long hearsay is refused at once after a search for room in
	// a full table has found none: the search looks at all of it.
	fullFor = time.Second
	// guestFor is how long a node that has said hello may take to come into the
	// view before its key is worth no more than one by hearsay.
	guestFor = 30 * time.Second
	// maxInvented is how many keys may be known by the word of one node alone: a
	// share of the table, so that one cannot fill it with nodes that are not.
	maxInvented = maxPeers / 4
)

// Learn installs the public key of a node as gossip tells it, with the address
// that gossip gives it. It installs nothing over a key that is there: names are
// new at every boot, so that a key never changes rightly. Nor does an address:
// the error says that gossip tells another one than before.
func (t *Transport) Learn(id string, key [KeySize]byte, addr netip.AddrPort) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[id]
	switch {
	case t.evicted[id]:
		return fmt.Errorf("gossip: %s was evicted", id)
	case id == t.me.id:
		return nil
	case p == nil:
		if err := t.install(id, key, netip.AddrPort{}, false); err != nil {
			return err
		}
		p = t.peers[id]
	}
	if !p.home.IsValid() {
		p.home = addr
	}
	if p.home != addr {
		return fmt.Errorf("gossip: %s is at %s, not at %s: a boot does not move", id, p.home, addr)
	}
	return nil
}

// prove installs the public key that a node gave in its hello.
func (t *Transport) prove(h hello) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.install(h.id, h.key, h.addr, true)
}

// install adds or replaces a peer. The caller holds mu.
func (t *Transport) install(id string, key [KeySize]byte, addr netip.AddrPort, proved bool) error {
	if t.evicted[id] {
		return fmt.Errorf("gossip: %s was evicted", id)
	}
	old := t.peers[id]
	if old != nil && old.key == key {
		if proved {
			old.proved.Store(true)
			old.at = time.Now()
			t.vouchFor(old)
		}
		if addr.IsValid() {
			old.addr = addr
		}
		return nil
	}
	switch {
	case old == nil && len(t.peers) >= maxPeers && !t.makeRoom(proved):
		return fmt.Errorf("gossip: more than %d nodes", maxPeers)
	case old != nil && (!proved || old.proved.Load() || old.heard.Load() && !t.cfg.NamesBound):
		return fmt.Errorf("gossip: %s has another key than before", id)
	}
	p := t.newPeer(id, key)
	p.addr = addr
	p.proved.Store(proved)
	if old != nil {
		p.home = old.home
		t.drop(old)
	}
	if source := t.brought[id]; source != 0 && !proved {
		p.source = source
		t.invented[source]++
	}
	delete(t.brought, id)
	t.peers[id] = p
	t.shorts[p.short] = p
	return nil
}

// newPeer returns a peer that seals with no counter and opens no packet that
// was used before, even if the same node was dropped meanwhile: its counter
// begins at the nanoseconds since the transport was made, which is more than
// any earlier one can have reached, and its window where that of the earlier
// one ended. The caller holds mu.
func (t *Transport) newPeer(id string, key [KeySize]byte) *peer {
	p := newPeer(id, key)
	p.at = time.Now()
	p.sent.Store(uint64(p.at.Sub(t.start)) + 1)
	p.present.Store(t.inView[id])
	if top, ok := t.tombs.top[p.short]; ok {
		p.window.closeUpTo(top)
	}
	return p
}

// broughtBy notes that a node, which is not known, is about to be learned by the
// word of p. The caller holds mu.
func (t *Transport) broughtBy(id string, p *peer) {
	if len(t.brought) >= maxPeers { // of nodes that memberlist did not take
		clear(t.brought)
	}
	t.brought[id] = p.short
}

// noteHeard notes that a packet of p has opened: it is there.
func (t *Transport) noteHeard(p *peer) {
	if p.heard.CompareAndSwap(false, true) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.vouchFor(p)
	}
}

// vouchFor ends that p is known by the word of another alone. The caller holds mu.
func (t *Transport) vouchFor(p *peer) {
	if p.source == 0 {
		return
	}
	if t.invented[p.source]--; t.invented[p.source] <= 0 {
		delete(t.invented, p.source)
	}
	p.source = 0
}

// drop takes a peer out of the table. The caller holds mu.
func (t *Transport) drop(p *peer) {
	t.vouchFor(p)
	delete(t.peers, p.id)
	delete(t.shorts, p.short)
	t.tombs.bury(p)
}

// The ranks of those who make room, the first to go first.
const (
	rankUnknown = iota // not in the view, and not proved or proved long ago
	rankHearsay        // in the view, but nothing of its own was ever heard
	rankGuest          // proved, but not in the view
	rankStays
)

func (p *peer) rank(now time.Time) int {
	proved, present := p.proved.Load(), p.present.Load()
	switch {
	case !present && (!proved || now.Sub(p.at) > guestFor):
		return rankUnknown
	case !proved && !p.heard.Load():
		return rankHearsay
	case !present:
		return rankGuest
	}
	return rankStays
}

// makeRoom drops whoever must make room in a full table for one that has proved
// itself or not, and reports whether there was anybody: many of those who are
// worth nothing, or else, for one that is proved, the one of the lowest rank that
// was heard of longest ago. The caller holds mu.
func (t *Transport) makeRoom(proved bool) bool {
	now := time.Now()
	if !proved && now.Sub(t.full) < fullFor {
		return false
	}
	var least *peer
	lowest, dropped := rankStays, 0
	for _, p := range t.peers {
		switch rank := p.rank(now); {
		case rank == rankUnknown:
			if dropped < maxPeers/16 {
				t.drop(p)
				dropped++
			}
		case rank < lowest, rank == lowest && rank < rankStays && p.at.Before(least.at):
			least, lowest = p, rank
		}
	}
	switch {
	case dropped > 0:
	case proved && least != nil:
		t.drop(least)
	default:
		t.full = now
		return false
	}
	return true
}

// SetPresent says whether a node is in the view. Packets and hellos of nodes
// that are not lead to calls of Config.Contact.
func (t *Transport) SetPresent(id string, present bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if present {
		t.inView[id] = true
	} else {
		delete(t.inView, id)
	}
	if p := t.peers[id]; p != nil {
		p.present.Store(present)
	}
}

// Forget drops the keys of a node that is gone.
func (t *Transport) Forget(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.peers[id]; p != nil {
		t.drop(p)
	}
	delete(t.inView, id)
}

// Sweep drops the keys of nodes that are not in the view, that keep says nothing
// for, and that have not said hello for a time: they only knocked.
func (t *Transport) Sweep(after time.Duration, keep func(id string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, p := range t.peers {
		if !p.present.Load() && time.Since(p.at) > after && !keep(id) {
			t.drop(p)
		}
	}
}

// Evict drops the keys of a node for good: its packets do not open any more and
// its hellos are refused. The node need not be known.
func (t *Transport) Evict(id string) {
	t.mu.Lock()
	t.evicted[id] = true
	t.mu.Unlock()
	t.Forget(id)
	t.connMu.Lock()
	defer t.connMu.Unlock()
	for c := range t.conns {
		if c.id == id {
			c.Conn.Close()
		}
	}
}

// Evicted reports whether a node was evicted.
func (t *Transport) Evicted(id string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.evicted[id]
}

// Knows reports whether the keys of a node are there.
func (t *Transport) Knows(id string) bool { return t.peer(id) != nil }

// Proved reports whether a node has given the key that is there in a hello.
func (t *Transport) Proved(id string) bool {
	p := t.peer(id)
	return p != nil && p.proved.Load()
}

func (t *Transport) peer(id string) *peer {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.peers[id]
}

// tombs remember the counter of the last packet that opened of those who were
// dropped, by short id, which stands for name and key. The oldest go when there
// are more than maxPeers.
type tombs struct {
	top   map[uint64]uint64
	order []uint64
}

func (s *tombs) bury(p *peer) {
	p.window.mu.Lock()
	top := p.window.top
	p.window.mu.Unlock()
	if top == 0 { // nothing that could be replayed
		return
	}
	if _, ok := s.top[p.short]; !ok {
		s.order = append(s.order, p.short)
	}
	s.top[p.short] = top
	if len(s.order) > maxPeers {
		delete(s.top, s.order[0])
		s.order = s.order[1:]
	}
}
