package cbor

import "github.com/rpcnet-go/rpcnet/internal/item"

// Peek returns the kind of the next item without reading it.
func (d *Decoder) Peek() item.Kind {
	if d.pos >= len(d.buf) {
		return item.None
	}
	// The first seven major types are kinds, in the same order. The last
	// has booleans, null, floats and other values.
	switch c := d.buf[d.pos]; {
	case c < majSimple:
		return item.Uint + item.Kind(c>>5)
	case c == byteFalse || c == byteTrue:
		return item.Bool
	case c|1 == byteNull|1:
		return item.Nil
	case c >= byteFloat16 && c <= byteFloat64:
		return item.Float
	}
	return item.Other
}

// Skip passes over one item of any kind. It does not recurse: a message of a
// peer chooses how deep items nest, and must not choose how deep the stack is.
func (d *Decoder) Skip() {
	// The stack of what is open is on the stack of the function for
	// messages of the default depth.
	var space [defaultDepth]int
	open := space[:0] // items left in each array, map and tag that is open
	left := 1
	for d.err == nil {
		// The item that was open is complete.
		for left == 0 {
			if len(open) == 0 {
				return
			}
			left = open[len(open)-1]
			open = open[:len(open)-1]
		}
		left--
		at := d.pos
		// Of simple values and floats, n is all there is.
		major, n, ok := d.head()
		if !ok {
			return
		}
		switch major {
		// Text is checked also where it is not used: a proxy must not
		// pass on what its receiver refuses.
		case majBytes, majText:
			if n > uint64(d.remaining()) {
				d.Fail(errShort)
				return
			}
			if p := d.buf[d.pos : d.pos+int(n)]; major == majText && !validText(view(p)) {
				d.Fail(errUTF8)
				return
			}
			d.pos += int(n)
		case majArray, majMap, majTag:
			// Each item has one byte at least, each entry of a map
			// two.
			most := uint64(d.remaining())
			if major == majTag {
				n = 1
			}
			if major == majMap {
				most /= 2
			}
			if n > most {
				d.Fail(errShort)
				return
			}
			if major == majMap {
				n *= 2
			}
			if len(open) >= d.depth {
				d.Fail(ErrDepth)
				return
			}
			// The items of this one come first, then those that are
			// left of the one around it.
			open = append(open, left)
			left = int(n)
		case majSimple:
			// RFC 8949, section 3.3: values below 32 have one byte.
			if d.buf[at] == majSimple|24 && n < 32 {
				d.Fail(errSimple)
			}
		}
	}
}

// Rest takes everything that is left, which is part of the message.
//
// It is for messages of another encoding, which a decoder carries to their own.
func (d *Decoder) Rest() []byte {
	p := d.buf[d.pos:]
	d.pos = len(d.buf)
	return p
}

// Raw is an item in its CBOR encoding: as the type of a field it passes
// through unread, as a message it makes a proxy. The zero value is null.
type Raw []byte

// Raw reads one item without decoding it. The result is part of the message.
//
// The item is checked as a whole, so that it can be sent on as it is.
func (d *Decoder) Raw() Raw {
	at := d.pos
	d.Skip()
	if d.err != nil {
		return nil
	}
	return Raw(d.buf[at:d.pos:d.pos])
}

// RawCopy is [Decoder.Raw] with a result that the caller owns.
func (d *Decoder) RawCopy() Raw {
	p := d.Raw()
	if len(p) == 0 || !d.chargeBytes(len(p)) {
		return nil
	}
	return d.own(p)
}

// AppendRaw appends r, which must be exactly one well-formed item.
func (b Buffer) AppendRaw(r Raw) (Buffer, error) {
	// The zero value of a field is null, as that of any other optional
	// field.
	if len(r) == 0 {
		return b.AppendNil(), nil
	}
	// What a program puts into a Raw is checked: else the message could
	// have no end, or two.
	var d Decoder
	d.Reset(r, Limits{Depth: MaxDepth})
	d.Skip()
	return append(b, r...), d.Finish()
}

// AppendRawMessage is [Buffer.AppendRaw] for a whole message.
func (b Buffer) AppendRawMessage(r *Raw) (Buffer, error) { return b.AppendRaw(*r) }

// DecodeRawMessage reads a whole message as it is.
func (d *Decoder) DecodeRawMessage(r *Raw) { *r = d.RawCopy() }
