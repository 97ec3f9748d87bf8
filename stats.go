package rpcnet

import (
	"errors"
	"maps"
	"sync"
	"time"
)

// Stats are numbers of an endpoint at one moment, from [Endpoint.Stats].
type Stats struct {
	// Sessions is how many callers are connected.
	Sessions int
	// Streams is how many calls of theirs run here.
	Streams int
	// Handshakes is how many connections have come and are no session yet.
	Handshakes int
	// Refused is how many connections became no session since the start, by
	// reason: "accept" (the system gave none), "handshakes" (given up for
	// another, too many had not finished their handshake), "handshake" (it
	// failed), "authorization" (by a rule of the program or of roles), "settings"
	// (it said nothing useful after its handshake), "limit" (of memory, of
	// sessions, of descriptors).
	Refused map[string]uint64
	// CertificateNotAfter is when the endpoint's own certificate expires, the
	// one in use now.
	CertificateNotAfter time.Time
	// CertificateRefused is why what its files hold now is not in use, "" if it is.
	// What waits there takes effect when the reason is gone; if it is still there
	// when the certificate expires, peers refuse the endpoint.
	CertificateRefused string
	// Memory is what the endpoint keeps for its peers.
	Memory MemoryStats
}

// MemoryStats are what an endpoint keeps for its peers, in bytes. What goes on
// at the moment may make the parts differ from the whole.
type MemoryStats struct {
	// Limit is [EndpointConfig].MemoryBudget, PeerLimit is PeerMemory.
	Limit, PeerLimit int64
	// Used is what is kept of all peers together.
	Used int64
	// ByKind divides Used: "messages" that have come and nobody has taken,
	// "unsent" bytes that wait for a peer to read,
	// "streams", "procedure names", "sessions", "handshakes", and what
	// extensions have reserved by their own names ([Endpoint.Reserve]).
	ByKind map[string]int64
	// Peers is how many identities something is kept for, Largest the one with
	// the most of it, and LargestUsed how much that is.
	Peers       int
	Largest     string
	LargestUsed int64
}

// Stats returns the endpoint's numbers of this moment. It looks at every
// session: call it for people and for metrics, not for each call.
func (ep *Endpoint) Stats() Stats {
	sessions := ep.callers()
	s := Stats{Sessions: len(sessions), Memory: MemoryStats(ep.budget.Stats())}
	for _, c := range sessions {
		s.Streams += c.InFlight()
	}
	s.CertificateNotAfter, s.CertificateRefused = ep.source.Chain()[0].NotAfter, ep.source.Refused()
	s.Handshakes = ep.arrivals.count()
	ep.mu.Lock()
	s.Refused = maps.Clone(ep.refusals)
	ep.mu.Unlock()
	return s
}

// Reserve counts bytes that an extension keeps for a peer in the endpoint's
// memory budget, under the name what, which the program chooses and a peer does
// not. It fails with CodeResourceExhausted when the peer has its share or the
// budget is used up. Call release when the memory is free again; a second call
// does nothing.
func (ep *Endpoint) Reserve(peer Peer, what string, bytes int64) (release func(), err error) {
	if bytes < 0 {
		return nil, errors.New("rpcnet: Reserve of a negative number of bytes")
	}
	kind := ep.budget.Kind(what)
	a := ep.budget.Open(peer.key())
	defer a.Close()
	if err := a.Take(kind, bytes); err != nil {
		return nil, NewError(CodeResourceExhausted, err.Error()).WithUnprocessed()
	}
	return sync.OnceFunc(func() { a.Give(kind, bytes) }), nil
}
