package load

import (
	"encoding/binary"
	"errors"
)

// A Ticket is one assignment of a worker to a caller. It travels with the call,
// so that the worker can tell the chooser that the call has arrived. Its tag
// shows that the chooser has made it, for this worker and this caller: see
// [Secret].
type Ticket struct {
	// Chooser is the random id of the process that chose.
	Chooser uint64
	// Number counts a chooser's tickets from 1. 0 marks a call that the chooser
	// makes itself: it needs no claim.
	Number uint64
	// QueueOK says that the chooser believed the worker full, so that it is no
	// surprise if the call has to wait. Only surprises are refused. The tag does
	// not cover it: a caller may as well bring no ticket and wait.
	QueueOK bool
	// Tag is what only the chooser and the worker can make.
	Tag [TagSize]byte
}

// Key identifies a ticket.
type Key struct{ Chooser, Number uint64 }

// Key returns the ticket's identity.
func (t Ticket) Key() Key { return Key{t.Chooser, t.Number} }

// MaxTicketSize is the most bytes [Ticket.Append] adds.
const MaxTicketSize = 1 + 8 + TagSize + binary.MaxVarintLen64

// Append appends the encoding of t: a byte of flags (1: QueueOK), the chooser
// in 8 bytes, the tag, the number as a varint.
func (t Ticket) Append(dst []byte) []byte {
	var flags byte
	if t.QueueOK {
		flags = 1
	}
	dst = binary.BigEndian.AppendUint64(append(dst, flags), t.Chooser)
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
	return Ticket{Chooser: binary.BigEndian.Uint64(b[1:]), Number: n, QueueOK: b[0]&1 != 0, Tag: [TagSize]byte(b[9:])}, nil
}
