package cbor

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

// This file reads numbers and booleans.

// Uint64 reads an unsigned integer. Numbers below 24 are in their first byte:
// the compiler puts that case into the caller.
//
// A negative integer is an error that says so, since it is of the right kind
// and does not fit.
func (d *Decoder) Uint64() uint64 {
	if d.pos < len(d.buf) && d.buf[d.pos] < 24 {
		d.pos++
		return uint64(d.buf[d.pos-1])
	}
	return d.uint64()
}

// uint64 is Uint64 for a number of more than one byte, and for every error.
func (d *Decoder) uint64() uint64 {
	at := d.pos
	major, v, ok := d.head()
	// A negative number is of the right kind, and does not fit; anything
	// else is of the wrong kind.
	if ok && major != majUint {
		if major == majNint {
			d.Fail(fmt.Errorf("%w: it is negative", errRange))
			return 0
		}
		d.wrong("unsigned integer", at)
		return 0
	}
	return v
}

// UintN reads an unsigned integer of at most n bits, 8 to 64.
//
// The error names the type that the number does not fit into.
func (d *Decoder) UintN(n int) uint64 {
	if d.pos < len(d.buf) && d.buf[d.pos] < 24 { // n is 8 at least
		d.pos++
		return uint64(d.buf[d.pos-1])
	}
	v := d.uint64()
	// There are bits above the n that fit.
	if n < 64 && v>>n != 0 {
		d.Fail(fmt.Errorf("%w: %d does not fit into uint%d", errRange, v, n))
		return 0
	}
	return v
}

// Int64 reads an integer.
func (d *Decoder) Int64() int64 {
	if d.pos < len(d.buf) && d.buf[d.pos] < 24 {
		d.pos++
		return int64(d.buf[d.pos-1])
	}
	return d.int64()
}

// int64 is Int64 for a number of more than one byte, and for every error.
func (d *Decoder) int64() int64 {
	at := d.pos
	major, v, ok := d.head()
	if !ok {
		return 0
	}
	// The first two major types are the integers.
	if major > majNint {
		d.wrong("integer", at)
		return 0
	}
	if v > math.MaxInt64 {
		d.Fail(fmt.Errorf("%w: it does not fit into int64", errRange))
		return 0
	}
	if major == majNint {
		return ^int64(v)
	}
	return int64(v)
}

// IntN reads an integer of at most n bits, 8 to 64, sign included.
func (d *Decoder) IntN(n int) int64 {
	if d.pos < len(d.buf) && d.buf[d.pos] < 24 {
		d.pos++
		return int64(d.buf[d.pos-1])
	}
	v := d.int64()
	// Shifting to the left and back extends the sign of the n lowest bits.
	if s := 64 - n; v<<s>>s != v {
		d.Fail(fmt.Errorf("%w: %d does not fit into int%d", errRange, v, n))
		return 0
	}
	return v
}

// Int reads an integer that fits into int, which has 32 or 64 bits.
func (d *Decoder) Int() int {
	if d.pos < len(d.buf) && d.buf[d.pos] < 24 {
		d.pos++
		return int(d.buf[d.pos-1])
	}
	return int(d.IntN(bits.UintSize))
}

// Uint reads an unsigned integer that fits into uint, which has 32 or 64 bits.
func (d *Decoder) Uint() uint {
	if d.pos < len(d.buf) && d.buf[d.pos] < 24 {
		d.pos++
		return uint(d.buf[d.pos-1])
	}
	return uint(d.UintN(bits.UintSize))
}

// Bool reads a boolean.
func (d *Decoder) Bool() bool {
	if d.pos >= len(d.buf) {
		d.Fail(errShort)
		return false
	}
	// 0 and 1 are integers, and not booleans.
	if c := d.buf[d.pos]; c == byteFalse || c == byteTrue {
		d.pos++
		return c == byteTrue
	}
	d.wrong("boolean", d.pos)
	return false
}

// Float64 reads a float of any width, or an integer that it can hold.
//
// Deterministic encoding has the shortest form that keeps a value: a float64
// comes as a float16 if that is exact. Other languages send integers for
// floats, which are taken if they are exact, up to 2^53 on either side of 0.
func (d *Decoder) Float64() float64 {
	p := d.buf[d.pos:]
	if len(p) == 0 {
		d.Fail(errShort)
		return 0
	}
	switch c := p[0]; {
	case c == byteFloat64 && len(p) >= 9:
		d.pos += 9
		return math.Float64frombits(binary.BigEndian.Uint64(p[1:]))
	case c == byteFloat32 && len(p) >= 5:
		d.pos += 5
		return float64(math.Float32frombits(binary.BigEndian.Uint32(p[1:])))
	case c == byteFloat16 && len(p) >= 3:
		d.pos += 3
		return float64(fromHalf(binary.BigEndian.Uint16(p[1:])))
	// A float, but not all of it is there.
	case c == byteFloat16, c == byteFloat32, c == byteFloat64:
		d.Fail(errShort)
		return 0
	case c < majBytes: // other languages write 2.0 as 2
		v := d.Int64()
		// A float64 has all integers up to here.
		const exact = 1 << 53
		if v < -exact || v > exact {
			d.Fail(fmt.Errorf("%w: %d is not exact as a float", errRange, v))
			return 0
		}
		return float64(v)
	}
	d.wrong("float", d.pos)
	return 0
}

// Float32 reads a float as [Decoder.Float64] does and rounds it; one that is
// too large is an error.
func (d *Decoder) Float32() float32 {
	// The two widths that need no rounding.
	if p := d.buf[d.pos:]; len(p) >= 3 {
		switch {
		case p[0] == byteFloat32 && len(p) >= 5:
			d.pos += 5
			return math.Float32frombits(binary.BigEndian.Uint32(p[1:]))
		case p[0] == byteFloat16:
			d.pos += 3
			return fromHalf(binary.BigEndian.Uint16(p[1:]))
		}
	}
	f := d.Float64()
	n := float32(f)
	// An infinity that was sent is one, and not a number that is too large.
	if math.IsInf(float64(n), 0) && !math.IsInf(f, 0) {
		d.Fail(fmt.Errorf("%w: %g does not fit into float32", errRange, f))
		return 0
	}
	return n
}
