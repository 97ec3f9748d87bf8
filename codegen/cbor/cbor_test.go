package cbor_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	fxcbor "github.com/fxamacker/cbor/v2"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// oracle is the deterministic mode of fxamacker/cbor.
var oracle = func() fxcbor.EncMode {
	m, err := fxcbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	return m
}()

func decoder(b []byte) *cbor.Decoder {
	d := new(cbor.Decoder)
	d.Reset(b, cbor.Limits{})
	return d
}

func sameAsOracle(t *testing.T, got []byte, v any) {
	t.Helper()
	want, err := oracle.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%T %v: got %x, want %x", v, v, got, want)
	}
}

func TestIntegersAreEncodedAsTheOracleDoes(t *testing.T) {
	t.Parallel()
	for shift := range 64 {
		for off := -2; off <= 2; off++ {
			u := uint64(1)<<shift + uint64(off)
			sameAsOracle(t, cbor.Buffer(nil).AppendUint(u), u)
			i := int64(u)
			sameAsOracle(t, cbor.Buffer(nil).AppendInt(i), i)
			if got := decoder(cbor.Buffer(nil).AppendUint(u)).Uint64(); got != u {
				t.Errorf("uint %d came back as %d", u, got)
			}
			if got := decoder(cbor.Buffer(nil).AppendInt(i)).Int64(); got != i {
				t.Errorf("int %d came back as %d", i, got)
			}
		}
	}
}

func TestFloatsAreEncodedAsTheOracleDoes(t *testing.T) {
	t.Parallel()
	fs := []float64{0, math.Copysign(0, -1), 1, 1.5, 65504, 65505, 65520, 5.960464477539063e-8, 5.9e-8, 6.103515625e-5,
		1e-10, 3.4e38, 1e39, math.MaxFloat32, math.MaxFloat64, math.SmallestNonzeroFloat32, math.SmallestNonzeroFloat64,
		math.Inf(1), math.Inf(-1), math.NaN(), 0.1, float64(float32(0.1))}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		fs = append(fs, math.Float64frombits(r.Uint64()), float64(math.Float32frombits(r.Uint32())), float64(r.IntN(4096))/16)
	}
	for _, f := range fs {
		same := func(got, want float64) bool {
			return math.Float64bits(got) == math.Float64bits(want) || got != got && want != want
		}
		b := cbor.Buffer(nil).AppendFloat64(f)
		sameAsOracle(t, b, f)
		if got := decoder(b).Float64(); !same(got, f) {
			t.Errorf("%g came back as %g", f, got)
		}
		b = cbor.Buffer(nil).AppendFloat32(float32(f))
		sameAsOracle(t, b, float32(f))
		if got := decoder(b).Float32(); !same(float64(got), float64(float32(f))) {
			t.Errorf("float32 %g came back as %g", float32(f), got)
		}
	}
}

func TestEveryFloat16IsReadAndWrittenBack(t *testing.T) {
	t.Parallel()
	for h := range 1 << 16 {
		b := []byte{0xf9, byte(h >> 8), byte(h)}
		f := decoder(b).Float64()
		var want float64
		if err := fxcbor.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		if f != want && f == f {
			t.Fatalf("%x is %g, want %g", b, f, want)
		}
		if got := cbor.Buffer(nil).AppendFloat64(f); f == f && !bytes.Equal(got, b) {
			t.Fatalf("%g is written as %x, want %x", f, got, b)
		}
	}
}

