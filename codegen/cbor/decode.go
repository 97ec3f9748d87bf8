package cbor

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"
	"unsafe"

	"github.com/rpcnet-go/rpcnet/internal/item"
	"github.com/rpcnet-go/rpcnet/internal/reuse"
)

// A Decoder is a cursor over one message with a sticky error: after the first
// error every read returns a zero value and the cursor stands at the end, so
// that loops end by themselves. The zero value is an empty message. It is not
// safe for concurrent use.
//
// Most methods have two parts: a short one for what nearly all messages have,
// which the compiler puts into generated code, and a full one behind it.
type Decoder struct {
	buf    []byte
	pos    int
	depth  int   // levels left
	budget int64 // bytes left
	err    error

	// Where the memory of what is decoded comes from, if not from the heap.

	// room is memory for strings from roomAt on, see UseRoom.
	room   []byte
	roomAt int
	// parts are those of a value that is zero but while a message is decoded over, which
	// over says, see UseParts.
	parts *reuse.Parts
	over  bool
}

// Reset points d at message b, which must not change while d reads. Only
// [Decoder.View], [Decoder.ViewBytes], [Decoder.Raw], [Decoder.Union] and
// [Decoder.Rest] return parts of b.
//
// A decoder is made once and used for many messages: it takes no memory itself.
func (d *Decoder) Reset(b []byte, l Limits) {
	// Field by field: a copy of the whole has the garbage collector look at it.
	d.buf, d.pos, d.depth, d.budget = b, 0, l.DepthLimit(), l.BudgetFor(len(b))
	d.roomAt, d.over = 0, false
	// To write a pointer costs more than to look at it.
	if d.err != nil {
		d.err = nil
	}
	if d.room != nil {
		d.room = nil
	}
}

// UseRoom gives d memory for the strings and byte strings of this message, until they
// fill it or Reset is called. It belongs to the message: d writes to each byte once.
func (d *Decoder) UseRoom(room []byte) { d.room, d.roomAt = room, 0 }

// UseParts gives d the memory of a message that is decoded over, until Reset. What of it
// the message that is read does not need is left to the caller.
func (d *Decoder) UseParts(p *reuse.Parts) {
	p.Rewind()
	d.over = true
	if d.parts != p {
		d.parts = p
	}
}

// LastParts returns what UseParts was given last, so that it can serve for the next
// message; nil before the first time.
func (d *Decoder) LastParts() *reuse.Parts { return d.parts }

// Len returns how many bytes of the message have not been read.
func (d *Decoder) Len() int { return d.remaining() }

// Err returns the first error.
func (d *Decoder) Err() error { return d.err }

// Finish returns the first error. Input that is left is an error as well.
func (d *Decoder) Finish() error {
	if d.err == nil && d.pos != len(d.buf) {
		d.Fail(fmt.Errorf("%w: %d of %d", errTrailing, len(d.buf)-d.pos, len(d.buf)))
	}
	return d.err
}

// Fail records err with the offset if it is the first error. The cursor goes to
// the end, where every read fails and every loop ends.
func (d *Decoder) Fail(err error) {
	if d.err == nil {
		d.err = fmt.Errorf("%w (offset %d)", err, d.pos)
	}
	d.pos = len(d.buf)
}

// In adds a name to the path of the error, if there is one. A long name is cut.
func (d *Decoder) In(name string) {
	if d.err != nil {
		// The name can be one of the message, and of any length.
		const long = 64
		d.err = &pathError{strings.ToValidUTF8(strings.Clone(name[:min(len(name), long)]), ""), d.err}
	}
}

// InField adds the name of field k of keys, which are encoded, to the path of
// the error. Nothing is added for a field that is unknown.
func (d *Decoder) InField(keys []string, k int) {
	if k < 0 || d.err == nil {
		return
	}
	var key Decoder
	key.Reset([]byte(keys[k]), Limits{})
	if key.Peek() == item.Uint {
		d.In(fmt.Sprintf("#%d", key.Uint64()))
		return
	}
	d.In(key.View())
}

// Charge takes n times size bytes from the budget; false is the error
// [ErrBudget].
func (d *Decoder) Charge(n int, size uintptr) bool {
	// n is a length of the message, and size that of a type: their product
	// may have more than 64 bits.
	hi, lo := bits.Mul64(uint64(n), uint64(size))
	if hi != 0 || lo > uint64(d.budget) {
		d.Fail(ErrBudget)
		return false
	}
	d.budget -= int64(lo)
	return true
}

// Left returns how many bytes of the budget are left.
func (d *Decoder) Left() int64 { return d.budget }

// ChargeFor takes the memory of *v from the budget.
func ChargeFor[T any](d *Decoder, v *T) { d.Charge(1, unsafe.Sizeof(*v)) }

// remaining returns how many bytes are left. No item is shorter than one, which
// bounds every length that a message declares.
func (d *Decoder) remaining() int { return len(d.buf) - d.pos }

// head reads the head of an item: its major type, in place, and its argument.
func (d *Decoder) head() (major byte, v uint64, ok bool) {
	if d.pos >= len(d.buf) {
		d.Fail(errShort)
		return 0, 0, false
	}
	c := d.buf[d.pos]
	major, c = c&0xe0, c&0x1f
	if c < 24 {
		d.pos++
		return major, uint64(c), true
	}
	return d.headSlow(major, c)
}

// headSlow is head for an argument of more than the first byte; c is what that
// has of it. A head that is longer than it needs to be is accepted.
func (d *Decoder) headSlow(major, c byte) (byte, uint64, bool) {
	p := d.buf[d.pos+1:]
	switch c {
	// The argument is in the next 1, 2, 4 or 8 bytes, with the most
	// significant first.
	case 24:
		if len(p) >= 1 {
			d.pos += 2
			return major, uint64(p[0]), true
		}
	case 25:
		if len(p) >= 2 {
			d.pos += 3
			return major, uint64(binary.BigEndian.Uint16(p)), true
		}
	case 26:
		if len(p) >= 4 {
			d.pos += 5
			return major, uint64(binary.BigEndian.Uint32(p)), true
		}
	case 27:
		if len(p) >= 8 {
			d.pos += 9
			return major, binary.BigEndian.Uint64(p), true
		}
	case 31:
		d.Fail(errIndef)
		return 0, 0, false
	default:
		d.Fail(fmt.Errorf("reserved additional information %d", c))
		return 0, 0, false
	}
	d.Fail(errShort)
	return 0, 0, false
}

// wrong records that the item at offset at is not what was wanted.
func (d *Decoder) wrong(want string, at int) {
	// The offset in the error is that of the item.
	d.pos = at
	d.Fail(fmt.Errorf("want %s, got %s", want, d.Peek()))
}

// Nil takes a null, or undefined, and reports whether there was one.
func (d *Decoder) Nil() bool {
	if d.pos < len(d.buf) && d.buf[d.pos]|1 == byteNull|1 {
		d.pos++
		return true
	}
	return false
}
