package gen_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/hostile"
)

func hostileSpec(t testing.TB) *rpcnet.Spec {
	return specOf(t, func(tr rpcnet.Transport) { hostile.NewSClient(tr).M(t.Context(), nil) })
}

// field returns a message H with one field.
func field(name, value string) []byte {
	return append(append([]byte{0xa1, 0x60 | byte(len(name))}, name...), value...)
}

// adaptive returns nested arrays each of which claims as many elements as
// there are bytes left.
func adaptive(size int, key string) []byte {
	var b []byte
	for len(b)+9+len(key) < size {
		b = append(b, key...)
		left := size - len(b) - 5
		b = append(b, 0x9a, byte(left>>24), byte(left>>16), byte(left>>8), byte(left))
	}
	return append(b, make([]byte, size-len(b))...)
}

// TestHostileMessagesAreRefusedInBoundedMemory: the cases of a survey of Go
// codecs, in which most other codecs crash or allocate without bound.
func TestHostileMessagesAreRefusedInBoundedMemory(t *testing.T) {
	m := hostileSpec(t).Request
	const mib = 1 << 20
	for name, c := range map[string]struct {
		in   []byte
		err  string
		most uint64 // bytes allocated
	}{
		"text of 2^31-1":            {field("s", "\x7a\x7f\xff\xff\xff"), "unexpected end", mib / 16},
		"bytes of 2^31-1":           {field("b", "\x5a\x7f\xff\xff\xff"), "unexpected end", mib / 16},
		"slice of 2^31-1":           {field("l", "\x9a\x7f\xff\xff\xff"), "unexpected end", mib / 16},
		"map of 2^31-1":             {field("m", "\xba\x7f\xff\xff\xff"), "unexpected end", mib / 16},
		"typed array of 2^31-1":     {field("f", "\xd8\x55\x5a\x7f\xff\xff\xff"), "unexpected end", mib / 16},
		"slice of 2^64-1":           {field("l", "\x9b\xff\xff\xff\xff\xff\xff\xff\xff"), "unexpected end", mib / 16},
		"unknown field, deep":       {field("zz", strings.Repeat("\x81", 5<<20)), "nested too deep", mib},
		"unknown field, deep tags":  {field("q", strings.Repeat("\xc1", 5<<20)), "nested too deep", mib},
		"pointers, deep":            {field("n", strings.Repeat("\xa1\x61c", 2<<20)), "nested too deep", mib},
		"slices, deep":              {field("t", strings.Repeat("\xa1\x61k\x81", 1<<20)), "nested too deep", mib},
		"chain of slice headers":    {field("t", strings.Repeat("\xa1\x61k\x99\xff\xff", 4096)+strings.Repeat("\xa0", 70000)), "nested too deep", mib},
		"empty elements":            {field("l", "\x9a\x00\x10\x00\x00"+strings.Repeat("\xa0", 1<<20)), "more memory than allowed", 80 * mib},
		"null pointers":             {field("p", "\x9a\x00\x10\x00\x00"+strings.Repeat("\xf6", 1<<20)), "", 40 * mib},
		"pointers to empty":         {field("p", "\x9a\x00\x10\x00\x00"+strings.Repeat("\xa0", 1<<20)), "more memory than allowed", 80 * mib},
		"large variants":            {field("u", "\x9a\x00\x01\x00\x00"+strings.Repeat("\xa1cbig\xa0", 1<<16)), "more memory than allowed", 40 * mib},
		"elements without size":     {field("x", "\x9a\x00\x10\x00\x00"+strings.Repeat("\xa0", 1<<20)), "", mib},
		"struct key twice":          {[]byte("\xa2\x61s\x60\x61s\x60"), "the same key twice", mib / 16},
		"map key twice":             {field("m", "\xa2\x61a\x60\x61a\x60"), "the same key twice", mib / 16},
		"text that is not UTF-8":    {field("s", "\x61\xff"), "not UTF-8", mib / 16},
		"key that is not UTF-8":     {field("m", "\xa1\x61\xff\x60"), "not UTF-8", mib / 16},
		"unknown key not UTF-8":     {[]byte("\xa1\x61\xff\x60"), "not UTF-8", mib / 16},
		"bytes after the message":   {[]byte("\xa0\xa0"), "bytes after the message", mib / 16},
		"indefinite text":           {field("s", "\x7f\x60\xff"), "indefinite length", mib / 16},
		"adaptive chain, 4 MiB":     {field("t", string(adaptive(4*mib, "\xa1\x61k"))), "nested too deep", mib},
		"adaptive slices of struct": {field("l", string(adaptive(4*mib, "\xa1flabels"))), "", mib},
		"map entries, 4 MiB":        {field("m", "\xba\x00\x1f\x00\x00"+strings.Repeat("\x60\x60", 2<<20)), "the same key twice", mib},
	} {
		var before, after runtime.MemStats
		h := new(hostile.H)
		runtime.ReadMemStats(&before)
		err := decode(m, c.in, h)
		runtime.ReadMemStats(&after)
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, want %s", name, err, c.err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > c.most {
			t.Errorf("%s: %d KiB allocated for %d KiB, want at most %d KiB", name, got>>10, len(c.in)>>10, c.most>>10)
		}
	}
}

