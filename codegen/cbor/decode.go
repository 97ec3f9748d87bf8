package cbor

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"unsafe"
)

// A Decoder is a cursor over one message with a sticky error: after the first
// error every read returns a zero value and the cursor stands at the end, so
// that loops end by themselves. The zero value is an empty message. It is not
// safe for concurrent use.
type Decoder struct {
	buf    []byte
	pos    int
	depth  int   // levels left
	budget int64 // bytes left
	err    error
}

// Reset points d at message b, which must not change while d reads. Only
// [Decoder.View], [Decoder.ViewBytes], [Decoder.Raw], [Decoder.Union] and
// [Decoder.Rest] return parts of b.
func (d *Decoder) Reset(b []byte, l Limits) {
	// Field by field: a copy of the whole has the garbage collector look at it.
	d.buf, d.pos, d.depth, d.budget = b, 0, l.depth(), l.budget(len(b))
	if d.err != nil {
		d.err = nil
	}
}

// Err returns the first error.
func (d *Decoder) Err() error { return d.err }

// Finish returns the first error, [ErrTrailing] if input is left.
func (d *Decoder) Finish() error {
	if d.err == nil && d.pos != len(d.buf) {
		d.Fail(fmt.Errorf("%w: %d of %d", ErrTrailing, len(d.buf)-d.pos, len(d.buf)))
	}
	return d.err
}

// Fail records err, if it is the first, with the offset.
func (d *Decoder) Fail(err error) {
	if d.err == nil {
		d.err = fmt.Errorf("%w (offset %d)", err, d.pos)
	}
	d.pos = len(d.buf)
}

