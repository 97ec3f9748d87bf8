package rpcnet

import (
	"maps"
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
	// Memory is what the endpoint keeps for its peers, in bytes. What goes on at the
	// moment may make the parts differ from the whole.
	Memory struct {
		// Limit is [EndpointConfig].MemoryBudget, PeerLimit is PeerMemory.
		Limit, PeerLimit int64
		// Used is what is kept of all peers together.
		Used int64
		// ByKind divides Used: "messages" that have come and wait to be taken,
		// "unsent" bytes that wait for a peer to read, "streams", "procedure names",
		// "sessions", "handshakes", and what packages of this module have reserved by
		// their own names.
		ByKind map[string]int64
		// Peers is how many identities something is kept for, Largest the one with
		// the most of it, and LargestUsed how much that is.
		Peers       int
		Largest     string
		LargestUsed int64
	}
}

// Stats returns the endpoint's numbers of this moment. It looks at every
// session: call it for people and for metrics, not for each call.
func (ep *Endpoint) Stats() Stats {
	sessions := ep.callers()
	s := Stats{Sessions: len(sessions), Memory: ep.budget.Stats()}
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
