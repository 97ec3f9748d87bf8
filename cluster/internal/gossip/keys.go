package gossip

import (
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// A keyTable holds the public keys of other nodes: whose each is, how far it is to
// be trusted, and which node makes room when the table is full. Its methods are safe
// for concurrent use.
//
// A key comes by hearsay (learn) or in a hello (prove). A hello proves that its
// sender has a certificate; with Config.NamesBound also that this certificate may
// carry the name. Only then may it replace a key under which packets have opened:
// otherwise any member could take the name of another that runs.
//
// What is known of a key, from least to most:
//
//	invented   gossip told it, by the word of one node    (peer.source is set)
//	heard      a packet has opened under it               (peer.heard)
//	proved     it came in a hello, under a certificate    (peer.proved)
//
// Invariants while mu is free: every peer in shorts is in peers; invented[s] is the
// number of peers whose source is s; no evicted id is in peers.
type keyTable struct {
	self       string    // this node's id
	namesBound bool      // see Config.NamesBound
	start      time.Time // counters of packets begin with the time since then

	mu         sync.RWMutex // guards what follows, and the addresses of the peers
	peers      map[string]*peer
	shorts     map[uint64]*peer
	inView     map[string]bool
	evicted    map[string]bool
	tombstones tombstones
	invented   map[uint64]int    // how many keys are known by the word of one node alone, by its short id
	brought    map[string]uint64 // whose word it will be, by the id of a node that is about to be learned
	full       time.Time         // when there was last no room
}

// newKeyTable returns an empty table of the node called self.
func newKeyTable(self string, namesBound bool) keyTable {
	return keyTable{
		self: self, namesBound: namesBound, start: time.Now(),
		peers:      map[string]*peer{},
		shorts:     map[uint64]*peer{},
		inView:     map[string]bool{},
		evicted:    map[string]bool{},
		tombstones: tombstones{top: map[uint64]uint64{}},
		invented:   map[uint64]int{},
		brought:    map[string]uint64{},
	}
}

const (
	// maxPeers is the most keys in the table: a member that invents names must not
	// fill the memory. It is well above the size of any cluster that memberlist can
	// carry.
	maxPeers = 20_000
	// fullFor is how long hearsay is refused at once after a search for room in
	// a full table has found none: the search looks at all of it.
	fullFor = time.Second
	// guestFor is how long a node that has said hello may take to come into the
	// view before its key is worth no more than one by hearsay.
	guestFor = 30 * time.Second
	// maxInvented is how many keys can be known by the word of one node alone: a share
	// of the table, so that one node cannot fill it with nodes that do not exist.
	maxInvented = maxPeers / 4
)

// learn implements Transport.Learn.
func (k *keyTable) learn(id string, key [KeySize]byte, addr netip.AddrPort) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.peers[id]
	switch {
	case k.evicted[id]:
		return fmt.Errorf("gossip: %s was evicted", id)
	case id == k.self:
		return nil
	case p == nil:
		if err := k.install(id, key, netip.AddrPort{}, false); err != nil {
			return err
		}
		p = k.peers[id]
	}
	// The first address that gossip gives stays: a packet is sent nowhere else on a
	// member's request (screenPing).
	if !p.home.IsValid() {
		p.home = addr
	}
	if p.home != addr {
		return fmt.Errorf("gossip: %s is at %s, not at %s: a boot does not move", id, p.home, addr)
	}
	return nil
}

// prove installs the public key that a node gave in its hello, and the address that it
// advertises.
func (k *keyTable) prove(h hello) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.install(h.id, h.key, h.addr, true)
}

// install adds a peer, or replaces its key. proved says that the key came in a hello. An
// error says why the key is not taken. The caller holds mu.
func (k *keyTable) install(id string, key [KeySize]byte, addr netip.AddrPort, proved bool) error {
	if k.evicted[id] {
		return fmt.Errorf("gossip: %s was evicted", id)
	}
	old := k.peers[id]
	// Known: only more certain.
	if old != nil && old.key == key {
		if proved {
			old.proved.Store(true)
			old.at = time.Now()
			k.vouchFor(old)
		}
		if addr.IsValid() {
			old.addr = addr
		}
		return nil
	}
	// A key is replaced only by a hello, and only if the one that is there is known by
	// hearsay alone. With NamesBound the certificate decides, even if packets have
	// opened under the old key.
	switch {
	case old == nil && len(k.peers) >= maxPeers && !k.makeRoom(proved):
		return fmt.Errorf("gossip: more than %d nodes", maxPeers)
	case old != nil && (!proved || old.proved.Load() || old.heard.Load() && !k.namesBound):
		return fmt.Errorf("gossip: %s has another key than before", id)
	}
	p := k.newPeer(id, key)
	p.addr = addr
	p.proved.Store(proved)
	if old != nil {
		p.home = old.home
		k.drop(old)
	}
	// By whose word the key is known was noted when the message was screened.
	if source := k.brought[id]; source != 0 && !proved {
		p.source = source
		k.invented[source]++
	}
	delete(k.brought, id)
	k.peers[id] = p
	k.shorts[p.short] = p
	return nil
}

// newPeer returns a peer that seals with no counter, and opens no packet, that was used
// before, even if the same node was dropped meanwhile. Its counter begins at the
// nanoseconds since the transport was made: no earlier one can have reached that, since
// no node sends a packet in each nanosecond. Its window begins where that of the earlier
// one ended. The caller holds mu.
func (k *keyTable) newPeer(id string, key [KeySize]byte) *peer {
	p := newPeer(id, key)
	p.at = time.Now()
	p.sent.Store(uint64(p.at.Sub(k.start)) + 1)
	p.present.Store(k.inView[id])
	if top, ok := k.tombstones.top[p.short]; ok {
		p.window.closeUpTo(top)
	}
	return p
}

