package wire_test

import (
	"bytes"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

func FuzzHeader(f *testing.F) {
	f.Add(wire.MakeHeader(wire.TypeData, wire.FlagMore, 1, 5).Append(nil))
	f.Add(bytes.Repeat([]byte{0xff}, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < wire.HeaderLen {
			return
		}
		h := wire.ParseHeader(b)
		if err := h.Check(); err == nil && h.Len() > wire.MaxStatus {
			t.Errorf("%v of %d bytes is let through", h.Type(), h.Len())
		}
		flags := uint64(h) & (wire.FlagIgnorable | wire.FlagMore | wire.FlagEnd)
		if got := wire.MakeHeader(h.Type(), flags, h.ID(), h.Len()); got != h {
			t.Errorf("%x is made anew as %x", uint64(h), uint64(got))
		}
	})
}

func FuzzOpen(f *testing.F) {
	o := wire.Open{Number: 3, Name: []byte("/pkg.Service/Method"), Deadline: 1e6, Metadata: []byte{1, 'k', 1, 1, 'v'}, HasMessage: true}
	f.Add(append(o.Append(nil), "message"...))
	f.Add([]byte{0, 0, 0, 1})
	f.Add([]byte{0xf0, 0, 0, 1, 1, 'x', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var o, again wire.Open
		if o.Parse(b) != nil {
			return
		}
		if len(o.Metadata) > wire.MaxMetadata || len(o.Message) > wire.MaxChunk || len(o.Name) > wire.MaxProcedure || o.Number > wire.MaxProcedures {
			t.Errorf("over the limits: %+v", o)
		}
		if err := again.Parse(append(o.Append(nil), o.Message...)); err != nil {
			t.Fatal(err)
		}
		if len(o.Metadata) == 0 {
			o.Metadata, again.Metadata = nil, nil // flagged and empty is written without the flag
		}
		if len(o.Message) == 0 {
			o.Message, again.Message = nil, nil
		}
		if !reflect.DeepEqual(o, again) {
			t.Errorf("%+v is written as %+v", o, again)
		}
	})
}

func FuzzSettings(f *testing.F) {
	s := wire.Settings{Version: 1, MaxStreams: 100, StreamWindow: 1 << 20, SessionWindow: 1 << 22, Encodings: 7,
		Identity: wire.Identity{Cluster: "c", Node: "n", Boot: "b"}}
	f.Add(s.Append(nil))
	f.Add([]byte{1, 77, 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		var s, again wire.Settings
		if s.Parse(b) != nil {
			return
		}
		if s.MaxStreams < 1 || s.MaxStreams > wire.MaxMaxStreams || s.StreamWindow < wire.MinWindow || s.StreamWindow > wire.MaxWindow {
			t.Errorf("over the limits: %+v", s)
		}
		if s.Encodings == 0 {
			return // is not sent, and means the default
		}
		if err := again.Parse(s.Append(nil)); err != nil || s != again {
			t.Errorf("%+v is written as %+v, %v", s, again, err)
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add(wire.AppendMetadata(nil, map[string][]string{"k": {"v", ""}, "b-bin": {"\xff"}}))
	f.Add(wire.AppendMetadataEntry(nil, "k-bin", []byte{0xff}))
	f.Add([]byte{1, 'a', 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := wire.ParseMetadata(b)
		if k, v, ok := wire.SingleMetadata(b); ok && len(b) <= wire.MaxMetadata && (err != nil || len(m) != 1 || !slices.Equal(m[string(k)], []string{string(v)})) {
			t.Errorf("one key %q with one value %q: %v, %v", k, v, m, err)
		}
		if err != nil {
			return
		}
		again, err := wire.ParseMetadata(wire.AppendMetadata(nil, m))
		if err != nil || !maps.EqualFunc(m, again, slices.Equal) {
			t.Errorf("%v is written as %v, %v", m, again, err)
		}
	})
}

func FuzzStatus(f *testing.F) {
	s := wire.Status{Code: 5, Message: "m", Details: []wire.Detail{{Name: "n", Data: []byte{1}}}, Trailer: map[string][]string{"k": {"v"}, "b-bin": {"\xff"}}, Unprocessed: true}
	f.Add(s.Append(nil))
	s = wire.Status{Trailer: map[string][]string{"a": {"x"}, "b-bin": {"", "\xff"}, "c-bin": {}}}
	f.Add(s.Append(nil))
	f.Add([]byte{0xa1, 0x03, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0xa1, 0x18, 99, 0x81, 0x81, 0x81, 0x81, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		var s, again wire.Status
		err := s.Parse(b)
		// What is read without a copy is what Parse reads. It is not charged.
		value, ok := wire.Succeeded(b, "b-bin")
		if ok && err != nil && !errors.Is(err, cbor.ErrBudget) || ok && err == nil && s.Code != 0 {
			t.Errorf("success, although Parse says %v and %+v", err, s)
		}
		if want := append(s.Trailer["b-bin"], "")[0]; ok && err == nil && string(value) != want {
			t.Errorf("the trailer has %q, want %q", value, want)
		}
		if err != nil {
			return
		}
		out := s.Append(nil)
		if _, ok := wire.Succeeded(out, "b-bin"); !ok && s.Code == 0 && len(s.Details) == 0 {
			t.Errorf("no success: %+v", s)
		}
		if err := again.Parse(out); err != nil {
			t.Fatalf("%+v is written as something else: %v", s, err)
		}
		if s.Code != 0 && again.Code != s.Code {
			t.Errorf("code %d becomes %d", s.Code, again.Code)
		}
	})
}
