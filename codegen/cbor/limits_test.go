package cbor_test

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

func TestDepthIsLimitedWhereverItIsSpent(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{0, 1, 64, 100, -1} {
		limit := depth
		switch depth {
		case 0:
			limit = 64
		case -1:
			limit = 10_000
		}
		for _, more := range []int{0, 1} {
			b := append(bytes.Repeat([]byte{0x81}, limit+more), 0)
			var d cbor.Decoder
			d.Reset(b, cbor.Limits{Depth: depth})
			d.Skip()
			if err := d.Finish(); (more == 1) != errors.Is(err, cbor.ErrDepth) {
				t.Errorf("depth %d, %d levels skipped: %v", depth, limit+more, err)
			}
			d.Reset(b, cbor.Limits{Depth: depth})
			for range limit + more {
				d.Array()
			}
			d.Uint64()
			if err := d.Finish(); (more == 1) != errors.Is(err, cbor.ErrDepth) {
				t.Errorf("depth %d, %d levels entered: %v", depth, limit+more, err)
			}
		}
	}
}

func TestBudgetCountsWhatIsKept(t *testing.T) {
	t.Parallel()
	text := cbor.Buffer(nil).AppendString(strings.Repeat("x", 100))
	for budget, ok := range map[int64]bool{99: false, 100: true, -1: true, 0: true} {
		var d cbor.Decoder
		d.Reset(text, cbor.Limits{Budget: budget})
		if d.Text(); (d.Err() == nil) != ok {
			t.Errorf("budget %d: %v", budget, d.Err())
		}
	}
	var d cbor.Decoder
	d.Reset(make([]byte, 1000), cbor.Limits{Budget: 4096})
	if s := cbor.Slice[[8]byte](&d, 100); cap(s) != 100 || d.Err() != nil {
		t.Errorf("slice of cap %d, %v", cap(s), d.Err())
	}
	cbor.MakeMap[map[int64]int64](&d, 200)
	if !errors.Is(d.Err(), cbor.ErrBudget) {
		t.Errorf("map: %v", d.Err())
	}
}

func TestSlicesGrowWithTheirElements(t *testing.T) {
	t.Parallel()
	const n = 100_000
	var d cbor.Decoder
	d.Reset(make([]byte, n), cbor.Limits{})
	s := cbor.Slice[uint64](&d, n)
	if cap(s) > 4096/8 {
		t.Fatalf("room for %d elements before the first was read", cap(s))
	}
	for i := range n {
		s = cbor.Extend(&d, s, n)
		if s[i] != 0 {
			t.Fatalf("element %d is %d, want 0", i, s[i])
		}
		s[i] = uint64(i)
	}
	if d.Err() != nil || len(s) != n || cap(s) != n || s[n-1] != n-1 {
		t.Fatalf("len %d, cap %d, %v", len(s), cap(s), d.Err())
	}
	d.Reset(nil, cbor.Limits{Budget: 7})
	if s := cbor.Extend(&d, []uint64(nil), 5); len(s) != 1 || !errors.Is(d.Err(), cbor.ErrBudget) {
		t.Errorf("without budget: len %d, %v", len(s), d.Err())
	}
}

func TestFieldsInAnyOrderOnceEach(t *testing.T) {
	t.Parallel()
	keys := []string{"\x61a", "\x61b", "\x62cc"}
	read := func(b []byte) (got []int, err error) {
		d := decoder(b)
		var f cbor.Fields
		for n := d.Map(); n > 0 && d.Err() == nil; n-- {
			k := f.Next(d, keys)
			if got = append(got, k); k >= 0 {
				d.Skip()
			}
		}
		return got, d.Finish()
	}
	for in, want := range map[string][]int{
		"\xa3\x61a\x01\x61b\x02\x62cc\x03": {0, 1, 2},
		"\xa3\x62cc\x03\x61b\x02\x61a\x01": {2, 1, 0},
		"\xa2\x61a\xf6\x61b\xf7":           {-1, -1},
		"\xa3\x61x\x00\x61a\x01\x01\x02":   {-1, 0, -1},
		"\xa1\x81\x00\x00":                 {-1},
	} {
		got, err := read([]byte(in))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%x: %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"\xa2\x61a\x01\x61a\x01", "\xa3\x61a\x01\x61b\x01\x61a\x01", "\xa2\x62cc\x01\x62cc\x01"} {
		if _, err := read([]byte(in)); !errors.Is(err, cbor.ErrDupKey) {
			t.Errorf("%x: %v, want %v", in, err, cbor.ErrDupKey)
		}
	}
}

