package cbor

import (
	"encoding"
	"errors"
)

// AppendTextAppender appends the text form of v.
//
// It is for types with AppendText, which writes into the message without an
// allocation.
func (b Buffer) AppendTextAppender(v encoding.TextAppender) (Buffer, error) {
	// The length of the text is known when it is there: one byte of head is
	// reserved, which is enough for text of fewer than 24 bytes.
	start := len(b)
	b = append(b, 0)
	out, err := v.AppendText(b)
	if err != nil {
		return b, err
	}
	return wrap(out, start, majText)
}

// AppendTextMarshaler appends the text form of v.
//
// It is for types that have MarshalText alone. The text is copied.
func (b Buffer) AppendTextMarshaler(v encoding.TextMarshaler) (Buffer, error) {
	p, err := v.MarshalText()
	if err != nil {
		return b, err
	}
	b, ok := b.AppendText(string(p))
	if !ok {
		return b, errUTF8
	}
	return b, nil
}

// AppendBinaryAppender appends the binary form of v as a byte string.
//
// It is for types with AppendBinary.
func (b Buffer) AppendBinaryAppender(v encoding.BinaryAppender) (Buffer, error) {
	start := len(b)
	b = append(b, 0)
	out, err := v.AppendBinary(b)
	if err != nil {
		return b, err
	}
	return wrap(out, start, majBytes)
}

// AppendBinaryMarshaler appends the binary form of v as a byte string.
//
// It is for types that have MarshalBinary alone.
func (b Buffer) AppendBinaryMarshaler(v encoding.BinaryMarshaler) (Buffer, error) {
	p, err := v.MarshalBinary()
	if err != nil {
		return b, err
	}
	return b.AppendBytes(p), nil
}

// wrap puts the head of a string in front of what follows b[start], a byte
// kept free for it.
func wrap(b []byte, start int, major byte) ([]byte, error) {
	// The method is the user's: it must have appended.
	n := len(b) - start - 1
	if n < 0 {
		return b, errors.New("an append method returned less than it was given")
	}
	if major == majText && !validText(view(b[start+1:])) {
		return b, errUTF8
	}
	if n < 24 {
		b[start] = major | byte(n)
		return b, nil
	}
	// A longer head moves the text behind it.
	var space [9]byte
	head := appendHead(space[:0], major, uint64(n))
	b = append(b, head[1:]...)
	copy(b[start+len(head):], b[start+1:start+1+n])
	copy(b[start:], head)
	return b, nil
}
