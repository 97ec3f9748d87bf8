package wire

import (
	"encoding/binary"
	"errors"
	"unsafe"
)

var errSimple = errors.New("simple value in two bytes where one does")

// Fields drives the decoding of one struct. It guesses that keys come in the
// order in which encoders write them, and searches when they do not.
type Fields struct {
	next int
	seen uint64
	more []uint64 // for fields from the 65th on
}

// What [Fields.Next] returns besides the index of a field.
const (
	Unknown = -1 // a key that is not in keys: the value must be skipped
	Null    = -2 // the value was null and is read: the field stays zero
)

// Next reads a key and returns its index in keys, which are encoded, or
// [Unknown] or [Null]. Null for any field lets it become optional without
// breaking the readers that are out there. A known key that comes twice is an
// error.
func (f *Fields) Next(d *Decoder, keys []string) int {
	i := f.next
	if uint(i) >= uint(len(keys)) || i >= 64 || f.seen>>i != 0 {
		return f.search(d, keys)
	}
	k, b := keys[i], d.buf[d.pos:]
	if len(k) >= len(b) || !sameKey(b[:len(k)], k) {
		return f.search(d, keys)
	}
	f.next = i + 1
	f.seen |= 1 << i
	if b[len(k)]|1 == byteNull|1 {
		d.pos += len(k) + 1
		return Null
	}
	d.pos += len(k)
	return i
}

func (f *Fields) search(d *Decoder, keys []string) int {
	for n := range keys {
		i := f.next + n
		if i >= len(keys) {
			i -= len(keys)
		}
		if !d.key(keys[i]) {
			continue
		}
		f.next = i + 1
		if !f.first(i, len(keys)) {
			d.Fail(ErrDupKey)
			return Unknown
		}
		if d.Nil() {
			return Null
		}
		return i
	}
	if d.Peek() == KindText {
		d.View()
	} else {
		d.Skip() // a field with a number, or what another language puts there
	}
	return Unknown
}

// first reports whether field i of n is seen for the first time.
func (f *Fields) first(i, n int) bool {
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

// key takes k, an encoded key, if it comes next.
func (d *Decoder) key(k string) bool {
	b := d.buf[d.pos:]
	if len(k) > len(b) || !sameKey(b[:len(k)], k) {
		return false
	}
	d.pos += len(k)
	return true
}

// sameKey reports whether b, of the same length, is k. Most keys are short: two
// overlapping words say more quickly what a call of memequal would.
func sameKey(b []byte, k string) bool {
	n, q, e := len(b), unsafe.Slice(unsafe.StringData(k), len(k)), binary.LittleEndian
	switch {
	case n >= 8 && n <= 16:
		return e.Uint64(b) == e.Uint64(q) && e.Uint64(b[n-8:]) == e.Uint64(q[n-8:])
	case n >= 4 && n < 8:
		return e.Uint32(b) == e.Uint32(q) && e.Uint32(b[n-4:]) == e.Uint32(q[n-4:])
	}
	return string(b) == k
}
