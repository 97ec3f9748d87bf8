package cbor

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/rpcnet-go/rpcnet/internal/item"
	"github.com/rpcnet-go/rpcnet/internal/reuse"
)

// Number is an element of a typed array (RFC 8746).
type Number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// The tags of RFC 8746, section 2.1, by kind of number and little endian; the
// size is added as its binary logarithm.
const (
	tagUint  = 64 + 1<<2        // 0b010_0_1_00
	tagInt   = 64 + 1<<3        // 0b010_01_0_00 for int8
	tagFloat = 64 + 1<<4 + 1<<2 // 0b010_1_0_1_00, float16 first
)

// arrayTag returns the tag of a little-endian typed array of T.
//
// It is found by arithmetic, since T can be a named type: of the kinds of
// numbers only floats have halves, and only unsigned ones are large when 1 is
// taken from 0.
func arrayTag[T Number]() byte {
	var zero T
	log := byte(0)
	for s := unsafe.Sizeof(zero); s > 1; s >>= 1 {
		log++
	}
	one, two := T(1), T(2)
	switch {
	case one/two != 0:
		return tagFloat + log - 1
	case zero-one > zero:
		return tagUint + log
	case log == 0:
		return tagInt // one byte has no order
	}
	return tagInt + 1<<2 + log
}

// AppendNumbers appends v as a typed array.
func AppendNumbers[T Number](b Buffer, v []T) Buffer {
	size := int(unsafe.Sizeof(*new(T)))
	b = append(b, majTag|24, arrayTag[T]())
	b = appendHead(b, majBytes, uint64(len(v)*size))
	if littleEndian {
		return append(b, rawNumbers(v)...)
	}
	start := len(b)
	b = append(b, rawNumbers(v)...)
	swap(b[start:], size)
	return b
}

// Numbers reads a typed array of T into a new slice; ok is false, and nothing
// read, if something else comes. An array of another type is an error.
//
// One copy is all it takes on a machine with the order of the message, which
// nearly all have.
func Numbers[T Number](d *Decoder) (v []T, ok bool) {
	// A list that is not packed: the caller reads it.
	if d.Peek() != item.Tag {
		return nil, false
	}
	size := int(unsafe.Sizeof(*new(T)))
	if tag, want := d.Tag(), uint64(arrayTag[T]()); tag != want {
		d.Fail(fmt.Errorf("want a typed array with tag %d, got tag %d", want, tag))
		return nil, true
	}
	p := d.span(majBytes)
	d.Leave()
	// Half an element at the end is an error, and not dropped.
	if len(p)%size != 0 {
		d.Fail(fmt.Errorf("typed array of %d bytes does not hold elements of %d", len(p), size))
		return nil, true
	}
	// Elements take as much as their bytes. An empty array is nil, as a
	// list is.
	if len(p) == 0 || !d.Charge(len(p), 1) {
		return nil, true
	}
	n := len(p) / size
	if d.over {
		v = reuse.Slice[T](d.parts, n)
	}
	if v == nil {
		v = make([]T, n)
	}
	v = v[:n]
	copy(rawNumbers(v), p)
	if !littleEndian {
		swap(rawNumbers(v), size)
	}
	return v, true
}

// rawNumbers returns the memory of v.
//
// The result shares the memory of v, so that a copy into it sets the numbers.
func rawNumbers[T Number](v []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(*new(T))))
}

// littleEndian is the order of this machine.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// swap reverses the bytes of each element.
//
// It is for machines with the most significant byte first.
func swap(b []byte, size int) {
	for ; len(b) >= size; b = b[size:] {
		for i := range size / 2 {
			b[i], b[size-1-i] = b[size-1-i], b[i]
		}
	}
}
