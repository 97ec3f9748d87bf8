package schema

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/rpcnet-go/rpcnet/internal/item"
)

// This file writes what has no parts.

// scalar writes a value of a kind without parts.
func (w *writer) scalar(n *node) {
	d := &w.d
	switch n.kind {
	case kindBool:
		w.b = strconv.AppendBool(w.b, d.Bool())
	// An integer that does not fit the type is an error, as for generated
	// decoders.
	case kindInt:
		w.int(n, d.IntN(n.bits))
	case kindUint:
		w.uint(n, d.UintN(n.bits))
	case kindFloat:
		w.float(d.Float64(), n.bits)
	// The decoder has checked that it is UTF-8.
	case kindString:
		w.text(d.View())
	// Bytes and the binary form of a type.
	case kindBytes:
		w.base64(d.Bytes())
	// The length is part of the type.
	case kindFixedBytes:
		p := d.Bytes()
		if len(p) != n.length && d.Err() == nil {
			d.Fail(errLength(n.length, len(p)))
		}
		w.base64(p)
	case kindTime:
		w.time(d.Time())
	// Go's form of a duration, which time.ParseDuration reads.
	case kindDuration:
		w.text(time.Duration(d.Int64()).String())
	}
}

// int writes a signed integer of the type n.
func (w *writer) int(n *node, v int64) {
	var space [20]byte
	w.number(n, strconv.AppendInt(space[:0], v, 10))
}

// uint writes an unsigned integer of the type n.
func (w *writer) uint(n *node, v uint64) {
	var space [20]byte
	w.number(n, strconv.AppendUint(space[:0], v, 10))
}

// number writes an integer: by the name of its constant, if n is an enum that
// has one for it, so that a constant of a newer peer is a number.
//
// digits is the number in decimal, which is also what names are looked up by:
// one map does for signed and unsigned integers.
func (w *writer) number(n *node, digits []byte) {
	if name, ok := n.byText[string(digits)]; ok {
		w.text(name)
		return
	}
	// Numbers of JavaScript are exact up to 2^53 only.
	quote := n.bits == 64 && w.int64String
	if quote {
		w.byte('"')
	}
	w.b = append(w.b, digits...)
	if quote {
		w.byte('"')
	}
}

// float writes a float in the shortest form that its size keeps apart.
func (w *writer) float(f float64, bits int) {
	switch {
	// JSON has no such numbers. Protobuf has the same names for them in its
	// JSON.
	case math.IsNaN(f):
		w.string(`"NaN"`)
	case math.IsInf(f, 1):
		w.string(`"Infinity"`)
	case math.IsInf(f, -1):
		w.string(`"-Infinity"`)
	default:
		w.b = strconv.AppendFloat(w.b, f, 'g', -1, bits)
	}
}

// time writes a time as encoding/json does, in the zone that it was sent with.
func (w *writer) time(t time.Time) {
	w.byte('"')
	w.b = t.AppendFormat(w.b, time.RFC3339Nano)
	w.byte('"')
}

// base64 writes bytes in standard base64.
func (w *writer) base64(p []byte) {
	w.byte('"')
	w.b = base64.StdEncoding.AppendEncode(w.b, p)
	w.byte('"')
}

// key writes the key of a map, of type n, as text. n is nil if the type is
// unknown.
//
// JSON has text only, so that an integer is written with quotes around it.
func (w *writer) key(n *node) {
	var space [20]byte
	var digits []byte
	switch d := &w.d; d.Peek() {
	case item.Text:
		w.text(d.View())
		return
	// CBOR has two kinds of integers: this one and the negative ones.
	case item.Uint:
		digits = strconv.AppendUint(space[:0], d.Uint64(), 10)
	case item.Nint:
		digits = strconv.AppendInt(space[:0], d.Int64(), 10)
	default:
		if d.Err() == nil {
			d.Fail(errKey)
		}
		return
	}
	// The key of an enumeration has a name as a value has.
	if n != nil {
		if name, ok := n.byText[string(digits)]; ok {
			w.text(name)
			return
		}
	}
	w.byte('"')
	w.b = append(w.b, digits...)
	w.byte('"')
}

// hex are the digits of an escape.
const hex = "0123456789abcdef"

// text writes a JSON string. s is UTF-8.
//
// Other letters than ASCII stand for themselves, as JSON allows it; < and & do
// too, since this is no HTML.
func (w *writer) text(s string) {
	w.byte('"')
	start := 0
	// Everything but quotes, backslashes and control characters stands for
	// itself.
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf || c >= utf8.RuneSelf {
			continue
		}
		w.string(s[start:i])
		// What lies between two escapes is written at once.
		start = i + 1
		switch c {
		case '"', '\\':
			w.b = append(w.b, '\\', c)
		case '\n':
			w.string(`\n`)
		case '\t':
			w.string(`\t`)
		case '\r':
			w.string(`\r`)
		default:
			w.b = append(w.b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	w.string(s[start:])
	w.byte('"')
}
