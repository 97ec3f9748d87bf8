// Package budget counts the memory that peers make an endpoint keep: received
// messages that the program has not read, streams, sessions, and the state of
// extensions. An endpoint has one [Budget] with a limit for all peers together.
// Each identity of a peer has one [Account] in it, with a limit of its own, so
// that one peer cannot use up the memory that the others need.
//
// All methods are safe for concurrent use. [Account.Take] and [Account.Give] are
// a few atomic additions without a lock. A caller that counts often takes a block
// and counts within it, as a session does for messages.
package budget

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// The errors of [Account.Take]. Their texts are sent to the peer, so they name
// no other peer.
var (
	// ErrLimit says that all peers together have taken the whole budget.
	ErrLimit = errors.New("the endpoint's memory budget is used up: see rpcnet.EndpointConfig.MemoryBudget")
	// ErrPeerLimit says that the peer has taken its share.
	ErrPeerLimit = errors.New("the peer's share of the endpoint's memory budget is used up: see rpcnet.EndpointConfig.PeerMemory")
)

// A Budget bounds the bytes that an endpoint keeps for its peers.
type Budget struct {
	limit, share int64 // bytes: for all peers together, and for one
	used         atomic.Int64

	// The kinds that package session counts. [Budget.Kind] makes others.
	Messages   *Kind // received messages that the program has not read
	Unsent     *Kind // bytes that the peer has not read
	Streams    *Kind // running calls and their handlers
	Names      *Kind // names of procedures that a session keeps
	Sessions   *Kind // sessions and their buffers
	Handshakes *Kind // connections before their handshake is done

	mu       sync.Mutex // guards the maps and Account.refs
	kinds    map[string]*Kind
	accounts map[string]*Account // by the peer's identity
}

// A Kind is one use of memory. The kinds have no limits of their own: they only
// show in [Stats] where the memory is.
type Kind struct {
	name string
	used atomic.Int64
}

// An Account is the part of a Budget that one peer has. All sessions of a peer
// share its account. The account exists as long as it is open or has bytes, so
// that a peer cannot escape its limit by connecting again.
type Account struct {
	b    *Budget
	peer string
	refs int // how often it is open
	used atomic.Int64
}

// New returns a budget of limit bytes for all peers, of which one peer gets at
// most share bytes.
func New(limit, share int64) *Budget {
	b := &Budget{limit: limit, share: min(share, limit), kinds: map[string]*Kind{}, accounts: map[string]*Account{}}
	b.Messages, b.Unsent = b.Kind("messages"), b.Kind("unsent")
	b.Streams, b.Names = b.Kind("streams"), b.Kind("procedure names")
	b.Sessions, b.Handshakes = b.Kind("sessions"), b.Kind("handshakes")
	return b
}

// Kind returns the kind called name and makes it at the first call. A kind is
// kept as long as the budget, so a name must not come from a peer.
func (b *Budget) Kind(name string) *Kind {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.kinds[name]
	if k == nil {
		k = &Kind{name: name}
		b.kinds[name] = k
	}
	return k
}

// Open returns the account of a peer and makes it at the first call. The caller
// closes it. Closing gives back no bytes.
func (b *Budget) Open(peer string) *Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.accounts[peer]
	if a == nil {
		a = &Account{b: b, peer: peer}
		b.accounts[peer] = a
	}
	a.refs++
	return a
}

// Close ends one use of the account. Call it once for each Open.
func (a *Account) Close() {
	a.b.mu.Lock()
	a.refs--
	a.b.dropLocked(a)
	a.b.mu.Unlock()
}

// dropLocked removes an account that is neither open nor has bytes. A Give that
// races with it still reaches the budget, because the account has a pointer to
// it. The caller holds mu.
func (b *Budget) dropLocked(a *Account) {
	if a.refs == 0 && a.used.Load() == 0 && b.accounts[a.peer] == a {
		delete(b.accounts, a.peer)
	}
}

// Budget returns the budget that the account is part of.
func (a *Account) Budget() *Budget { return a.b }

// Take takes n bytes. If there is no room it returns [ErrLimit] or
// [ErrPeerLimit] and takes nothing. n must not be negative.
//
// It adds first and looks then, so two calls at once near the limit may both
// fail, and never both succeed above it.
func (a *Account) Take(k *Kind, n int64) error {
	if n > a.b.limit { // the sums below cannot overflow
		return ErrLimit
	}
	if a.b.used.Add(n) > a.b.limit {
		a.b.used.Add(-n)
		return ErrLimit
	}
	if a.used.Add(n) > a.b.share {
		a.used.Add(-n)
		a.b.used.Add(-n)
		return ErrPeerLimit
	}
	k.used.Add(n)
	return nil
}

// Give gives back n bytes that Take has taken for the same kind.
func (a *Account) Give(k *Kind, n int64) {
	k.used.Add(-n)
	a.b.used.Add(-n)
	if a.used.Add(-n) == 0 {
		a.b.mu.Lock()
		a.b.dropLocked(a)
		a.b.mu.Unlock()
	}
}

// Used returns how many bytes the peer has taken.
func (a *Account) Used() int64 { return a.used.Load() }

// Used returns how many bytes all peers have taken together.
func (b *Budget) Used() int64 { return b.used.Load() }

// Stats are the numbers of a budget at one moment, in bytes. They are read one
// after the other, so while peers take and give back the kinds need not add up
// to Used.
type Stats struct {
	Limit, PeerLimit int64            // for all peers together, and for one
	Used             int64            // by all peers
	ByKind           map[string]int64 // by the name of the kind
	Peers            int              // how many have bytes
	Largest          string           // the peer with the most bytes
	LargestUsed      int64            // the bytes of that peer
}

// Stats returns the numbers of this moment. Its cost grows with the number of
// peers.
func (b *Budget) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Stats{Limit: b.limit, PeerLimit: b.share, Used: b.used.Load(), ByKind: make(map[string]int64, len(b.kinds))}
	for name, k := range b.kinds {
		s.ByKind[name] = k.used.Load()
	}
	for peer, a := range b.accounts {
		n := a.used.Load()
		if n == 0 {
			continue
		}
		s.Peers++
		if n > s.LargestUsed || n == s.LargestUsed && peer < s.Largest {
			s.Largest, s.LargestUsed = peer, n
		}
	}
	return s
}

// String returns the peer's identity for log lines, cut at 64 bytes.
func (a *Account) String() string { return fmt.Sprintf("account of %.64q", a.peer) }
