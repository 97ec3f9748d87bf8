package gossip

import (
	"net/netip"
	"sync/atomic"
)

// sendQueue is how many sealed packets wait to be written at most.
const sendQueue = 1024

// A sender writes sealed packets to the socket from a goroutine of its own, which runs
// while there are packets: memberlist probes from one goroutine, which must never wait
// for a socket. Its methods are safe for concurrent use.
//
// Invariant: if the queue is not empty and the set of connections is open, writing is
// set, and the goroutine runs or is about to. Many idle nodes in one process so have
// no goroutine each.
type sender struct {
	endpoint Endpoint
	observer Observer
	conns    *connSet // runs the goroutine

	queue   chan outPacket
	writing atomic.Bool // the goroutine runs, or is about to
}

// An outPacket is a sealed packet that waits.
type outPacket struct {
	b    []byte
	to   netip.AddrPort
	kind byte // for the Observer
}

// send queues a packet, or drops and counts it if the queue is full.
func (s *sender) send(p outPacket) {
	select {
	case s.queue <- p:
	default:
		s.observer.Refused(SendOverrun)
		return
	}
	if s.writing.CompareAndSwap(false, true) {
		s.conns.run(s.writeOut)
	}
}

// writeOut writes the queue out and returns when it is empty.
func (s *sender) writeOut() {
	for {
		select {
		case <-s.conns.done:
			return
		case p := <-s.queue:
			if _, err := s.endpoint.WritePacket(p.b, p.to); err != nil {
				s.observer.Refused(SendFailed)
			} else {
				s.observer.Packet("out", kindName(p.kind), len(p.b))
			}
		default:
			// A packet that was queued while writing was set relies on this
			// goroutine: it looks once more after it has cleared writing.
			s.writing.Store(false)
			if len(s.queue) == 0 || !s.writing.CompareAndSwap(false, true) {
				return
			}
		}
	}
}