// In adds a name to the path of the error, if there is one. A long name is cut.
func (d *Decoder) In(name string) {
	if d.err != nil {
		const long = 64
		d.err = &PathError{strings.ToValidUTF8(strings.Clone(name[:min(len(name), long)]), ""), d.err}
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
	if key.Peek() == KindUint {
		d.In(fmt.Sprintf("#%d", key.Uint64()))
		return
	}
	d.In(key.View())
}

// Charge takes n times size bytes from the budget; false is the error
// [ErrBudget].
func (d *Decoder) Charge(n int, size uintptr) bool {
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

func (d *Decoder) remaining() int { return len(d.buf) - d.pos }

func (d *Decoder) head() (major byte, v uint64, ok bool) {
	if d.pos >= len(d.buf) {
		d.Fail(ErrShort)
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

func (d *Decoder) headSlow(major, c byte) (byte, uint64, bool) {
	p := d.buf[d.pos+1:]
	switch c {
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
		d.Fail(ErrIndef)
		return 0, 0, false
	default:
		d.Fail(fmt.Errorf("reserved additional information %d", c))
		return 0, 0, false
	}
	d.Fail(ErrShort)
	return 0, 0, false
}

// wrong records that the item at offset at is not what was wanted.
func (d *Decoder) wrong(want string, at int) {
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

// Uint64 reads an unsigned integer.
func (d *Decoder) Uint64() uint64 {
	if d.pos < len(d.buf) && d.buf[d.pos] < 24 {
		d.pos++
		return uint64(d.buf[d.pos-1])
	}
	return d.uint64()
}

func (d *Decoder) uint64() uint64 {
	at := d.pos
	major, v, ok := d.head()
	if ok && major != majUint {
		if major == majNint {
			d.Fail(fmt.Errorf("%w: it is negative", ErrRange))
			return 0
		}
		d.wrong("unsigned integer", at)
		return 0
	}
	return v
}

// WordSize is the size in bits of int and uint.
const WordSize = bits.UintSize

// UintN reads an unsigned integer of at most n bits, 8 to 64.
func (d *Decoder) UintN(n int) uint64 {
	if d.pos < len(d.buf) && d.buf[d.pos] < 24 { // n is 8 at least
		d.pos++
		return uint64(d.buf[d.pos-1])
	}
	v := d.uint64()
	if n < 64 && v>>n != 0 {
		d.Fail(fmt.Errorf("%w: %d does not fit into uint%d", ErrRange, v, n))
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

func (d *Decoder) int64() int64 {
	at := d.pos
	major, v, ok := d.head()
	if !ok {
		return 0
	}
	if major > majNint {
		d.wrong("integer", at)
		return 0
	}
	if v > math.MaxInt64 {
		d.Fail(fmt.Errorf("%w: it does not fit into int64", ErrRange))
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
	if s := 64 - n; v<<s>>s != v {
		d.Fail(fmt.Errorf("%w: %d does not fit into int%d", ErrRange, v, n))
		return 0
	}
	return v
}

// Bool reads a boolean.
func (d *Decoder) Bool() bool {
	if d.pos >= len(d.buf) {
		d.Fail(ErrShort)
		return false
	}
	if c := d.buf[d.pos]; c == byteFalse || c == byteTrue {
		d.pos++
		return c == byteTrue
	}
	d.wrong("boolean", d.pos)
	return false
}

// Float64 reads a float of any width, or an integer that it can hold.
func (d *Decoder) Float64() float64 {
	p := d.buf[d.pos:]
	if len(p) == 0 {
		d.Fail(ErrShort)
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
	case c == byteFloat16, c == byteFloat32, c == byteFloat64:
		d.Fail(ErrShort)
		return 0
	case c < majBytes: // other languages write 2.0 as 2
		v := d.Int64()
		const exact = 1 << 53
		if v < -exact || v > exact {
			d.Fail(fmt.Errorf("%w: %d is not exact as a float", ErrRange, v))
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
	if math.IsInf(float64(n), 0) && !math.IsInf(f, 0) {
		d.Fail(fmt.Errorf("%w: %g does not fit into float32", ErrRange, f))
		return 0
	}
	return n
}

// Map enters a map and returns the number of its entries.
func (d *Decoder) Map() int {
	if d.pos < len(d.buf) {
		if n := int(d.buf[d.pos]) - majMap; uint(n) < 24 && n <= (len(d.buf)-d.pos-1)/2 && d.depth > 0 {
			d.pos++
			d.depth--
			return n
		}
	}
	return d.mapHead()
}

func (d *Decoder) mapHead() int {
	at := d.pos
	major, n, ok := d.head()
	if !ok {
		return 0
	}
	if major != majMap {
		d.wrong("map", at)
		return 0
	}
	if n > uint64(d.remaining())/2 {
		d.Fail(ErrShort)
		return 0
	}
	return d.enter(n)
}

// Array enters an array and returns its length.
func (d *Decoder) Array() int {
	at := d.pos
	major, n, ok := d.head()
	if !ok {
		return 0
	}
	if major != majArray {
		d.wrong("array", at)
		return 0
	}
	if n > uint64(d.remaining()) {
		d.Fail(ErrShort)
		return 0
	}
	return d.enter(n)
}

// ArrayOf enters an array of n items.
func (d *Decoder) ArrayOf(n int) {
	if got := d.Array(); got != n && d.err == nil {
		d.Fail(fmt.Errorf("want %d items, got %d", n, got))
	}
}

func (d *Decoder) enter(n uint64) int {
	if d.depth--; d.depth < 0 {
		d.Fail(ErrDepth)
		return 0
	}
	return int(n)
}

// Leave closes what Map, Array, Tag or Union entered.
func (d *Decoder) Leave() { d.depth++ }

// Union enters a union and returns the name of its variant, which is part of
// the message. Leave closes it.
func (d *Decoder) Union() string {
	if n := d.Map(); n != 1 {
		if d.err == nil {
			d.Fail(fmt.Errorf("a union is a map with one entry, got %d", n))
		}
		return ""
	}
	return d.View()
}

// Tag enters a tagged item and returns the tag. Leave closes it.
func (d *Decoder) Tag() uint64 {
	at := d.pos
	major, v, ok := d.head()
	if !ok {
		return 0
	}
	if major != majTag {
		d.wrong("tag", at)
		return 0
	}
	d.enter(1)
	return v
}
