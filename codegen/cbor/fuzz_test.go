package cbor_test

import (
	"errors"
	"testing"

	fxcbor "github.com/fxamacker/cbor/v2"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// FuzzSkip compares what is well-formed with the oracle.
func FuzzSkip(f *testing.F) {
	for _, s := range []string{"", "\x00", "\xa1\x61a\x81\x01", "\xc0\x60", "\xf9\x00\x00", "\x9f\xff", "\xf8\xff", "\x7b\xff\xff\xff\xff\xff\xff\xff\xff"} {
		f.Add([]byte(s))
	}
	mode, err := fxcbor.DecOptions{MaxNestedLevels: 65535, MaxArrayElements: 2147483647, MaxMapPairs: 2147483647, IndefLength: fxcbor.IndefLengthForbidden}.DecMode()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := decoder(b)
		d.Skip()
		err := d.Finish()
		want := mode.Wellformed(b)
		switch {
		case err == nil && want != nil:
			t.Fatalf("%x was accepted: the oracle says %v", b, want)
		case err != nil && want == nil && !errors.Is(err, cbor.ErrUTF8) && !errors.Is(err, cbor.ErrDepth):
			t.Fatalf("%x was refused: %v", b, err)
		}
	})
}

// FuzzReads makes any sequence of reads on any input: none may panic, and the
// cursor must end.
func FuzzReads(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07"), []byte("\xa1\x61a\x81\x01"))
	f.Fuzz(func(t *testing.T, ops, b []byte) {
		d := decoder(b)
		var fields cbor.Fields
		for _, op := range ops {
			switch op % 24 {
			case 0:
				d.Uint64()
			case 1:
				d.Int64()
			case 2:
				d.IntN(8)
			case 3:
				d.UintN(16)
			case 4:
				d.Float32()
			case 5:
				d.Float64()
			case 6:
				d.Bool()
			case 7:
				d.Text()
			case 8:
				d.Bytes()
			case 9:
				if n := d.Array(); n > len(b) {
					t.Fatalf("array of %d items in %d bytes", n, len(b))
				}
			case 10:
				if n := d.Map(); n > len(b)/2 {
					t.Fatalf("map of %d entries in %d bytes", n, len(b))
				}
			case 11:
				d.Leave()
			case 12:
				d.Union()
			case 13:
				d.Tag()
			case 14:
				d.Time()
			case 15:
				d.Skip()
			case 16:
				if r := d.Raw(); len(r) > len(b) {
					t.Fatal("raw is longer than the input")
				}
			case 17:
				cbor.Numbers[float64](d)
			case 18:
				fields.Next(d, []string{"\x61a", "\x61b"})
			case 19:
				d.Nil()
			case 20:
				d.BytesInto(make([]byte, 3))
			case 21:
				d.TextAtMost(4)
			case 22:
				d.BytesAtMost(4)
			case 23:
				cbor.Numbers[uint16](d)
			}
		}
		_ = d.Finish()
	})
}