// broughtBy notes that a node that is not known is about to be learned by the word of p.
// The caller holds mu.
func (k *keyTable) broughtBy(id string, p *peer) {
	// Memberlist did not take these nodes.
	if len(k.brought) >= maxPeers {
		clear(k.brought)
	}
	k.brought[id] = p.short
}

// noteHeard notes that a packet of p has opened: the node exists. It takes the lock for
// the first packet only.
func (k *keyTable) noteHeard(p *peer, now time.Time) {
	p.last.Store(int64(now.Sub(k.start)))
	if p.heard.CompareAndSwap(false, true) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.vouchFor(p)
	}
}

// vouchFor notes that p is not known by the word of another alone any more. The caller
// holds mu.
func (k *keyTable) vouchFor(p *peer) {
	if p.source == 0 {
		return
	}
	if k.invented[p.source]--; k.invented[p.source] <= 0 {
		delete(k.invented, p.source)
	}
	p.source = 0
}

// drop takes a peer out of the table, and keeps its last counter. The caller holds mu.
func (k *keyTable) drop(p *peer) {
	k.vouchFor(p)
	delete(k.peers, p.id)
	delete(k.shorts, p.short)
	k.tombstones.bury(p)
}

// The ranks of peers in a full table. The lowest makes room first.
const (
	rankUnknown = iota // not in the view, and not proved or proved long ago
	rankHearsay        // in the view, but nothing of its own was ever heard
	rankGuest          // proved, but not in the view
	rankStays
)

// rank returns the rank of a peer. The caller holds the mu of the keyTable.
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

// makeRoom makes room in a full table, and reports whether there is room now. It drops
// up to a sixteenth of the table of the lowest rank, so that the next searches have
// room at once. If none has that rank, a proved newcomer takes the place of the peer
// of the lowest rank that was heard of longest ago; one by hearsay gets none. The
// caller holds mu.
func (k *keyTable) makeRoom(proved bool) bool {
	now := time.Now()
	// A search of the whole table has just failed.
	if !proved && now.Sub(k.full) < fullFor {
		return false
	}
	var least *peer
	lowest, dropped := rankStays, 0
	// In random order, which is fair enough.
	for _, p := range k.peers {
		switch rank := p.rank(now); {
		case rank == rankUnknown:
			if dropped < maxPeers/16 {
				k.drop(p)
				dropped++
			}
		case rank < lowest, rank == lowest && rank < rankStays && p.at.Before(least.at):
			least, lowest = p, rank
		}
	}
	switch {
	case dropped > 0:
	case proved && least != nil:
		k.drop(least)
	default:
		k.full = now
		return false
	}
	return true
}

// setPresent implements Transport.SetPresent.
func (k *keyTable) setPresent(id string, present bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if present {
		k.inView[id] = true
	} else {
		delete(k.inView, id)
	}
	if p := k.peers[id]; p != nil {
		p.present.Store(present)
	}
}

// forget implements Transport.Forget.
func (k *keyTable) forget(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.remove(id)
}

// remove drops the key of a node and that it was in the view. The caller holds mu.
func (k *keyTable) remove(id string) {
	if p := k.peers[id]; p != nil {
		k.drop(p)
	}
	delete(k.inView, id)
}

// sweep implements Transport.Sweep.
func (k *keyTable) sweep(after time.Duration, keep func(id string) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, p := range k.peers {
		if !p.present.Load() && time.Since(p.at) > after && !keep(id) {
			k.drop(p)
		}
	}
}

// evict drops the key of a node for good, and refuses every other one of it. The
// node need not be known.
func (k *keyTable) evict(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.evicted[id] = true
	k.remove(id)
}

// isEvicted reports whether a node was evicted.
func (k *keyTable) isEvicted(id string) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.evicted[id]
}

// peer returns the other side of a pair of keys, nil if the key is not known.
func (k *keyTable) peer(id string) *peer {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.peers[id]
}

// bySender returns the peer whose packets begin with short, nil if it is not known.
func (k *keyTable) bySender(short uint64) *peer {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.shorts[short]
}

// idAt returns the id of a node whose hello gave the address, "" if there is none.
func (k *keyTable) idAt(addr netip.AddrPort) string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for id, p := range k.peers {
		if p.addr == addr {
			return id
		}
	}
	return ""
}

// address returns the address that a node gave in its hello, if it has said one.
func (k *keyTable) address(id string) (netip.AddrPort, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if p := k.peers[id]; p != nil && p.addr.IsValid() {
		return p.addr, true
	}
	return netip.AddrPort{}, false
}

// size returns how many keys there are, and of how many dropped ones the counter is
// kept.
func (k *keyTable) size() (keys, gone int) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.peers), len(k.tombstones.top)
}

// tombstones keep the counter of the last packet that opened of each dropped peer,
// by its short id, which stands for name and key. The oldest go when there are more
// than maxPeers. The lock of the keyTable guards them.
type tombstones struct {
	top   map[uint64]uint64
	order []uint64
}

// bury keeps the counter of a peer that is dropped.
func (s *tombstones) bury(p *peer) {
	p.window.mu.Lock()
	top := p.window.top
	p.window.mu.Unlock()
	// No packet of it has opened: there is none that could be replayed.
	if top == 0 {
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