func TestDuplicateFieldsAreFoundInWideStructs(t *testing.T) {
	t.Parallel()
	var keys []string
	b := cbor.Buffer(nil).AppendMap(201)
	for i := range 200 {
		k := string(cbor.Buffer(nil).AppendUint(uint64(i + 1)))
		keys = append(keys, k)
		b = append(append(b, k...), 0)
	}
	for dup := range 200 {
		d := decoder(append(append(b[:len(b):len(b)], keys[dup]...), 0))
		var f cbor.Fields
		for n := d.Map(); n > 0 && d.Err() == nil; n-- {
			f.Next(d, keys)
			d.Skip()
		}
		if !errors.Is(d.Err(), cbor.ErrDupKey) {
			t.Fatalf("field %d twice: %v", dup, d.Err())
		}
	}
}

func TestErrorPathIsReadable(t *testing.T) {
	t.Parallel()
	d := decoder(cbor.Buffer(nil).AppendString("x"))
	d.Float64()
	d.InField([]string{"\x65price"}, 0)
	d.InField([]string{"\x65items"}, 0)
	if got, want := d.Err().Error(), "items: price: want float, got text (offset 0)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	d.In(strings.Repeat("x", 1000))
	if n := len(d.Err().Error()); n > 200 {
		t.Errorf("a long name makes an error of %d bytes", n)
	}
	d.InField([]string{"\x07"}, 0)
	if got := d.Err().Error(); !strings.HasPrefix(got, "#7: xxx") {
		t.Errorf("%q", got)
	}
}

func TestMarshalersAreUsed(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"10.0.0.1", "fe80::1234:5678:9abc:def0%eth0"} {
		in := netip.MustParseAddr(s)
		b, err := cbor.Buffer([]byte("x")).AppendTextAppender(in)
		if err != nil {
			t.Fatal(err)
		}
		other, err := cbor.Buffer([]byte("x")).AppendTextMarshaler(in)
		if err != nil || !bytes.Equal(b, other) {
			t.Errorf("appender %x, marshaler %x, %v", b, other, err)
		}
		var out netip.Addr
		d := decoder(b[1:])
		if d.UnmarshalText(&out); out != in || d.Finish() != nil {
			t.Errorf("%v came back as %v, %v", in, out, d.Err())
		}
		b, err = cbor.Buffer(nil).AppendBinaryAppender(in)
		other, err2 := cbor.Buffer(nil).AppendBinaryMarshaler(in)
		if err != nil || err2 != nil || !bytes.Equal(b, other) {
			t.Errorf("appender %x, marshaler %x, %v, %v", b, other, err, err2)
		}
		d = decoder(b)
		out = netip.Addr{}
		if d.UnmarshalBinary(&out); out != in || d.Finish() != nil {
			t.Errorf("%v came back as %v, %v", in, out, d.Err())
		}
	}
	d := decoder(cbor.Buffer(nil).AppendString("nonsense"))
	if d.UnmarshalText(new(netip.Addr)); d.Err() == nil {
		t.Error("nonsense passed for an address")
	}
}

type panicking struct{}

func (panicking) UnmarshalText([]byte) error { panic("boom") }

func TestPanicOfAnUnmarshalerIsAnError(t *testing.T) {
	t.Parallel()
	d := decoder(cbor.Buffer(nil).AppendString("x"))
	if d.UnmarshalText(panicking{}); d.Err() == nil || !strings.Contains(d.Err().Error(), "boom") {
		t.Errorf("%v", d.Err())
	}
}

func TestRawMustBeOneItem(t *testing.T) {
	t.Parallel()
	if b, err := cbor.Buffer([]byte("x")).AppendRaw(cbor.Raw("\x82\x01\x02")); err != nil || string(b) != "x\x82\x01\x02" {
		t.Errorf("%x, %v", b, err)
	}
	if b, err := cbor.Buffer(nil).AppendRaw(nil); err != nil || string(b) != "\xf6" {
		t.Errorf("%x, %v", b, err)
	}
	for _, bad := range []string{"\x82\x01", "\x01\x02", "\xff"} {
		if _, err := cbor.Buffer(nil).AppendRaw(cbor.Raw(bad)); err == nil {
			t.Errorf("%x was appended", bad)
		}
	}
	in := []byte("\x82\x01\x02")
	d := decoder(in)
	got := d.RawCopy()
	in[1] = 9
	if !reflect.DeepEqual(got, cbor.Raw("\x82\x01\x02")) {
		t.Errorf("%x", got)
	}
}

func TestScalarsAreEncodedWithoutAllocation(t *testing.T) {
	b := make([]byte, 0, 1024)
	m := map[string]string{"b": "1", "a": "2", "cc": "3"}
	now := time.Now()
	addr := netip.MustParseAddr("10.0.0.1")
	if n := testing.AllocsPerRun(100, func() {
		b = cbor.Buffer(b[:0]).AppendInt(-5).AppendFloat64(0.1)
		b, _ = cbor.Buffer(b).AppendText("hello")
		b, _ = cbor.Buffer(b).AppendTime(now)
		b, _ = cbor.Buffer(b).AppendTextAppender(&addr)
		b = cbor.AppendNumbers(b, []float32{1, 2})
		var keys [16]string
		for _, k := range cbor.SortedText(keys[:0], m) {
			b = cbor.Buffer(b).AppendString(k)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
