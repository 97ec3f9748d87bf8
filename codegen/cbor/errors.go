package cbor

import (
	"errors"
	"fmt"
)

// The errors that a program tells apart, since an option or the contract sets
// the limit. Decoders wrap them with the offset and, field by field, the path.
var (
	ErrDepth   = errors.New("nested too deep")
	ErrBudget  = errors.New("the value takes more memory than allowed")
	ErrTooLong = errors.New("longer than the contract allows")
)

// What else is wrong with a message.
var (
	errShort    = errors.New("unexpected end of input")
	errUTF8     = errors.New("text is not UTF-8")
	errDupKey   = errors.New("the same key twice")
	errIndef    = errors.New("indefinite length is not accepted")
	errTrailing = errors.New("bytes after the message")
	errRange    = errors.New("number out of range")
)

// A pathError says in which field an error is.
type pathError struct {
	field string
	err   error
}

// Error returns "field: error".
func (e *pathError) Error() string { return e.field + ": " + e.err.Error() }

// Unwrap returns the error inside.
func (e *pathError) Unwrap() error { return e.err }

// Generated functions that encode return what the following methods return. They
// are not inlined, which would make the frame of each such function larger.

// Fail returns b and err with the name of the field that it is in.
//
//go:noinline
func (b Buffer) Fail(field string, err error) (Buffer, error) { return b, &pathError{field, err} }

// FailUTF8 returns b and the error for text that is not UTF-8.
//
//go:noinline
func (b Buffer) FailUTF8(field string) (Buffer, error) { return b.Fail(field, errUTF8) }

// FailLength returns b and the error for n bytes or elements where the contract
// allows limit.
//
//go:noinline
func (b Buffer) FailLength(field string, n, limit int) (Buffer, error) {
	return b.Fail(field, fmt.Errorf("%w: %d, at most %d", ErrTooLong, n, limit))
}

// FailVariant returns b and the error for a value that is none of the variants
// that are known of a union: nil, or one added since the code was generated.
//
//go:noinline
func (b Buffer) FailVariant(union string, v any) (Buffer, error) {
	if v == nil {
		return b.Fail(union, errors.New("the union is nil"))
	}
	return b.Fail(union, fmt.Errorf("%T is nil or not a known variant: run go generate after adding one", v))
}
