package protobuf_test

import (
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	_ "google.golang.org/protobuf/types/gofeaturespb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/protobuf"
)

var (
	fileJSON  = protobuf.Message[*descriptorpb.FileDescriptorProto]().JSON
	valueJSON = protobuf.Message[*structpb.Value]().JSON
)

func list(of string, n int) string {
	return "[" + strings.TrimSuffix(strings.Repeat(of+",", n), ",") + "]"
}

func TestHostileJSONIsRefusedInBoundedMemory(t *testing.T) {
	const mib = 1 << 20
	const n = mib
	for name, c := range map[string]struct {
		codec codegen.Transcoder
		in    string
		err   string
	}{
		"empty messages in a list":        {fileJSON, `{"messageType":` + list("{}", n) + `}`, "more memory than allowed"},
		"the same by the contract's name": {fileJSON, `{"message_type":` + list("{}", n) + `}`, "more memory than allowed"},
		"empty messages in a nested list": {fileJSON, `{"messageType":[{"nestedType":` + list("{}", n) + `}]}`, "more memory than allowed"},
		"values of a list":                {valueJSON, list("1", n), "more memory than allowed"},
		"lists in a list":                 {valueJSON, list("[]", n), "more memory than allowed"},
		"objects in an object":            {valueJSON, `{` + strings.Repeat(`"a":{},`, n) + `"b":{}}`, "more memory than allowed"},
		"unknown fields":                  {fileJSON, `{"nope":` + list("{}", n) + `}`, "more memory than allowed"},
		"lists, deep":                     {valueJSON, strings.Repeat("[", n), "nested too deep"},
		"messages, deep":                  {fileJSON, `{"messageType":[` + strings.Repeat(`{"nestedType":[`, n), "nested too deep"},
		"no end":                          {fileJSON, `{"messageType":[{`, "unexpected EOF"},
		"nothing":                         {fileJSON, ``, "unexpected EOF"},
		"no JSON":                         {fileJSON, `{"name":nonsense}`, "invalid character"},
		"a list for a message":            {fileJSON, `[]`, "unexpected token"},
		"text for a list":                 {fileJSON, `{"dependency":"x"}`, "unexpected token"},
		"bytes after the message":         {fileJSON, `{} {}`, "unexpected token"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := c.codec.AppendCBOR(nil, []byte(c.in))
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %s", name, err, c.err)
		}
		// What encoding/json allocates for each token is not kept.
		if got, most := after.TotalAlloc-before.TotalAlloc, mib+uint64(60*len(c.in)); got > most {
			t.Errorf("%s: %d KiB allocated for %d KiB", name, got>>10, len(c.in)>>10)
		}
	}
}

func TestOrdinaryJSONIsWithinTheBudget(t *testing.T) {
	t.Parallel()
	var values []any
	for i := range 1000 {
		values = append(values, float64(i), "text", true, nil, []any{}, map[string]any{"a": float64(i)})
	}
	list, err := structpb.NewValue(values)
	if err != nil {
		t.Fatal(err)
	}
	at, err := anypb.New(timestamppb.Now())
	if err != nil {
		t.Fatal(err)
	}
	check := func(codec codegen.Transcoder, m proto.Message) {
		t.Helper()
		j, err := protojson.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got := m.ProtoReflect().New().Interface()
		p, err := codec.AppendCBOR(nil, j)
		if err == nil {
			err = proto.Unmarshal(p, got)
		}
		if err != nil || !proto.Equal(got, m) {
			t.Errorf("%.200s: %v", j, err)
		}
	}
	check(valueJSON, list)
	check(protobuf.Message[*anypb.Any]().JSON, at)
	check(fileJSON, protodesc.ToFileDescriptorProto(descriptorpb.File_google_protobuf_descriptor_proto))
	check(protobuf.Message[*timestamppb.Timestamp]().JSON, timestamppb.Now())
	check(protobuf.Message[*structpb.Struct]().JSON, &structpb.Struct{Fields: map[string]*structpb.Value{"a": list}})
}

// FuzzJSON bounds memory for any JSON; what is accepted can be sent as JSON.
func FuzzJSON(f *testing.F) {
	for _, in := range []string{`{"messageType":[{"name":"a"}]}`, `[1,{"a":[]},null,"x"]`, `[[[[]]]]`, `{"name":`} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, codec := range []codegen.Transcoder{fileJSON, valueJSON} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			p, err := codec.AppendCBOR(nil, in)
			runtime.ReadMemStats(&after)
			if got, most := after.TotalAlloc-before.TotalAlloc, 4<<20+400*uint64(len(in)); got > most {
				t.Fatalf("%d bytes allocated for %d", got, len(in))
			}
			if err != nil {
				continue
			}
			if _, err := codec.AppendJSON(nil, p); err != nil {
				t.Fatalf("%q: %v", in, err)
			}
		}
	})
}
