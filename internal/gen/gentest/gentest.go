// Package gentest checks that what a generated encoder makes, a generated
// decoder takes under the same limits. The tests of package gen use it for their
// contracts, and for random ones in a program of their own.
package gentest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// A recorder notes the specs of the calls that are made with it.
//
// It is a transport over which nothing is sent.
type recorder struct{ specs []*rpcnet.Spec }

// NewStream notes the spec. It fails, so that nothing is sent.
func (r *recorder) NewStream(_ context.Context, spec *rpcnet.Spec) (rpcnet.ClientStream, error) {
	r.specs = append(r.specs, spec)
	return nil, errors.New("gentest: no calls are made")
}

// Close does nothing.
func (r *recorder) Close() error { return nil }

// Specs returns the specs of the calls that f makes.
//
// Generated code keeps its specs to itself; a call shows them.
func Specs(f func(rpcnet.Transport)) []*rpcnet.Spec {
	var r recorder
	f(&r)
	return r.specs
}

// A Filler sets values to something random: often nothing at all, now and then
// a long list of next to nothing, which costs the most for its bytes, or a deep
// chain.
type Filler struct {
	*rand.Rand
	Variants map[reflect.Type][]reflect.Value // of unions
	room     int                              // parts that may still be made
}

// Fill sets v.
//
// How large the value gets is random as well.
func (r *Filler) Fill(v reflect.Value) {
	r.room = 1 << r.IntN(13)
	r.fill(v)
}

// special sets v if its type has a form of its own, to a value that has one.
func (r *Filler) special(v reflect.Value) bool {
	switch v.Type() {
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(r.Int64N(4e9), r.Int64N(1e9)*r.Int64N(2)).UTC()))
	case reflect.TypeFor[cbor.Raw]():
		// A chain of arrays of one element, around a null: as deep as it
		// is long.
		raw := make(cbor.Raw, 0, 80)
		for range r.IntN(80) * r.IntN(2) {
			raw = append(raw, 0x81)
		}
		v.Set(reflect.ValueOf(append(raw, 0xf6)))
	case reflect.TypeFor[netip.Addr]():
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(256))})))
	case reflect.TypeFor[url.URL]():
		v.Set(reflect.ValueOf(url.URL{Scheme: "https", Host: "example.com"}))
	default:
		return false
	}
	return true
}

// fill sets v as far as there is room.
func (r *Filler) fill(v reflect.Value) {
	if r.special(v) {
		return
	}
	// n is the size of everything: a length, a number, or whether there is
	// anything at all.
	// Small as a rule, and now and then all the room that is left.
	n := r.IntN(4)
	if r.IntN(20) == 0 {
		n = r.room
	}
	// Each part takes some of the room, so that recursive types come to an
	// end.
	if n = max(0, min(n, r.room)); n > 0 {
		r.room--
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(n == 1)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(n) * (r.Int64N(3) - 1))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(n % 256))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(n) / 8)
	// Text of one letter: what it says does not matter for its cost.
	case reflect.String:
		v.SetString(strings.Repeat("x", n%100))
	// Nil for a size of 0.
	case reflect.Pointer:
		if n > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			r.fill(v.Elem())
		}
	// A slice takes room for each element, also for those that stay empty.
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		r.room -= n
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			if i < 8 || r.IntN(100) == 0 { // the rest is empty
				r.fill(v.Index(i))
			}
		}
	// Keys of text are short, so that some come twice.
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range n {
			k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			if k.Kind() == reflect.String {
				k.SetString(fmt.Sprint(r.IntN(1000)))
			} else {
				r.fill(k)
			}
			r.fill(e)
			v.SetMapIndex(k, e)
		}
	// Some fields stay zero.
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() && r.IntN(3) > 0 {
				r.fill(v.Field(i))
			}
		}
	case reflect.Interface:
		r.variant(v)
	}
}

// variant sets v to a variant; one that is not known here stays nil.
func (r *Filler) variant(v reflect.Value) {
	// Unions of other packages can have variants that the test does not
	// list.
	all := r.Variants[v.Type()]
	if len(all) == 0 || r.room <= 0 {
		return
	}
	x := reflect.New(all[r.IntN(len(all))].Type()).Elem()
	if x.Kind() == reflect.Pointer {
		x.Set(reflect.New(x.Type().Elem()))
		r.fill(x.Elem())
	} else {
		r.fill(x)
	}
	v.Set(x)
}

// limits are those that values are tried with: the defaults, and some that
// values of a few bytes come near.
var limits = []cbor.Limits{
	{}, {Budget: 100}, {Budget: 1000}, {Budget: 10_000}, {Budget: 100_000}, {Depth: 3}, {Depth: 10}, {Depth: 20, Budget: 5000},
}

// A Tally counts what Fits has seen.
//
// A test looks at it at the end: one that saw no message over a limit would
// show nothing.
type Tally struct{ Values, Taken, TooDeep, TooDear int }

// Fits says what is wrong with codec m of messages such as v, a pointer, for
// the value of v: it says of an encoding that it fits the limits and the decoder
// does not take it, or it says that it does not and the decoder would.
//
// Both directions matter. A sender that lets a message pass which its receiver
// refuses loses a call without saying why, and one that refuses what its
// receiver would take makes a limit smaller than it is.
func (t *Tally) Fits(m codegen.Message, v any) error {
	msg := v
	// A union is sent as its variant, and received into a pointer to the
	// interface.
	if e := reflect.ValueOf(v).Elem(); e.Kind() == reflect.Interface {
		msg = e.Interface()
	}
	b, err := m.Append(nil, msg)
	if errors.Is(err, cbor.ErrTooLong) {
		return nil // a random length
	}
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	t.Values++
	// decode returns also what the value took of the budget.
	decode := func(l cbor.Limits) (cost int64, err error) {
		var d cbor.Decoder
		d.Reset(b, l)
		before := d.Left()
		m.Decode(&d, reflect.New(reflect.TypeOf(v).Elem()).Interface())
		return before - d.Left(), d.Finish()
	}
	// Without limits every encoding is taken, and its cost is what a
	// receiver would charge.
	cost, err := decode(cbor.Limits{Depth: -1, Budget: -1})
	if err != nil {
		return fmt.Errorf("decode without limits: %w\n%x", err, b)
	}
	for _, l := range limits {
		fits := m.Fits(msg, b, l)
		_, err := decode(l)
		switch {
		// The sender is wrong: the receiver refuses it.
		case fits == nil && err != nil:
			return fmt.Errorf("%d bytes fit %+v, and decoding them says: %w\n%x", len(b), l, err, b)
		case fits == nil:
			t.Taken++
		// A receiver of what is too deep finds that, or that it is too
		// dear, which it comes to first.
		case errors.Is(fits, cbor.ErrDepth):
			t.TooDeep++
			if !errors.Is(err, cbor.ErrDepth) && !errors.Is(err, cbor.ErrBudget) {
				return fmt.Errorf("%d bytes are too deep for %+v, and decoding them says: %v\n%x", len(b), l, err, b)
			}
		// The cost has an upper bound only: a receiver stops in the
		// middle. So it is compared with what it was without limits.
		case errors.Is(fits, cbor.ErrBudget):
			t.TooDear++
			if cost+int64(len(b)) <= l.BudgetFor(len(b)) {
				return fmt.Errorf("%d bytes cost %d, and do not fit %+v: %w\n%x", len(b), cost, l, fits, b)
			}
		default:
			return fits
		}
	}
	return nil
}
