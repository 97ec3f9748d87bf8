package cbor

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"github.com/rpcnet-go/rpcnet/internal/item"
)

// errSimple is the error for a simple value that is not in its shortest form,
// which RFC 8949 does not allow.
var errSimple = errors.New("simple value in two bytes where one does")

// Fields drives the decoding of one struct. It guesses that keys come in the
// order in which encoders write them, and searches when they do not.
//
// It has one bit for each field that has been seen, since a key that comes
// twice is an error: which of the two values counts would differ between
// readers. The zero value is ready for one struct.
type Fields struct {
	next int      // the field that is expected
	seen uint64   // the first 64 fields, one bit each
	more []uint64 // the fields from the 65th on
}

// noField is what [Fields.Next] returns if there is nothing to decode.
const noField = -1

// Next reads a key and returns its index in keys, which are encoded. It returns
// a negative number if there is nothing to decode, since it has read the value
// as well: null leaves the field zero, which lets a field become optional
// without breaking the readers that are out there, and the value of an unknown
// key is skipped. A known key that comes twice is an error.
func (f *Fields) Next(d *Decoder, keys []string) int {
	// This is the path of nearly every field: the key is the expected one, and
	// no field behind it has been seen, so that it cannot have come before.
	i := f.next
	if uint(i) >= uint(len(keys)) || i >= 64 || f.seen>>i != 0 {
		return f.search(d, keys)
	}
	k, b := keys[i], d.buf[d.pos:]
	n := len(k)
	if n >= len(b) { // the value has one byte at least
		return f.search(d, keys)
	}
	// Most keys are short: two overlapping words say more quickly what a call
	// of memequal would.
	var same bool
	p, q := b[:n], unsafe.Slice(unsafe.StringData(k), n)
	switch {
	case n >= 8 && n <= 16:
		same = binary.LittleEndian.Uint64(p) == binary.LittleEndian.Uint64(q) &&
			binary.LittleEndian.Uint64(p[n-8:]) == binary.LittleEndian.Uint64(q[n-8:])
	case n >= 4 && n < 8:
		same = binary.LittleEndian.Uint32(p) == binary.LittleEndian.Uint32(q) &&
			binary.LittleEndian.Uint32(p[n-4:]) == binary.LittleEndian.Uint32(q[n-4:])
	default:
		same = string(p) == k
	}
	if !same {
		return f.search(d, keys)
	}
	f.next = i + 1
	f.seen |= 1 << i
	if b[n]|1 == byteNull|1 {
		d.pos += n + 1
		return noField
	}
	d.pos += n
	return i
}

// search is Next for a key at any place in keys. It begins behind the last one
// that was found: fields that a sender does not know are left out in order.
func (f *Fields) search(d *Decoder, keys []string) int {
	for n := range keys {
		i := f.next + n
		if i >= len(keys) {
			i -= len(keys)
		}
		if !takeKey(d, keys[i]) {
			continue
		}
		f.next = i + 1
		if !f.first(i, len(keys)) {
			d.Fail(errDupKey)
			return noField
		}
		if d.Nil() {
			return noField
		}
		return i
	}
	if d.Peek() == item.Text {
		d.View()
	} else {
		d.Skip() // a field with a number, or what another language puts there
	}
	d.Skip()
	return noField
}

// first marks field i of n as seen. It reports whether it is so for the first
// time.
func (f *Fields) first(i, n int) bool {
	// The fields from the 65th on have their bits in more.
	word := &f.seen
	if i >= 64 {
		if f.more == nil {
			f.more = make([]uint64, (n-1)/64)
		}
		word = &f.more[i/64-1]
	}
	bit := uint64(1) << (i % 64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// takeKey takes k, an encoded key, if it comes next.
//
// Keys are compared as they are encoded. One in a longer form than the shortest
// is another key, and thus unknown.
func takeKey(d *Decoder, k string) bool {
	e := d.pos + len(k)
	if e > len(d.buf) || string(d.buf[d.pos:e]) != k {
		return false
	}
	d.pos = e
	return true
}
