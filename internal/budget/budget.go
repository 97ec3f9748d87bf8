// Package budget counts the memory that peers make an endpoint keep: messages
// that nobody has taken yet, streams, sessions, what extensions keep for a peer.
// There is one [Budget] for each endpoint, with a limit in all, and in it one
// [Account] for each identity of a peer, with a limit of its own, so that no peer
// uses up what others need.
//
// All of it is safe for concurrent use. Taking and giving back are a few atomic
// additions and take no lock; whoever counts often, as a session does with
// messages, takes blocks and counts within them.
package budget

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// The errors of [Account.Take]. Their texts reach the peer.
var (
	// ErrLimit says that all peers together have the whole budget.
	ErrLimit = errors.New("the endpoint's memory budget is used up: see rpcnet.WithMemoryBudget")
	// ErrPeerLimit says that the peer has its share.
	ErrPeerLimit = errors.New("the peer's share of the endpoint's memory budget is used up: see rpcnet.WithPeerLimits")
)

// A Budget bounds the bytes that an endpoint keeps for its peers.
type Budget struct {
	limit, share int64
	used         atomic.Int64

	// What the package session counts; [Budget.Kind] makes others.
	Messages   *Kind // received and not taken
	Unsent     *Kind // bytes that the peer is to read
	Streams    *Kind // calls that run, and their handlers
	Names      *Kind // of procedures, for each session
	Sessions   *Kind // and their buffers
	Handshakes *Kind // connections that are no session yet

	mu       sync.Mutex // of the maps and of Account.refs
	kinds    map[string]*Kind
	accounts map[string]*Account
}

// A Kind is one use of memory. Kinds are told apart in the numbers only.
type Kind struct {
	name string
	used atomic.Int64
}

// An Account is the part of a Budget that one peer has. It is found by the
// peer's identity as long as somebody has it open or bytes are taken.
type Account struct {
	b    *Budget
	peer string
	refs int
	used atomic.Int64
}

// New returns a budget of limit bytes, of which one peer gets share at most.
func New(limit, share int64) *Budget {
	b := &Budget{limit: limit, share: min(share, limit), kinds: map[string]*Kind{}, accounts: map[string]*Account{}}
	b.Messages, b.Unsent = b.Kind("messages"), b.Kind("unsent")
	b.Streams, b.Names = b.Kind("streams"), b.Kind("procedure names")
	b.Sessions, b.Handshakes = b.Kind("sessions"), b.Kind("handshakes")
	return b
}

// Kind returns the kind called name. Names come from the program, never from a
// peer: a kind is kept for as long as the budget.
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

// Open returns the account of a peer. The caller closes it; what was taken
// stays taken.
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

// Close ends one use of the account. It is called once for each Open.
func (a *Account) Close() {
	a.b.mu.Lock()
	a.refs--
	a.b.dropLocked(a)
	a.b.mu.Unlock()
}

// dropLocked forgets an account that nobody uses. What is given back later
// finds the budget by the account itself.
func (b *Budget) dropLocked(a *Account) {
	if a.refs == 0 && a.used.Load() == 0 && b.accounts[a.peer] == a {
		delete(b.accounts, a.peer)
	}
}

// Budget returns the budget that the account is part of.
func (a *Account) Budget() *Budget { return a.b }

// Take takes n bytes, or returns [ErrLimit] or [ErrPeerLimit] and takes
// nothing. n must not be negative.
func (a *Account) Take(k *Kind, n int64) error {
	if n > a.b.limit { // also keeps the sums from running over
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

// Give gives back n bytes of what Take has taken.
func (a *Account) Give(k *Kind, n int64) {
	k.used.Add(-n)
	a.b.used.Add(-n)
	if a.used.Add(-n) == 0 {
		a.b.mu.Lock()
		a.b.dropLocked(a)
		a.b.mu.Unlock()
	}
}

// Used returns the bytes that the peer has.
func (a *Account) Used() int64 { return a.used.Load() }

// Used returns the bytes that all peers have.
func (b *Budget) Used() int64 { return b.used.Load() }

// Stats are the numbers of a budget at one moment, in bytes. While bytes are
// taken and given back the parts need not add up to the whole.
type Stats struct {
	Limit, PeerLimit int64            // in all, and for one peer
	Used             int64            // in all
	ByKind           map[string]int64 // by the name of the kind
	Peers            int              // that have something
	Largest          string           // the peer that has most
	LargestUsed      int64            // and how much
}

// Stats returns the numbers of this moment.
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

// String says what the account is for.
func (a *Account) String() string { return fmt.Sprintf("account of %.64q", a.peer) }
