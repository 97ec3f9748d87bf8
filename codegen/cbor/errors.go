package cbor

import (
	"errors"
	"fmt"
)

// What is wrong with a message. Decoders wrap these with the offset and, field
// by field, the path.
var (
	ErrShort    = errors.New("unexpected end of input")
	ErrDepth    = errors.New("nested too deep")
	ErrBudget   = errors.New("the value takes more memory than allowed")
	ErrUTF8     = errors.New("text is not UTF-8")
	ErrDupKey   = errors.New("the same key twice")
	ErrIndef    = errors.New("indefinite length is not accepted")
	ErrTrailing = errors.New("bytes after the message")
	ErrRange    = errors.New("number out of range")
	ErrTooLong  = errors.New("longer than the contract allows")
)

// A PathError says in which field an error is.
type PathError struct {
	Field string
	Err   error
}

// Error returns "field: error".
func (e *PathError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns the error inside.
func (e *PathError) Unwrap() error { return e.Err }

// In adds the name of a field to err, for encoders.
func In(field string, err error) error { return &PathError{field, err} }

// NotUTF8 is what an encoder returns for a string that is not UTF-8.
func NotUTF8(field string) error { return &PathError{field, ErrUTF8} }

// TooLong is what an encoder returns for a value of n bytes or elements where
// the contract allows limit.
func TooLong(field string, n, limit int) error {
	return &PathError{field, fmt.Errorf("%w: %d, at most %d", ErrTooLong, n, limit)}
}

// NotVariant is what an encoder returns for a value that is none of the
// variants it knows of a union: nil, or one added since the code was generated.
func NotVariant(union string, v any) error {
	if v == nil {
		return fmt.Errorf("%s: the union is nil", union)
	}
	return fmt.Errorf("%s: %T is nil or not a known variant: run go generate after adding one", union, v)
}
