package gen_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	fxcbor "github.com/fxamacker/cbor/v2"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/oracle"
)

// oracleMode is fxamacker's deterministic mode with this codec's choices where
// RFC 8949 leaves one: the form of times, and nil as empty.
func oracleMode(t testing.TB) (fxcbor.EncMode, fxcbor.DecMode) {
	t.Helper()
	o := fxcbor.CoreDetEncOptions()
	o.Time = fxcbor.TimeRFC3339Nano
	o.TimeTag = fxcbor.EncTagRequired
	o.NilContainers = fxcbor.NilContainerAsEmpty
	enc, err := o.EncMode()
	if err != nil {
		t.Fatal(err)
	}
	dec, err := fxcbor.DecOptions{DupMapKey: fxcbor.DupMapKeyEnforcedAPF, IndefLength: fxcbor.IndefLengthForbidden}.DecMode()
	if err != nil {
		t.Fatal(err)
	}
	return enc, dec
}

// A filler sets values to something random, small and often empty.
type filler struct{ *rand.Rand }

func (r filler) text() string {
	const runes = "abcäß日本😀\x00\n\"'"
	rs := []rune(runes)
	out := make([]rune, r.IntN(40)*r.IntN(2))
	for i := range out {
		out[i] = rs[r.IntN(len(rs))]
	}
	return string(out)
}

func (r filler) fill(v reflect.Value, depth int) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		zone := time.FixedZone("", (r.IntN(48)-24)*1800)
		v.Set(reflect.ValueOf(time.Unix(r.Int64N(4e9), r.Int64N(1e9)*r.Int64N(2)).In(zone)))
		return
	}
	small := r.IntN(5)
	if depth > 4 {
		small = 0
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> r.IntN(64) << (64 - v.Type().Bits()) >> (64 - v.Type().Bits()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> r.IntN(64) << (64 - v.Type().Bits()) >> (64 - v.Type().Bits()))
	case reflect.Float32:
		fs := []float64{float64(math.Float32frombits(r.Uint32())), float64(r.IntN(100)), 0, math.Inf(1), 1.5}
		v.SetFloat(fs[r.IntN(len(fs))])
	case reflect.Float64:
		fs := []float64{math.Float64frombits(r.Uint64()), float64(r.IntN(100)) / 8, 0, math.NaN(), 0.1, float64(r.Float32())}
		v.SetFloat(fs[r.IntN(len(fs))])
	case reflect.String:
		v.SetString(r.text())
	case reflect.Pointer:
		if small > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			r.fill(v.Elem(), depth+1)
		}
	case reflect.Slice:
		if small > 0 {
			v.Set(reflect.MakeSlice(v.Type(), small, small))
		}
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			r.fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		m := reflect.MakeMap(v.Type())
		for range small * 5 {
			k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			r.fill(k, depth+1)
			r.fill(e, depth+2)
			m.SetMapIndex(k, e)
		}
		v.Set(m)
	case reflect.Struct:
		for i := range v.NumField() {
			r.fill(v.Field(i), depth+1)
		}
	}
}

func TestBytesAreThoseOfTheOracle(t *testing.T) {
	t.Parallel()
	m := specOf(t, func(tr rpcnet.Transport) { oracle.NewSClient(tr).M(t.Context(), nil) }).Request
	enc, dec := oracleMode(t)
	r := filler{rand.New(rand.NewPCG(7, 8))}
	size := 0
	for i := range 500 {
		v := new(oracle.Value)
		r.fill(reflect.ValueOf(v).Elem(), 0)
		got := mustAppend(t, m, v)
		want, err := enc.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			g, _ := fxcbor.Diagnose(got)
			w, _ := fxcbor.Diagnose(want)
			t.Fatalf("value %d:\n got %s\nwant %s", i, g, w)
		}
		size += len(got)
		// Each reads what the other wrote. What comes back is encoded once
		// more, since NaN is not equal to itself.
		var ours, theirs oracle.Value
		if err := decode(m, want, &ours); err != nil {
			t.Fatalf("value %d: %v", i, err)
		}
		if err := dec.Unmarshal(got, &theirs); err != nil {
			t.Fatalf("value %d: the oracle: %v", i, err)
		}
		for _, back := range []*oracle.Value{&ours, &theirs} {
			if again := mustAppend(t, m, back); !bytes.Equal(again, got) {
				t.Fatalf("value %d changed on the way:\n got %x\nwant %x", i, again, got)
			}
		}
	}
	t.Logf("500 values, %d bytes", size)
}

// FuzzDecode feeds any bytes to a generated decoder: what it takes must be
// well-formed and come back the same from its own encoding.
func FuzzDecode(f *testing.F) {
	m := specOf(f, func(tr rpcnet.Transport) { oracle.NewSClient(tr).M(f.Context(), nil) }).Request
	_, dec := oracleMode(f)
	r := filler{rand.New(rand.NewPCG(9, 10))}
	for range 20 {
		v := new(oracle.Value)
		r.fill(reflect.ValueOf(v).Elem(), 0)
		f.Add(mustAppend(f, m, v))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v oracle.Value
		if decode(m, b, &v) != nil {
			return
		}
		if err := dec.Wellformed(b); err != nil && !bytes.Contains([]byte(fmt.Sprint(err)), []byte("exceeded")) {
			t.Fatalf("%x was accepted: %v", b, err)
		}
		first, err := m.Append(nil, &v)
		if err != nil {
			if y := v.Time.UTC().Year(); y < 0 || y > 9999 {
				return
			}
			t.Fatalf("%x cannot be encoded again: %v", b, err)
		}
		var w oracle.Value
		if err := decode(m, first, &w); err != nil {
			t.Fatalf("%x -> %x: %v", b, first, err)
		}
		if second := mustAppend(t, m, &w); !bytes.Equal(first, second) {
			t.Fatalf("%x -> %x -> %x", b, first, second)
		}
	})
}