func TestTextAndBytesAreEncodedAsTheOracleDoes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 23, 24, 31, 32, 255, 256, 65535, 65536} {
		s := strings.Repeat("ä", n/2) + strings.Repeat("x", n%2)
		b, ok := cbor.Buffer(nil).AppendText(s)
		if !ok {
			t.Fatalf("%d bytes of text are not UTF-8", n)
		}
		sameAsOracle(t, b, s)
		if got := decoder(b).Text(); got != s {
			t.Errorf("text of %d bytes came back with %d", len(s), len(got))
		}
		sameAsOracle(t, cbor.Buffer(nil).AppendString(s), s)
		sameAsOracle(t, cbor.Buffer(nil).AppendBytes([]byte(s)), []byte(s))
		if got := decoder(cbor.Buffer(nil).AppendBytes([]byte(s))).Bytes(); string(got) != s {
			t.Errorf("bytes came back with %d of %d", len(got), len(s))
		}
	}
	for _, s := range []string{"\xff", strings.Repeat("x", 40) + "\xc3", "\xed\xa0\x80"} {
		if _, ok := cbor.Buffer(nil).AppendText(s); ok {
			t.Errorf("%q passed for UTF-8", s)
		}
		b := append(cbor.Buffer(nil).AppendBytesHead(len(s)), s...)
		b[0] |= 0x60 // text
		for _, read := range []func(*cbor.Decoder){
			func(d *cbor.Decoder) { d.Text() }, func(d *cbor.Decoder) { d.View() }, func(d *cbor.Decoder) { d.Skip() },
		} {
			d := decoder(b)
			if read(d); !errors.Is(d.Err(), cbor.ErrUTF8) {
				t.Errorf("%q: %v, want %v", s, d.Err(), cbor.ErrUTF8)
			}
		}
	}
}

func TestMapsAreSortedAsTheOracleDoes(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		text, ints := map[string]bool{}, map[int32]bool{}
		for range r.IntN(40) {
			text[strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(30))] = true
			ints[int32(r.Uint32())>>r.IntN(32)] = true
		}
		b := cbor.Buffer(nil).AppendMap(len(text))
		for _, k := range cbor.SortedText(nil, text) {
			b = cbor.Buffer(b).AppendString(k).AppendBool(true)
		}
		sameAsOracle(t, b, text)
		b = cbor.Buffer(nil).AppendMap(len(ints))
		for _, k := range cbor.SortedInts(nil, ints) {
			b = cbor.Buffer(b).AppendInt(int64(k)).AppendBool(true)
		}
		sameAsOracle(t, b, ints)
	}
}

func TestTimeKeepsTheInstantAndTheZone(t *testing.T) {
	t.Parallel()
	for _, in := range []time.Time{
		{}, time.Unix(0, 0).UTC(), time.Date(2026, 11, 23, 13, 0, 0, 123456789, time.FixedZone("", -5*3600-1800)),
		time.Date(1850, 1, 1, 0, 0, 0, 0, time.FixedZone("LMT", 53*60+28)), // not whole minutes
		time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("far", 25*3600)),
		time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
	} {
		b, err := cbor.Buffer([]byte{0}).AppendTime(in)
		if err != nil {
			t.Errorf("%v: %v", in, err)
			continue
		}
		d := decoder(b[1:])
		if got := d.Time(); !got.Equal(in) || d.Finish() != nil {
			t.Errorf("%v came back as %v, %v", in, got, d.Err())
		}
		var std time.Time
		if err := fxcbor.Unmarshal(b[1:], &std); err != nil || !std.Equal(in) {
			t.Errorf("the oracle reads %v as %v, %v", in, std, err)
		}
	}
	if _, err := cbor.Buffer(nil).AppendTime(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil {
		t.Error("the year 10000 was written")
	}
}

func TestTimeIsReadInTheFormsOfRFC8949(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"c074323031332d30332d32315432303a30343a30305a": "2013-03-21T20:04:00Z",
		"74323031332d30332d32315432303a30343a30305a":   "2013-03-21T20:04:00Z",
		"c11a514b67b0":         "2013-03-21T20:04:00Z",
		"c1fb41d452d9ec200000": "2013-03-21T20:04:00.5Z",
		"c1f97e00":             "", "c2f97e00": "", "c0": "", "c1fb7fefffffffffffff": "", "c063666f6f": "",
	} {
		b, _ := hex.DecodeString(in)
		d := decoder(b)
		got := d.Time()
		if err := d.Finish(); (err != nil) != (want == "") {
			t.Errorf("%s: %v", in, err)
		} else if err == nil && got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s is %v, want %s", in, got, want)
		}
	}
}

