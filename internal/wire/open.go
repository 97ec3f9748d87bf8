package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// An Open is the payload of an OPEN frame:
//
//	flags    byte: encoding in the low 4 bits, then name, deadline, metadata, message
//	attempt  byte
//	priority byte, signed
//	number   uvarint, of the procedure on this session, from 1; 0: it has none
//	name     if flagged: length byte, bytes; a number other than 0 stands for this
//	         name for the rest of the session
//	deadline if flagged: uvarint, microseconds left
//	metadata if flagged: uvarint length, then as [AppendMetadata]
//	message  if flagged: the rest is the first message, or its first part; if not
//	         flagged: there is no rest, and the first message comes as DATA
//
// The deadline is relative, so the clocks of the two sides need not agree.
type Open struct {
	// Encoding is that of the messages, at most 15.
	Encoding byte
	// Attempt is 0 for the first attempt of a call.
	Attempt uint8
	// Priority is what the caller chose, for servers that refuse calls under load.
	Priority int8
	// Number is that of the procedure on this session, or 0.
	Number uint32
	// Name is that of the procedure. nil: the peer knows it by the number.
	Name []byte
	// Deadline is how long the caller waits. Units: microseconds. 0: without end.
	Deadline uint64
	// Metadata is encoded, as [AppendMetadata] does.
	Metadata []byte
	// HasMessage says that the first message, or its first part, follows.
	HasMessage bool
	// Message is set by Parse alone, and points into the payload.
	Message []byte
}

// The flags of an OPEN payload. The low 4 bits are the encoding.
const (
	openName     = 1 << 4
	openDeadline = 1 << 5
	openMetadata = 1 << 6
	openMessage  = 1 << 7
)

// MaxProcedures is how many procedures of one session can have numbers. The server
// keeps the name of each. Calls of further procedures carry the name each time.
const MaxProcedures = 256

// Append appends everything but the message. If HasMessage is set, the caller
// appends the message.
func (o *Open) Append(b []byte) []byte {
	flags := o.Encoding & 0x0f
	if o.Name != nil {
		flags |= openName
	}
	if o.Deadline != 0 {
		flags |= openDeadline
	}
	if len(o.Metadata) != 0 {
		flags |= openMetadata
	}
	if o.HasMessage {
		flags |= openMessage
	}
	b = append(b, flags, o.Attempt, byte(o.Priority))
	b = binary.AppendUvarint(b, uint64(o.Number))
	if o.Name != nil {
		b = append(b, byte(len(o.Name)))
		b = append(b, o.Name...)
	}
	if o.Deadline != 0 {
		b = binary.AppendUvarint(b, o.Deadline)
	}
	if len(o.Metadata) != 0 {
		b = binary.AppendUvarint(b, uint64(len(o.Metadata)))
		b = append(b, o.Metadata...)
	}
	return b
}

// errOpenShort is why an OPEN is refused that has less than its flags say.
var errOpenShort = errors.New("OPEN frame ends early")

// Parse reads an OPEN payload into o and checks it against the limits. Name,
// Metadata and Message point into b.
func (o *Open) Parse(b []byte) error {
	if len(b) < 4 {
		return errOpenShort
	}
	flags := b[0]
	*o = Open{Encoding: flags & 0x0f, Attempt: b[1], Priority: int8(b[2])}
	b = b[3:]
	v, b, ok := uvarint(b)
	if !ok {
		return errOpenShort
	}
	if v > MaxProcedures {
		return fmt.Errorf("OPEN frame with procedure number %d: want 0 to %d", v, MaxProcedures)
	}
	if v == 0 && flags&openName == 0 {
		return errors.New("OPEN frame with neither a number nor a name of its procedure")
	}
	o.Number = uint32(v)
	if flags&openName != 0 {
		if len(b) < 1 || len(b) < 1+int(b[0]) || b[0] == 0 {
			return errors.New("OPEN frame with an empty or cut procedure name")
		}
		o.Name, b = b[1:1+int(b[0])], b[1+int(b[0]):]
	}
	if flags&openDeadline != 0 {
		if o.Deadline, b, ok = uvarint(b); !ok {
			return errOpenShort
		}
	}
	if flags&openMetadata != 0 {
		if v, b, ok = uvarint(b); !ok || v > uint64(len(b)) {
			return errOpenShort
		}
		if v > MaxMetadata {
			return fmt.Errorf("OPEN frame with %d bytes of metadata is over the limit of %d", v, MaxMetadata)
		}
		o.Metadata, b = b[:v], b[v:]
	}
	o.HasMessage = flags&openMessage != 0
	if !o.HasMessage && len(b) != 0 {
		return fmt.Errorf("OPEN frame with %d bytes left and no message", len(b))
	}
	if len(b) > MaxChunk {
		return fmt.Errorf("OPEN frame with %d bytes of message is over the limit of %d", len(b), MaxChunk)
	}
	o.Message = b
	return nil
}

// uvarint reads a number and returns what follows. ok is false if b is too short
// or the number has more than 64 bits.
func uvarint(b []byte) (uint64, []byte, bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, b, false
	}
	return v, b[n:], true
}
