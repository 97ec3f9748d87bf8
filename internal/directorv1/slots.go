package directorv1

import "errors"

// Bounds of a lease.
const (
	// MaxSlots is how many slots a lease has at most. So many of [MaxSlotSize] fit into
	// LeaseResponse.Slots, and their numbers into Spent.Numbers.
	MaxSlots = 512
	// MaxLeased is how many workers a lease has at most.
	MaxLeased = 64
	// MaxSlotSize is the most bytes that AppendSlot adds for a ticket of load.MaxTicketSize.
	MaxSlotSize = 37
)

// AppendSlot appends the encoding of a slot, which is the place of one call: the index of
// its worker in LeaseResponse.Workers, the length of its ticket, each in one byte, and the
// ticket. The index is below [MaxLeased], and the ticket has at most 255 bytes.
func AppendSlot(dst []byte, worker int, ticket []byte) []byte {
	return append(append(dst, byte(worker), byte(len(ticket))), ticket...)
}

var errSlots = errors.New("directorv1: malformed slots of a lease")

// ParseSlots decodes the slots of r and calls take with each, in their order. The ticket is a
// part of r.Slots. The error says that the slots do not hold together, with one another
// or with the workers; take has then perhaps been called.
func ParseSlots(r *LeaseResponse, take func(worker int, ticket []byte)) error {
	n := 0
	for b := r.Slots; len(b) > 0; n++ {
		if len(b) < 2 || int(b[0]) >= len(r.Workers) || len(b)-2 < int(b[1]) || n >= MaxSlots {
			return errSlots
		}
		end := 2 + int(b[1])
		take(int(b[0]), b[2:end:end])
		b = b[end:]
	}
	return nil
}
