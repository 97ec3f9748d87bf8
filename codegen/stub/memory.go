package stub

import "github.com/rpcnet-go/rpcnet/codegen/cbor"

// mostRoom is the largest message, in bytes as it is encoded, that has its strings in the
// same piece of memory as the struct. It bounds what a string keeps alive that a program
// keeps of a message.
const mostRoom = 144

// decodeNew returns the DecodeNew of a struct T with decoder dec.
//
// A small message is one allocation: the struct, and room behind it for its strings and
// byte strings. Nothing of one message keeps another alive.
func decodeNew[T any](footprint *cbor.Footprint, dec func(*cbor.Decoder, *T)) func(*cbor.Decoder) any {
	return func(d *cbor.Decoder) any {
		n := d.Len()
		if n > mostRoom || !footprint.HasText() {
			v := new(T)
			dec(d, v)
			return v
		}
		v, room := newInRoom[T](n)
		d.UseRoom(room)
		dec(d, v)
		return v
	}
}

// newInRoom returns a new T and room for the strings of a message that is encoded in n
// bytes, at most mostRoom. A message has some bytes that are not of its strings. Strings
// that do not fit have memory of their own.
func newInRoom[T any](n int) (*T, []byte) {
	switch {
	case n <= 48:
		b := new(struct {
			v    T
			room [32]byte
		})
		return &b.v, b.room[:]
	case n <= 80:
		b := new(struct {
			v    T
			room [64]byte
		})
		return &b.v, b.room[:]
	}
	b := new(struct {
		v    T
		room [mostRoom - 16]byte
	})
	return &b.v, b.room[:]
}

// decodeOver returns the DecodeOver of a struct T with decoder dec.
//
// What the message holds is moved away first, so that dec finds a zero one, as always,
// and the decoder takes the memory that it needs out of what was moved. Where that goes,
// and its parts, serve for all messages of a decoder.
func decodeOver[T any](footprint *cbor.Footprint, dec func(*cbor.Decoder, *T)) func(*cbor.Decoder, any) {
	return func(d *cbor.Decoder, msg any) {
		v, ok := msg.(*T)
		if !ok || v == nil {
			failInto(d, msg, v)
			return
		}
		var old *T
		parts := d.LastParts()
		if parts != nil {
			old, _ = parts.Value.(*T)
		}
		if old == nil {
			old = new(T)
			parts = footprint.Parts(old)
		}
		var zero T
		*old, *v = *v, zero
		d.UseParts(parts)
		dec(d, v)
		*old = zero
	}
}
