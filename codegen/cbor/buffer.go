package cbor

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
	"unicode/utf8"
	"unsafe"
)

// A Buffer is a message that is being encoded. Each method appends one item, or
// the head of one, and returns the longer buffer, as the function append does.
// []byte and Buffer are assignable to one another.
//
// It is not safe for concurrent use.
type Buffer []byte

// The major types of RFC 8949, section 3.1, in place in the first byte.
const (
	majUint   = 0 << 5
	majNint   = 1 << 5
	majBytes  = 2 << 5
	majText   = 3 << 5
	majArray  = 4 << 5
	majMap    = 5 << 5
	majTag    = 6 << 5
	majSimple = 7 << 5
)

// First bytes with a meaning of their own.
const (
	byteFalse   = majSimple | 20
	byteTrue    = majSimple | 21
	byteNull    = majSimple | 22
	byteFloat16 = majSimple | 25
	byteFloat32 = majSimple | 26
	byteFloat64 = majSimple | 27
)

// appendHead appends the shortest head with major type and argument v (RFC 8949,
// section 3).
//
// The argument of a head is in its first byte if it is below 24, else in the 1,
// 2, 4 or 8 bytes behind it, of which deterministic encoding wants the fewest.
func appendHead(b []byte, major byte, v uint64) []byte {
	switch {
	case v < 24:
		return append(b, major|byte(v))
	case v <= math.MaxUint8:
		return append(b, major|24, byte(v))
	case v <= math.MaxUint16:
		return append(b, major|25, byte(v>>8), byte(v))
	case v <= math.MaxUint32:
		return append(b, major|26, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	return append(b, major|27, byte(v>>56), byte(v>>48), byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// AppendUint appends an unsigned integer.
func (b Buffer) AppendUint(v uint64) Buffer {
	if v < 24 {
		return append(b, byte(v))
	}
	return appendHead(b, majUint, v)
}

// AppendInt appends an integer.
// A negative number n is sent as -1-n, which is ^n.
func (b Buffer) AppendInt(v int64) Buffer {
	if v < 0 {
		return appendHead(b, majNint, uint64(^v))
	}
	return appendHead(b, majUint, uint64(v))
}

// appendTextHead is appendHead for text, with a short way for the lengths that
// names and words have.
func appendTextHead(b []byte, n int) []byte {
	switch {
	case n < 24:
		return append(b, majText|byte(n))
	case n < 256:
		return append(b, majText|24, byte(n))
	}
	return appendHead(b, majText, uint64(n))
}

// AppendString appends text that is known to be UTF-8.
func (b Buffer) AppendString(s string) Buffer {
	return append(appendTextHead(b, len(s)), s...)
}

// AppendText appends s as text; ok reports whether it is UTF-8, without which
// the result must not be sent.
//
// It appends s before it looks at it, since nearly all text is UTF-8.
func (b Buffer) AppendText(s string) (_ Buffer, ok bool) {
	return append(appendTextHead(b, len(s)), s...), validText(s)
}

// validText is utf8.ValidString with a short way for ASCII.
func validText(s string) bool { return isASCII(s) || utf8.ValidString(s) }

// isASCII reports whether s has no byte of 0x80 or more. It looks at eight bytes
// at a time; the last eight may overlap with those before.
func isASCII(s string) bool {
	const high = 0x8080808080808080
	p := unsafe.Slice(unsafe.StringData(s), len(s))
	// The words may begin anywhere: there is no need to reach an address
	// that is a multiple of eight.
	if len(p) >= 8 {
		or := binary.LittleEndian.Uint64(p[len(p)-8:])
		for ; len(p) > 8; p = p[8:] {
			or |= binary.LittleEndian.Uint64(p)
		}
		return or&high == 0
	}
	var or byte
	for _, c := range p {
		or |= c
	}
	return or < utf8.RuneSelf
}

// AppendBytes appends a byte string.
func (b Buffer) AppendBytes(p []byte) Buffer {
	return append(appendHead(b, majBytes, uint64(len(p))), p...)
}

// AppendBytesHead appends the head of a byte string of n bytes, which must
// follow.
func (b Buffer) AppendBytesHead(n int) Buffer { return appendHead(b, majBytes, uint64(n)) }

// AppendArray appends the head of an array of n items, which must follow.
func (b Buffer) AppendArray(n int) Buffer { return appendHead(b, majArray, uint64(n)) }

// AppendMap appends the head of a map of n entries, which must follow.
func (b Buffer) AppendMap(n int) Buffer { return appendHead(b, majMap, uint64(n)) }

// AppendTag appends a tag for the item that must follow.
func (b Buffer) AppendTag(tag uint64) Buffer { return appendHead(b, majTag, tag) }

// AppendNil appends null.
func (b Buffer) AppendNil() Buffer { return append(b, byteNull) }

// AppendBool appends a boolean.
func (b Buffer) AppendBool(v bool) Buffer {
	if v {
		return append(b, byteTrue)
	}
	return append(b, byteFalse)
}

// AppendFloat64 appends a float in the shortest form that keeps its value; any
// NaN becomes 0xf97e00.
//
// What makes it shorter are zeros at the end of the mantissa, which a test of
// some bits finds before anything is converted.
func (b Buffer) AppendFloat64(f float64) Buffer {
	// A NaN is the only value that is not equal to itself.
	v := math.Float64bits(f)
	// A float32 has 29 bits of mantissa less.
	if v&(1<<29-1) == 0 || f != f {
		if n := float32(f); float64(n) == f || f != f {
			return b.AppendFloat32(n)
		}
	}
	return append(b, byteFloat64, byte(v>>56), byte(v>>48), byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// AppendFloat32 appends a float as [Buffer.AppendFloat64] does.
func (b Buffer) AppendFloat32(f float32) Buffer {
	v := math.Float32bits(f)
	// A float16 has 13 bits of mantissa less.
	if v&(1<<13-1) == 0 || f != f {
		if h, ok := toHalf(f); ok {
			return append(b, byteFloat16, byte(h>>8), byte(h))
		}
	}
	return append(b, byteFloat32, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// toHalf returns f as an IEEE 754 binary16 if that keeps its value.
//
// A binary16 has one bit of sign, 5 of exponent, with a bias of 15, and 10 of
// mantissa.
func toHalf(f float32) (_ uint16, ok bool) {
	v := math.Float32bits(f)
	sign := uint16(v>>16) & 0x8000
	exp, mant := int(v>>23&0xff)-127, v&(1<<23-1)
	switch {
	case f != f:
		return 0x7e00, true
	case exp == 128: // infinity
		return sign | 0x7c00, true
	case v<<1 == 0:
		return sign, true
	// Too large, too small, or with a mantissa that has more than 10 bits.
	case exp > 15 || exp < -24 || mant&(1<<13-1) != 0:
		return 0, false
	// A normal number: the exponent has another bias, and the mantissa
	// fewer bits.
	case exp >= -14:
		return sign | uint16(exp+15)<<10 | uint16(mant>>13), true
	}
	// Subnormal: mantissa with its leading one, in units of 2^-24.
	shift := uint(-exp - 1)
	mant |= 1 << 23
	if mant&(1<<shift-1) != 0 {
		return 0, false
	}
	return sign | uint16(mant>>shift), true
}

// fromHalf returns the value of an IEEE 754 binary16.
func fromHalf(h uint16) float32 {
	sign, exp, mant := uint32(h&0x8000)<<16, uint32(h>>10&31), uint32(h&1023)
	// A normal number, of exponents 1 to 30: unsigned arithmetic makes 0 a
	// large number.
	if exp-1 < 30 {
		return math.Float32frombits(sign | (exp+112)<<23 | mant<<13)
	}
	// Infinity or NaN.
	if exp == 31 {
		return math.Float32frombits(sign | 0xff<<23 | mant<<13)
	}
	return math.Float32frombits(math.Float32bits(float32(mant)/(1<<24)) | sign)
}

// errYear is what encoding a time returns that RFC 3339 cannot hold.
var errYear = errors.New("a time needs a year from 0 to 9999")

// AppendTime appends RFC 3339 text with tag 0: exact to the nanosecond, with
// the offset of the zone. The monotonic reading is dropped; an offset that is
// not whole minutes below a day becomes UTC.
func (b Buffer) AppendTime(t time.Time) (Buffer, error) {
	// RFC 3339 has offsets of whole minutes below a day.
	if _, off := t.Zone(); off%60 != 0 || off <= -24*3600 || off >= 24*3600 {
		t = t.UTC()
	}
	if y := t.Year(); y < 0 || y > 9999 {
		return b, errYear
	}
	b = append(b, majTag, 0, 0) // tag 0, and a head of one or two bytes
	start := len(b)
	b = t.AppendFormat(b, time.RFC3339Nano)
	// The text has 20 to 35 bytes: room for two bytes of a head was left,
	// of which one can be too many.
	n := len(b) - start
	if n < 24 {
		b[start-2] = majText | byte(n)
		return append(b[:start-1], b[start:]...), nil
	}
	b[start-2], b[start-1] = majText|24, byte(n)
	return b, nil
}
