package wire_test

import (
	"bytes"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

func TestHeaderKeepsItsParts(t *testing.T) {
	t.Parallel()
	h := wire.MakeHeader(wire.TypeData, wire.FlagMore|wire.FlagEnd, 1<<32-1, 1<<24-1)
	b := h.Append(nil)
	if len(b) != wire.HeaderLen {
		t.Fatalf("a header of %d bytes", len(b))
	}
	g := wire.ParseHeader(b)
	if g.Type() != wire.TypeData || !g.Has(wire.FlagMore) || !g.Has(wire.FlagEnd) || g.Has(wire.FlagIgnorable) || g.ID() != 1<<32-1 || g.Len() != 1<<24-1 {
		t.Errorf("%v", g)
	}
	put := make([]byte, 8)
	h.Put(put)
	if !bytes.Equal(put, b) {
		t.Error("Put and Append differ")
	}
	// The layout is a promise: these bytes are version 1.
	if want := []byte{0x05, 0x00, 0x00, 0x83, 0x07, 0x00, 0x00, 0x00}; !bytes.Equal(wire.MakeHeader(wire.TypeData, wire.FlagEnd, 7, 5).Append(nil), want) {
		t.Errorf("layout changed: %x", wire.MakeHeader(wire.TypeData, wire.FlagEnd, 7, 5).Append(nil))
	}
}

func TestHeaderCheck(t *testing.T) {
	t.Parallel()
	limits := map[wire.Type]int{
		wire.TypeSettings: 1 << 10, wire.TypeOpen: wire.MaxPayload, wire.TypeData: wire.MaxChunk, wire.TypeEnd: 0,
		wire.TypeStatus: wire.MaxStatus, wire.TypeReset: 1, wire.TypeHeader: wire.MaxMetadata, wire.TypeCredit: 4,
		wire.TypePing: 8, wire.TypePong: 8, wire.TypeGoAway: 1 << 10,
	}
	for typ := wire.Type(0); typ < 32; typ++ {
		limit, known := limits[typ]
		if !known {
			if err := wire.MakeHeader(typ, 0, 0, 0).Check(); err == nil || !strings.Contains(err.Error(), "unknown") {
				t.Errorf("%v: %v", typ, err)
			}
			limit = wire.MaxPayload
		}
		var flags uint64
		if !known {
			flags = wire.FlagIgnorable
		}
		if err := wire.MakeHeader(typ, flags, 1, limit).Check(); err != nil {
			t.Errorf("%v of %d bytes: %v", typ, limit, err)
		}
		if err := wire.MakeHeader(typ, flags, 1, limit+1).Check(); err == nil {
			t.Errorf("%v of %d bytes is let through", typ, limit+1)
		}
	}
}

func TestOpenRoundTrip(t *testing.T) {
	t.Parallel()
	for _, o := range []wire.Open{
		{Number: 1},
		{Number: 1, Name: []byte("a"), HasMessage: true, Message: []byte{}},
		{Number: wire.MaxProcedures, Name: bytes.Repeat([]byte("n"), wire.MaxProcedure), Encoding: 15, Attempt: 255, Priority: -128,
			Deadline: 1<<64 - 1, Metadata: make([]byte, wire.MaxMetadata), HasMessage: true, Message: make([]byte, wire.MaxChunk)},
	} {
		b := append(o.Append(nil), o.Message...)
		if len(b) > wire.MaxPayload {
			t.Errorf("an OPEN of %d bytes, over MaxPayload", len(b))
		}
		var got wire.Open
		if err := got.Parse(b); err != nil {
			t.Fatal(err)
		}
		if len(got.Message) == 0 && len(o.Message) == 0 {
			got.Message = o.Message
		}
		if !reflect.DeepEqual(got, o) {
			t.Errorf("got %+v, want %+v", got, o)
		}
		for n := range len(b) - len(o.Message) {
			if n < 200 || len(b)-n < 100 {
				if err := got.Parse(b[:n]); err == nil && o.HasMessage {
					t.Errorf("the first %d of %d bytes are an OPEN too", n, len(b))
				}
			}
		}
	}
}

func TestOpenRefusesNonsense(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"empty":               nil,
		"number 0":            {0, 0, 0, 0},
		"number too large":    {0, 0, 0, 0xff, 0xff, 0x7f},
		"endless number":      bytes.Repeat([]byte{0xff}, 20),
		"empty name":          {0x10, 0, 0, 1, 0},
		"cut name":            {0x10, 0, 0, 1, 5, 'a'},
		"no name":             {0x10, 0, 0, 1},
		"no deadline":         {0x20, 0, 0, 1},
		"long metadata":       append([]byte{0x40, 0, 0, 1, 0xff, 0xff, 0x03}, make([]byte, 1<<16)...),
		"rest and no message": {0, 0, 0, 1, 'x'},
		"message too long":    append([]byte{0x80, 0, 0, 1}, make([]byte, wire.MaxChunk+1)...),
	} {
		var o wire.Open
		if err := o.Parse(b); err == nil {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s := wire.Settings{Version: wire.Version, MaxStreams: 7, StreamWindow: wire.MinWindow, SessionWindow: wire.MaxWindow, Encodings: 5,
		Identity: wire.Identity{Cluster: strings.Repeat("c", wire.MaxIdentity), Boot: "b"}}
	var got wire.Settings
	if err := got.Parse(s.Append(nil)); err != nil || got != s {
		t.Errorf("%+v, %v", got, err)
	}
	if err := got.Parse([]byte{wire.Version}); err != nil || got.MaxStreams != wire.DefaultMaxStreams ||
		got.StreamWindow != wire.DefaultStreamWindow || got.SessionWindow != wire.DefaultSessionWindow || got.Encodings != 1 {
		t.Errorf("the defaults: %+v, %v", got, err)
	}
	for _, b := range [][]byte{{wire.Version, 9, 5}, {wire.Version, 99, 2, 'a', 'b'}} {
		if err := got.Parse(b); err != nil {
			t.Errorf("a setting of the future: %v", err)
		}
	}
	long := wire.Settings{Version: wire.Version, Identity: wire.Identity{Node: strings.Repeat("n", wire.MaxIdentity+1)}}
	if err := got.Parse(long.Append(nil)); err == nil {
		t.Error("a name that is too long was taken")
	}
	huge := wire.Settings{Version: wire.Version, MaxStreams: 1 << 30}
	if err := got.Parse(huge.Append(nil)); err != nil || got.MaxStreams != wire.MaxMaxStreams {
		t.Errorf("%+v, %v", got, err)
	}
	if err := got.Parse([]byte{2}); !errors.Is(err, wire.ErrVersion) {
		t.Error(err)
	}
	for _, b := range [][]byte{nil, {1, 1}, {1, 1, 0}, {1, 2, 5}, {1, 3, 0xff}, {1, 2, 0xff, 0xff, 0xff, 0xff, 0x7f}, {0x80}, {1, 16, 2, 'a'}} {
		if err := got.Parse(b); err == nil {
			t.Errorf("%x: %+v", b, got)
		}
	}
}

// What is written and read without a map is what is written and read with one.
func TestOneValueNeedsNoMap(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"", "v", strings.Repeat("long", 100)} {
		m := map[string][]string{"k-bin": {v}}
		b := wire.AppendMetadataEntry(nil, "k-bin", []byte(v))
		if want := wire.AppendMetadata(nil, m); !bytes.Equal(b, want) {
			t.Errorf("metadata is %x, want %x", b, want)
		}
		if key, value, ok := wire.SingleMetadata(b); !ok || string(key) != "k-bin" || string(value) != v {
			t.Errorf("metadata is read as %q: %q, %v", key, value, ok)
		}
		s := wire.AppendSuccess(nil, "k-bin", []byte(v))
		if want := (&wire.Status{Trailer: m}).Append(nil); !bytes.Equal(s, want) {
			t.Errorf("success is %x, want %x", s, want)
		}
		if value, ok := wire.Succeeded(s, "k-bin"); !ok || string(value) != v {
			t.Errorf("success is read as %q, %v", value, ok)
		}
	}
	for name, m := range map[string]map[string][]string{"none": {}, "no value": {"k": {}}, "two values": {"k": {"1", "2"}}, "two keys": {"k": {"1"}, "l": {"2"}}} {
		if key, value, ok := wire.SingleMetadata(wire.AppendMetadata(nil, m)); ok {
			t.Errorf("%s: read as %q: %q", name, key, value)
		}
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	for _, m := range []map[string][]string{
		{}, {"k": nil}, {"k": {""}}, {"a": {"1", "2"}, "b-bin": {"\xff\x00"}, "c": {strings.Repeat("v", 10_000)}},
	} {
		got, err := wire.ParseMetadata(wire.AppendMetadata(nil, m))
		if err != nil || !maps.EqualFunc(got, m, slices.Equal) {
			t.Errorf("%v, %v, want %v", got, err, m)
		}
	}
	keys := map[string][]string{}
	for i := range wire.MaxMetadataEntries + 1 {
		keys[strings.Repeat("k", 1)+string(rune('a'+i%26))+strings.Repeat("x", i/26)] = nil
	}
	for name, b := range map[string][]byte{
		"cut key":     {5, 'a'},
		"cut count":   {1, 'a'},
		"cut value":   {1, 'a', 1, 5, 'x'},
		"missing":     {1, 'a', 2, 0},
		"twice":       {1, 'a', 0, 1, 'a', 0},
		"many values": append([]byte{1, 'a', 0x81, 0x08}, make([]byte, 1025)...),
		"many keys":   wire.AppendMetadata(nil, keys),
		"too long":    make([]byte, wire.MaxMetadata+1),
	} {
		if m, err := wire.ParseMetadata(b); err == nil {
			t.Errorf("%s: %d keys", name, len(m))
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	for _, s := range []wire.Status{
		{}, {Code: 5}, {Code: 255, Message: "ä", Unprocessed: true},
		{Trailer: map[string][]string{"k": {"v", ""}, "b-bin": {"\xff"}}},
		{Code: 9, Details: []wire.Detail{{Name: "a", Data: []byte{1}}, {Name: "", Data: []byte{2}}}},
	} {
		var got wire.Status
		if err := got.Parse(s.Append(nil)); err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("%+v, %v, want %+v", got, err, s)
		}
	}
	var s wire.Status
	if b := s.Append(nil); len(b) != 0 {
		t.Errorf("success takes %d bytes", len(b))
	}
}

// Whatever a handler puts into it, a STATUS fits its frame and is a status.
func TestStatusKeepsToItsLimits(t *testing.T) {
	t.Parallel()
	trailer := map[string][]string{}
	for i := range wire.MaxMetadataEntries / 2 {
		trailer[strings.Repeat("k", 15)+string(rune(0x100+i))] = []string{strings.Repeat("v", 15)}
	}
	s := wire.Status{Code: 2, Message: strings.Repeat("€\xff", 5000), Trailer: trailer, Unprocessed: true}
	for range 100 {
		s.Details = append(s.Details, wire.Detail{Name: "n", Data: make([]byte, 1000)})
	}
	b := s.Append(nil)
	if len(b) > wire.MaxStatus {
		t.Errorf("%d bytes, over the limit of %d", len(b), wire.MaxStatus)
	}
	var got wire.Status
	if err := got.Parse(b); err != nil {
		t.Fatal(err)
	}
	if len(got.Message) > wire.MaxMessage || !strings.HasSuffix(got.Message, "...") || !strings.HasPrefix(got.Message, "€�") {
		t.Errorf("a message of %d bytes: %.20q", len(got.Message), got.Message)
	}
	if n := len(got.Details); n < 50 || n >= 100 {
		t.Errorf("%d details are left", n)
	}
	if len(got.Trailer) != len(trailer) {
		t.Errorf("%d trailers are left", len(got.Trailer))
	}
}

func TestStatusSkipsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	// {1: 5, 99: [1, {"a": 2}], 2: "x"}
	b := []byte{0xa3, 0x01, 0x05, 0x18, 99, 0x82, 0x01, 0xa1, 0x61, 'a', 0x02, 0x02, 0x61, 'x'}
	var s wire.Status
	if err := s.Parse(b); err != nil || s.Code != 5 || s.Message != "x" {
		t.Errorf("%+v, %v", s, err)
	}
	for _, b := range [][]byte{{0xa1}, {0x05}, {0xa1, 0x01, 0x19, 1, 0}, {0xff}, append(b, 0)} {
		if err := s.Parse(b); err == nil {
			t.Errorf("%x: %+v", b, s)
		}
	}
}

func TestTypeNames(t *testing.T) {
	t.Parallel()
	if s := wire.TypeGoAway.String() + " " + wire.Type(31).String(); s != "GOAWAY type 31" {
		t.Error(s)
	}
}