func TestWideStructsFindDuplicates(t *testing.T) {
	t.Parallel()
	m := specOf(t, func(tr rpcnet.Transport) { hostile.NewSClient(tr).Wide(t.Context(), nil) }).Request
	in := &hostile.Wide{F00: 1, F63: 63, F64: 64, F79: 79}
	b := roundTrip(t, m, in, in)
	b[1]++ // one entry more
	for i := range 80 {
		if err := decode(m, append(b[:len(b):len(b)], fmt.Sprintf("\x63f%02d\x05", i)...), new(hostile.Wide)); err == nil || !strings.Contains(err.Error(), "the same key twice") {
			t.Errorf("field %d twice: %v", i, err)
		}
	}
}

func TestLimitsAreOptions(t *testing.T) {
	t.Parallel()
	m := hostileSpec(t).Request
	deep := field("n", strings.Repeat("\xa1\x61c", 100)+"\xf6")
	large := field("l", "\x9a\x00\x02\x00\x00"+strings.Repeat("\xa0", 1<<17))
	for _, c := range []struct {
		in     []byte
		limits cbor.Limits
		ok     bool
	}{
		{deep, cbor.Limits{}, false}, {deep, cbor.Limits{Depth: 101}, true}, {deep, cbor.Limits{Depth: 100}, false},
		{large, cbor.Limits{}, true}, {large, cbor.Limits{Budget: 1 << 20}, false}, {large, cbor.Limits{Budget: 16 << 20}, true}, {large, cbor.Limits{Budget: -1}, true},
		{field("s", "\x63abc"), cbor.Limits{Budget: 2}, false}, {field("s", "\x63abc"), cbor.Limits{Budget: 3}, true},
	} {
		var d cbor.Decoder
		d.Reset(c.in, c.limits)
		m.Decode(&d, new(hostile.H))
		if err := d.Finish(); (err == nil) != c.ok {
			t.Errorf("%d bytes with %+v: %v", len(c.in), c.limits, err)
		}
	}
}

// FuzzHostile bounds memory for any input.
func FuzzHostile(f *testing.F) {
	m := hostileSpec(f).Request
	f.Add(field("t", string(adaptive(1000, "\xa1\x61k"))))
	f.Add(field("l", "\x99\x03\xe8"+strings.Repeat("\xa0", 1000)))
	f.Add(field("u", "\x82\xa1cbig\xa0\xa1\x61x\x81\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := new(hostile.H)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := decode(m, b, h)
		runtime.ReadMemStats(&after)
		// A byte is the first of two parts at most, a slice that grows leaves as
		// much behind as it has, and 64 open slices have room for what is to come.
		n, part := uint64(len(b)), uint64(unsafe.Sizeof(hostile.Big{}))
		most := 1<<20 + 2*n + 2*min(2*part*n, 16<<20+32*n)
		if got := after.TotalAlloc - before.TotalAlloc; got > most {
			t.Fatalf("%d bytes allocated for %d, want at most %d", got, len(b), most)
		}
		if err != nil {
			return
		}
		if _, err := m.Append(nil, h); err != nil {
			t.Fatal(err)
		}
	})
}
