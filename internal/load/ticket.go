package load

import (
	"encoding/binary"
	"errors"
)

// A Ticket is one assignment of a worker to a caller. It travels with the call,
// so that the worker can tell the balancer that the call has arrived. Its tag
// shows that the balancer has made it, for this worker and this caller: see
// [Secret].
type Ticket struct {
	// Balancer is the random id of the process that chose.
	Balancer uint64
	// Number counts a balancer's tickets from 1. 0 marks a call that the balancer
	// makes itself: it needs no claim.
	Number uint64
	// WaitInQueue says that the balancer believed the worker full, so that the call
	// expects to wait. The worker refuses only calls to which it is unexpectedly full.
	// The tag does not cover it: a caller may as well bring no ticket and wait.
	WaitInQueue bool
	// Tag is what only the balancer and the worker can make.
	Tag [TagSize]byte
}

// TicketID identifies a ticket.
type TicketID struct{ Balancer, Number uint64 }

// ID returns the identity of the ticket.
func (t Ticket) ID() TicketID { return TicketID{t.Balancer, t.Number} }

// MaxTicketSize is the most bytes [Ticket.Append] adds.
const MaxTicketSize = 1 + 8 + TagSize + binary.MaxVarintLen64

// Append appends the encoding of t: a byte of flags (1: WaitInQueue), the balancer
// in 8 bytes, the tag, the number as a varint.
func (t Ticket) Append(dst []byte) []byte {
	var flags byte
	if t.WaitInQueue {
		flags = 1
	}
	dst = binary.BigEndian.AppendUint64(append(dst, flags), t.Balancer)
	return binary.AppendUvarint(append(dst, t.Tag[:]...), t.Number)
}

var errTicket = errors.New("load: malformed ticket")

// ParseTicket decodes what [Ticket.Append] wrote, at most [MaxTicketSize] bytes.
// Unknown flags are ignored.
func ParseTicket(b []byte) (Ticket, error) {
	const fixed = 1 + 8 + TagSize
	if len(b) <= fixed || len(b) > MaxTicketSize {
		return Ticket{}, errTicket
	}
	n, size := binary.Uvarint(b[fixed:])
	if size != len(b)-fixed {
		return Ticket{}, errTicket
	}
	return Ticket{Balancer: binary.BigEndian.Uint64(b[1:]), Number: n, WaitInQueue: b[0]&1 != 0, Tag: [TagSize]byte(b[9:])}, nil
}