func TestTypedArraysHaveTheTagsOfRFC8746(t *testing.T) {
	t.Parallel()
	check := func(got []byte, want string) {
		t.Helper()
		if hex.EncodeToString(got) != want {
			t.Errorf("got %x, want %s", got, want)
		}
	}
	check(cbor.AppendNumbers(nil, []uint16{1, 2}), "d8454401000200")
	check(cbor.AppendNumbers(nil, []uint32{1}), "d8464401000000")
	check(cbor.AppendNumbers(nil, []uint64{1}), "d847480100000000000000")
	check(cbor.AppendNumbers(nil, []int8{-1}), "d84841ff")
	check(cbor.AppendNumbers(nil, []int16{-2}), "d84d42feff")
	check(cbor.AppendNumbers(nil, []int32{-2}), "d84e44feffffff")
	check(cbor.AppendNumbers(nil, []int64{-2}), "d84f48feffffffffffffff")
	check(cbor.AppendNumbers(nil, []float32{1}), "d855440000803f")
	check(cbor.AppendNumbers(nil, []float64{1}), "d85648000000000000f03f")
	check(cbor.AppendNumbers[float64](nil, nil), "d85640")
}

func TestTypedArraysComeBack(t *testing.T) {
	t.Parallel()
	in := []float32{0, 1.5, -3, float32(math.Inf(1))}
	got, ok := cbor.Numbers[float32](decoder(cbor.AppendNumbers(nil, in)))
	if !ok || !slices.Equal(got, in) {
		t.Errorf("%v came back as %v, %v", in, got, ok)
	}
	if _, ok := cbor.Numbers[float32](decoder(cbor.Buffer(nil).AppendArray(0))); ok {
		t.Error("a plain array passed for a typed one")
	}
	for _, bad := range []string{"d8564443ffffff", "d85543ffffff", "d85544ffff", "d855f6", "d8"} {
		b, _ := hex.DecodeString(bad)
		d := decoder(b)
		if v, ok := cbor.Numbers[float32](d); !ok || v != nil || d.Err() == nil {
			t.Errorf("%s: %v, %v, %v", bad, v, ok, d.Err())
		}
	}
}

func TestNumbersThatDoNotFitAreErrors(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func() *cbor.Decoder{
		"uint8":       func() *cbor.Decoder { d := decoder(cbor.Buffer(nil).AppendUint(256)); d.UintN(8); return d },
		"uint of -1":  func() *cbor.Decoder { d := decoder(cbor.Buffer(nil).AppendInt(-1)); d.Uint64(); return d },
		"int8":        func() *cbor.Decoder { d := decoder(cbor.Buffer(nil).AppendInt(-129)); d.IntN(8); return d },
		"int64":       func() *cbor.Decoder { d := decoder(cbor.Buffer(nil).AppendUint(1 << 63)); d.Int64(); return d },
		"float32":     func() *cbor.Decoder { d := decoder(cbor.Buffer(nil).AppendFloat64(1e300)); d.Float32(); return d },
		"exact float": func() *cbor.Decoder { d := decoder(cbor.Buffer(nil).AppendUint(1<<53 + 1)); d.Float64(); return d },
		"negative max": func() *cbor.Decoder {
			d := decoder([]byte("\x3b\xff\xff\xff\xff\xff\xff\xff\xff"))
			d.Int64()
			return d
		},
	} {
		if d := read(); !errors.Is(d.Finish(), cbor.ErrRange) {
			t.Errorf("%s: %v, want %v", name, d.Err(), cbor.ErrRange)
		}
	}
	if f := decoder(cbor.Buffer(nil).AppendInt(-7)).Float64(); f != -7 {
		t.Errorf("an integer for a float is %g, want -7", f)
	}
}

