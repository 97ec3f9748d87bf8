package protobuf_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/codegen/protobuf"
)

func TestMessageTravelsAsProtobuf(t *testing.T) {
	t.Parallel()
	m := protobuf.Message[*wrapperspb.StringValue]()
	if m.Encoding != codegen.EncodingProto {
		t.Fatalf("encoding = %v", m.Encoding)
	}
	in := wrapperspb.String("hello")
	b, err := m.Append([]byte("x"), in)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := proto.Marshal(in)
	if string(b) != "x"+string(want) {
		t.Fatalf("bytes = %q, want x%q", b, want)
	}
	var d cbor.Decoder
	d.Reset(b[1:], cbor.Limits{})
	out := wrapperspb.String("left over")
	m.Decode(&d, out)
	if err := d.Finish(); err != nil || out.Value != "hello" {
		t.Fatalf("decoded %v, %v", out, err)
	}
}

func TestMessageRefusesOtherTypesAndNil(t *testing.T) {
	t.Parallel()
	m := protobuf.Message[*wrapperspb.StringValue]()
	for _, msg := range []any{nil, 1, wrapperspb.Int32(1), (*wrapperspb.StringValue)(nil)} {
		if _, err := m.Append(nil, msg); err == nil {
			t.Errorf("Append(%T) succeeded", msg)
		}
		var d cbor.Decoder
		d.Reset(nil, cbor.Limits{})
		if m.Decode(&d, msg); d.Err() == nil {
			t.Errorf("Decode into %T succeeded", msg)
		}
	}
}

func TestJSONFormIsProtobufs(t *testing.T) {
	t.Parallel()
	m := protobuf.Message[*wrapperspb.StringValue]()
	p, err := m.JSON.AppendCBOR(nil, []byte(`"hello"`))
	if err != nil {
		t.Fatal(err)
	}
	j, err := m.JSON.AppendJSON([]byte("> "), p)
	if err != nil || string(j) != `> "hello"` {
		t.Fatalf("JSON = %s, %v", j, err)
	}
	if _, err := m.JSON.AppendCBOR(nil, []byte(`{"no":1}`)); err == nil {
		t.Error("a wrong JSON form was accepted")
	}
	if _, err := m.JSON.AppendJSON(nil, []byte("\xff")); err == nil {
		t.Error("a wrong protobuf form was accepted")
	}
}

func TestByteStringOfAField(t *testing.T) {
	t.Parallel()
	in := wrapperspb.String(strings.Repeat("x", 300))
	b, err := protobuf.AppendField(nil, in)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := proto.Marshal(in)
	if string(b) != string(cbor.Buffer(nil).AppendBytes(want)) {
		t.Fatalf("bytes = %x", b)
	}
	var d cbor.Decoder
	d.Reset(b, cbor.Limits{})
	out := new(wrapperspb.StringValue)
	protobuf.DecodeField(&d, out)
	if err := d.Finish(); err != nil || !proto.Equal(in, out) {
		t.Fatalf("decoded %v, %v", out, err)
	}
}

func TestDeepMessageIsRefused(t *testing.T) {
	t.Parallel()
	// Value{list_value: ListValue{values: Value{...}}}, 100 000 deep would be
	// megabytes of stack.
	var p []byte
	for range 2000 {
		v := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), p)
		p = protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), v)
	}
	m := protobuf.Message[*structpb.Value]()
	var d cbor.Decoder
	d.Reset(p, cbor.Limits{})
	if m.Decode(&d, new(structpb.Value)); d.Err() == nil {
		t.Fatal("accepted")
	}
}
