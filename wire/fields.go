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
	if uint(i) < uint(len(keys)) && i < 64 && f.seen>>i == 0 && d.key(keys[i]) {
		f.next = i + 1
		f.seen |= 1 << i
		if d.Nil() {
			return Null
		}
		return i
	}
	return f.search(d, keys)
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
	if len(k) > len(b) {
		return false
	}
	// Most keys are short: two overlapping words say more quickly what a call
	// of memequal would.
	switch n := len(k); {
	case n >= 8 && n <= 16:
		if load64(b, 0) != load64s(k, 0) || load64(b, n-8) != load64s(k, n-8) {
			return false
		}
	case n >= 4 && n < 8:
		if load32(b, 0) != load32s(k, 0) || load32(b, n-4) != load32s(k, n-4) {
			return false
		}
	default:
		if string(b[:n]) != k {
			return false
		}
	}
	d.pos += len(k)
	return true
}

func load64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }
func load32(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) }

func load64s(s string, i int) uint64 {
	return load64(unsafe.Slice(unsafe.StringData(s), len(s)), i)
}

func load32s(s string, i int) uint32 {
	return load32(unsafe.Slice(unsafe.StringData(s), len(s)), i)
}
