package schema

import (
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/item"
)

// finish applies the options of a field to its value, which is b[at:].
//
// The value has been written as if there were none. It is changed afterwards,
// which is simpler than to carry the options through every kind of value.
func (e *entry) finish(b cbor.Buffer, at int, p *path) (cbor.Buffer, error) {
	if e.max > 0 {
		// The limit of the contract, in bytes or elements, as generated
		// encoders apply it.
		if n := length(b[at:]); n > e.max {
			return b, p.errorf("longer than the contract allows: %d, at most %d", n, e.max)
		}
	}
	if !e.packed {
		return b, nil
	}
	// The descriptor has been checked: the list is one of numbers.
	elem := e.node.elem
	switch {
	// The type of the elements decides on the tag of the array, and on the
	// size of each.
	case elem.kind == kindFloat && elem.bits == 32:
		return pack(b, at, func(d *cbor.Decoder) float32 { return d.Float32() })
	case elem.kind == kindFloat:
		return pack(b, at, func(d *cbor.Decoder) float64 { return d.Float64() })
	case elem.kind == kindInt && elem.bits == 8:
		return pack(b, at, func(d *cbor.Decoder) int8 { return int8(d.Int64()) })
	case elem.kind == kindInt && elem.bits == 16:
		return pack(b, at, func(d *cbor.Decoder) int16 { return int16(d.Int64()) })
	case elem.kind == kindInt && elem.bits == 32:
		return pack(b, at, func(d *cbor.Decoder) int32 { return int32(d.Int64()) })
	case elem.kind == kindInt, elem.kind == kindDuration:
		return pack(b, at, func(d *cbor.Decoder) int64 { return d.Int64() })
	case elem.bits == 16:
		return pack(b, at, func(d *cbor.Decoder) uint16 { return uint16(d.Uint64()) })
	case elem.bits == 32:
		return pack(b, at, func(d *cbor.Decoder) uint32 { return uint32(d.Uint64()) })
	}
	return pack(b, at, func(d *cbor.Decoder) uint64 { return d.Uint64() })
}

// pack turns the array b[at:], which this package wrote, into a typed array.
//
// The elements have been checked against their type when they were read, so
// that a conversion to T loses nothing.
func pack[T cbor.Number](b cbor.Buffer, at int, read func(*cbor.Decoder) T) (cbor.Buffer, error) {
	var d cbor.Decoder
	// What is read was written a moment ago, within the limits of the JSON:
	// it needs none of its own.
	d.Reset(b[at:], cbor.Limits{Budget: -1})
	vs := make([]T, d.Array())
	for i := range vs {
		vs[i] = read(&d)
	}
	return cbor.AppendNumbers(b[:at], vs), d.Err()
}

// length returns the length of a string, an array or a map.
//
// It is the number that max= in a tag limits: bytes of a string, elements of a
// list, entries of a map. Of anything else it is 0.
func length(encoded []byte) int {
	var d cbor.Decoder
	d.Reset(encoded, cbor.Limits{Budget: -1})
	switch d.Peek() {
	case item.Text:
		return len(d.View())
	case item.Bytes:
		return len(d.Bytes())
	case item.Array:
		return d.Array()
	case item.Map:
		return d.Map()
	}
	return 0
}