func TestFloat64ReadAsFloat32IsRoundedToTheNearest(t *testing.T) {
	t.Parallel()
	for _, f := range []float64{0.1, -1 / 3.0, 1 + 1e-12, 1e-300, math.MaxFloat32 * (1 + 1e-9)} {
		d := decoder(cbor.Buffer(nil).AppendFloat64(f))
		if got := d.Float32(); got != float32(f) || d.Finish() != nil {
			t.Errorf("%g is read as %g, %v; want %g", f, got, d.Err(), float32(f))
		}
	}
}

func TestErrorsSayWhatIsWanted(t *testing.T) {
	t.Parallel()
	items := []struct {
		b    []byte
		kind string
	}{
		{nil, "unexpected end of input"}, {cbor.Buffer(nil).AppendUint(5), "unsigned integer"}, {cbor.Buffer(nil).AppendInt(-5), "negative integer"},
		{cbor.Buffer(nil).AppendBytes([]byte("x")), "byte string"}, {cbor.Buffer(nil).AppendString("x"), "text"},
		{cbor.Buffer(nil).AppendArray(0), "array"}, {cbor.Buffer(nil).AppendMap(0), "map"}, {cbor.Buffer(nil).AppendTag(5), "tag"},
		{cbor.Buffer(nil).AppendBool(true), "boolean"}, {cbor.Buffer(nil).AppendFloat64(0.1), "float"}, {cbor.Buffer(nil).AppendNil(), "null"}, {[]byte{0xe0}, "simple value"},
	}
	for want, read := range map[string]func(*cbor.Decoder){
		"unsigned integer": func(d *cbor.Decoder) { d.Uint64() }, "integer": func(d *cbor.Decoder) { d.Int64() },
		"boolean": func(d *cbor.Decoder) { d.Bool() }, "float": func(d *cbor.Decoder) { d.Float64() },
		"text": func(d *cbor.Decoder) { d.Text() }, "byte string": func(d *cbor.Decoder) { d.Bytes() },
		"array": func(d *cbor.Decoder) { d.Array() }, "map": func(d *cbor.Decoder) { d.Map() }, "tag": func(d *cbor.Decoder) { d.Tag() },
	} {
		for _, it := range items {
			d := decoder(it.b)
			if read(d); d.Err() == nil {
				continue // one of the kinds it takes
			}
			if msg := d.Err().Error(); !strings.Contains(msg, it.kind) && !errors.Is(d.Err(), cbor.ErrRange) || !strings.Contains(msg, "(offset ") {
				t.Errorf("want %s: %q does not name %s", want, msg, it.kind)
			}
		}
	}
}

func TestMalformedItemsAreErrors(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]struct {
		hex  string
		want error
	}{
		"nothing":              {"", cbor.ErrShort},
		"half a head":          {"19ff", cbor.ErrShort},
		"half a text":          {"65616263", cbor.ErrShort},
		"half an array":        {"820a", cbor.ErrShort},
		"array of 2^64-1":      {"9bffffffffffffffff", cbor.ErrShort},
		"map of 2^63":          {"bb8000000000000000", cbor.ErrShort},
		"text of 2^63":         {"7b8000000000000000", cbor.ErrShort},
		"tag without item":     {"c1", cbor.ErrShort},
		"indefinite text":      {"7f6161ff", cbor.ErrIndef},
		"indefinite array":     {"9fff", cbor.ErrIndef},
		"indefinite map":       {"bfff", cbor.ErrIndef},
		"break":                {"ff", cbor.ErrIndef},
		"reserved information": {"1c", nil},
		"long simple value":    {"f814", nil},
		"trailing":             {"0000", cbor.ErrTrailing},
	} {
		b, _ := hex.DecodeString(in.hex)
		d := decoder(b)
		d.Skip()
		if err := d.Finish(); err == nil || in.want != nil && !errors.Is(err, in.want) {
			t.Errorf("%s: %v, want %v", name, err, in.want)
		}
	}
}
