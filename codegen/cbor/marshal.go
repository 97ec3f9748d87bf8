package cbor

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"time"
)

// AppendTextAppender appends the text form of v.
func AppendTextAppender(b []byte, v encoding.TextAppender) ([]byte, error) {
	start := len(b)
	b = append(b, 0)
	out, err := v.AppendText(b)
	if err != nil {
		return b, err
	}
	return wrap(out, start, majText)
}

// AppendTextMarshaler appends the text form of v.
func AppendTextMarshaler(b []byte, v encoding.TextMarshaler) ([]byte, error) {
	p, err := v.MarshalText()
	if err != nil {
		return b, err
	}
	b, ok := AppendText(b, string(p))
	if !ok {
		return b, ErrUTF8
	}
	return b, nil
}

// AppendBinaryAppender appends the binary form of v as a byte string.
func AppendBinaryAppender(b []byte, v encoding.BinaryAppender) ([]byte, error) {
	start := len(b)
	b = append(b, 0)
	out, err := v.AppendBinary(b)
	if err != nil {
		return b, err
	}
	return wrap(out, start, majBytes)
}

// AppendBinaryMarshaler appends the binary form of v as a byte string.
func AppendBinaryMarshaler(b []byte, v encoding.BinaryMarshaler) ([]byte, error) {
	p, err := v.MarshalBinary()
	if err != nil {
		return b, err
	}
	return AppendBytes(b, p), nil
}

// wrap puts the head of a string in front of what follows b[start], a byte
// kept free for it.
func wrap(b []byte, start int, major byte) ([]byte, error) {
	n := len(b) - start - 1
	if n < 0 {
		return b, errors.New("an append method returned less than it was given")
	}
	if major == majText && !validText(view(b[start+1:])) {
		return b, ErrUTF8
	}
	if n < 24 {
		b[start] = major | byte(n)
		return b, nil
	}
	var space [9]byte
	head := appendHead(space[:0], major, uint64(n))
	b = append(b, head[1:]...)
	copy(b[start+len(head):], b[start+1:start+1+n])
	copy(b[start:], head)
	return b, nil
}

// UnmarshalText reads text into v. A panic of v's method is an error of the
// message.
func UnmarshalText(d *Decoder, v encoding.TextUnmarshaler) {
	p := d.span(majText)
	if d.err == nil && !validText(view(p)) {
		d.Fail(ErrUTF8)
	}
	unmarshal(d, p, v.UnmarshalText)
}

// UnmarshalBinary reads a byte string into v. A panic of v's method is an
// error of the message.
func UnmarshalBinary(d *Decoder, v encoding.BinaryUnmarshaler) {
	unmarshal(d, d.span(majBytes), v.UnmarshalBinary)
}

func unmarshal(d *Decoder, p []byte, f func([]byte) error) {
	if d.err != nil || !d.Charge(len(p), 1) {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			d.Fail(fmt.Errorf("panic: %v", r))
		}
	}()
	if err := f(p); err != nil {
		d.Fail(err)
	}
}

// Time reads RFC 3339 text with tag 0, or without, or seconds since 1970 with
// tag 1 (RFC 8949, sections 3.4.1 and 3.4.2).
func (d *Decoder) Time() time.Time {
	tag := uint64(0)
	if d.Peek() == KindTag {
		tag = d.Tag()
		defer d.Leave()
	}
	switch tag {
	case 0:
		s := d.View()
		if d.err != nil {
			return time.Time{}
		}
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			d.Fail(fmt.Errorf("want a time as RFC 3339 writes it, got %.40q", s))
			return time.Time{}
		}
		return t
	case 1:
		if d.Peek() != KindFloat {
			return time.Unix(d.Int64(), 0).UTC()
		}
		f := d.Float64()
		sec, frac := math.Modf(f)
		if !(math.Abs(sec) < 1<<53) {
			d.Fail(ErrRange)
			return time.Time{}
		}
		return time.Unix(int64(sec), int64(frac*1e9)).UTC()
	}
	d.Fail(fmt.Errorf("want a time with tag 0 or 1, got tag %d", tag))
	return time.Time{}
}
