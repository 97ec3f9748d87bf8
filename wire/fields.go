package wire

import "errors"

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
	e := d.pos + len(k)
	if e <= len(d.buf) && string(d.buf[d.pos:e]) == k {
		d.pos = e
		return true
	}
	return false
}
