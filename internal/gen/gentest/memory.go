package gentest

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// Memory says what is wrong with the memory that codec m uses for the encoded message in:
// DecodeNew, and DecodeOver into a message that holds what before decodes to, must
// return what Decode does, and none may keep a part of the input. empty returns a
// pointer to a new message. Neither needs to be a correct encoding.
func Memory(m codegen.Message, empty func() any, in, before []byte) error {
	// decode decodes a copy of b, which it then destroys.
	decode := func(b []byte, f func(*cbor.Decoder)) error {
		b = slices.Clone(b)
		var d cbor.Decoder
		d.Reset(b, cbor.Limits{})
		f(&d)
		err := d.Finish()
		for i := range b {
			b[i] = 0xa5
		}
		return err
	}
	one, two, over := empty(), empty(), empty()
	decode(in, func(d *cbor.Decoder) { m.Decode(d, one) })
	decode(in, func(d *cbor.Decoder) { m.Decode(d, two) })
	exact := reflect.DeepEqual(one, two) // it is not if there is a NaN
	check := func(how string, got any, gotErr error) error {
		want := empty() // a new one: protobuf messages change when they are encoded
		err := decode(in, func(d *cbor.Decoder) { m.Decode(d, want) })
		switch {
		case (gotErr == nil) != (err == nil):
			return fmt.Errorf("%s: %v, Decode: %v\n%x", how, gotErr, err, in)
		case err != nil:
			return nil
		case exact && !reflect.DeepEqual(got, want):
			return fmt.Errorf("%s is not what Decode returns:\n%+v\n%+v\n%x over %x", how, got, want, in, before)
		}
		a, aErr := Encode(m, got)
		b, bErr := Encode(m, want)
		if !bytes.Equal(a, b) || (aErr == nil) != (bErr == nil) {
			return fmt.Errorf("%s is encoded as %x (%v), what Decode returns as %x (%v)", how, a, aErr, b, bErr)
		}
		return nil
	}
	if m.DecodeOver != nil {
		// One decoder keeps what it needs for the next message of a stream.
		var d cbor.Decoder
		for _, b := range [][]byte{before, in, before, in} {
			b = slices.Clone(b)
			d.Reset(b, cbor.Limits{})
			m.DecodeOver(&d, over)
			if overErr := d.Finish(); bytes.Equal(b, in) {
				clear(b)
				if err := check("DecodeOver", over, overErr); err != nil {
					return err
				}
			}
			clear(b)
		}
	}
	if m.DecodeNew == nil { // a union
		return nil
	}
	var made any
	err := decode(in, func(d *cbor.Decoder) { made = m.DecodeNew(d) })
	return check("DecodeNew", made, err)
}

// Encode encodes the message that v points to.
func Encode(m codegen.Message, v any) ([]byte, error) {
	if e := reflect.ValueOf(v).Elem(); e.Kind() == reflect.Interface {
		v = e.Interface()
	}
	return m.Append(nil, v)
}
