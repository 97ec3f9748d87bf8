package protobuf_test

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/gofeaturespb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/codegen/protobuf"
)

// decode decodes p into m as a message, or as a field, and returns what was
// allocated for it.
func decode(p []byte, m proto.Message, l cbor.Limits, asField bool) (allocated uint64, err error) {
	if asField {
		p = cbor.Buffer(nil).AppendBytes(p)
	}
	codec := protobuf.Message[proto.Message]()
	var d cbor.Decoder
	d.Reset(p, l)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if asField {
		protobuf.DecodeField(&d, m)
	} else {
		codec.Decode(&d, m)
	}
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, d.Finish()
}

func TestHostileMessagesAreRefusedInBoundedMemory(t *testing.T) {
	const mib = 1 << 20
	const n = mib / 8
	groups := dynamicpb.NewMessage(groupMessage(t))
	for name, c := range map[string]struct {
		into proto.Message
		in   string
		err  string
		most uint64
	}{
		"empty messages in a list":         {new(descriptorpb.FileDescriptorProto), strings.Repeat("\x22\x00", n), "more memory than allowed", mib},
		"empty messages in a nested list":  {new(descriptorpb.FileDescriptorProto), nested(4, strings.Repeat("\x1a\x00", n)), "more memory than allowed", mib},
		"empty values of a list":           {new(structpb.ListValue), strings.Repeat("\x0a\x00", n), "more memory than allowed", mib},
		"entries of a map":                 {new(structpb.Struct), strings.Repeat("\x0a\x00", n), "more memory than allowed", mib},
		"empty lists in values":            {new(structpb.ListValue), strings.Repeat("\x0a\x02\x32\x00", n), "more memory than allowed", mib},
		"empty objects in a map":           {new(structpb.Struct), strings.Repeat("\x0a\x04\x12\x02\x2a\x00", n), "", 40 * mib},
		"groups in a list":                 {groups, strings.Repeat("\x0b\x0c", n), "more memory than allowed", mib},
		"extensions":                       {new(descriptorpb.FeatureSet), strings.Repeat("\xd2\x3e\x00", n), "more memory than allowed", mib},
		"variants of a oneof":              {new(structpb.Value), strings.Repeat("\x20\x01", n), "", 8 * mib},
		"empty strings":                    {new(descriptorpb.FileDescriptorProto), strings.Repeat("\x1a\x00", n), "", 30 * mib},
		"packed numbers":                   {new(descriptorpb.SourceCodeInfo_Location), nested(1, strings.Repeat("\x00", n)), "", 8 * mib},
		"numbers that are not packed":      {new(descriptorpb.SourceCodeInfo_Location), strings.Repeat("\x08\x01", n), "", 40 * mib},
		"unknown fields":                   {new(structpb.ListValue), strings.Repeat("\x78\x01", n), "", 8 * mib},
		"unknown groups, deep":             {new(structpb.ListValue), strings.Repeat("\x7b", n), "nested too deep", mib},
		"known groups, deep":               {groups, strings.Repeat("\x0b", n), "nested too deep", mib},
		"values, deep":                     {new(structpb.ListValue), deep(2000), "nested too deep", mib},
		"group without an end":             {groups, "\x0b\x08\x01", "unexpected end", mib},
		"end of another group":             {groups, "\x0b\x14", "", mib},
		"end of no group":                  {groups, "\x0c", "", mib},
		"length that is not there":         {new(structpb.ListValue), "\x0a\x05", "EOF", mib},
		"length of 2^63":                   {new(structpb.ListValue), "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "", mib},
		"field number 0":                   {new(structpb.ListValue), "\x00\x01", "", mib},
		"number that does not end":         {new(structpb.ListValue), "\x78\x80", "EOF", mib},
		"packed numbers that do not end":   {new(descriptorpb.SourceCodeInfo_Location), "\x0a\x02\x80\x80", "", mib},
		"text that is not UTF-8":           {structpb.NewStringValue(""), "\x1a\x01\xff", "UTF-8", mib},
		"text that is a number":            {structpb.NewStringValue(""), "\x18\x01", "", mib},
		"map entry without value, nothing": {new(structpb.Struct), "\x0a\x00", "", mib},
	} {
		for _, asField := range []bool{false, true} {
			proto.Reset(c.into)
			got, err := decode([]byte(c.in), c.into, cbor.Limits{Budget: mib + 32*int64(len(c.in))}, asField)
			if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%s: %v, want %s", name, err, c.err)
			}
			if len(c.in) < n && c.err == "" {
				want := proto.Unmarshal([]byte(c.in), c.into.ProtoReflect().New().Interface())
				if (want == nil) != (err == nil) {
					t.Errorf("%s: %v, protobuf says %v", name, err, want)
				}
			} else if c.err == "" && err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if got > c.most {
				t.Errorf("%s: %d KiB allocated for %d KiB, want at most %d KiB", name, got>>10, len(c.in)>>10, c.most>>10)
			}
		}
	}
}

// nested returns field num with content.
func nested(num protowire.Number, content string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), content))
}

// deep returns a ListValue with levels of lists.
func deep(levels int) (p string) {
	for range levels {
		p = nested(1, nested(6, p))
	}
	return p
}

// groupMessage returns the type
//
//	message M { repeated group G = 1 { repeated group H = 1 {}; optional int32 x = 2 }}
func groupMessage(t testing.TB) protoreflect.MessageDescriptor {
	t.Helper()
	group := func(name, typ string) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{Name: proto.String(name), Number: proto.Int32(1), TypeName: proto.String(typ),
			Label: descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_GROUP.Enum()}
	}
	x := &descriptorpb.FieldDescriptorProto{Name: proto.String("x"), Number: proto.Int32(2),
		Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_INT32.Enum()}
	fd, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("group.proto"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: proto.String("M"), Field: []*descriptorpb.FieldDescriptorProto{group("g", ".M.G")},
			NestedType: []*descriptorpb.DescriptorProto{{
				Name: proto.String("G"), Field: []*descriptorpb.FieldDescriptorProto{group("h", ".M.G.H"), x},
				NestedType: []*descriptorpb.DescriptorProto{{Name: proto.String("H")}},
			}},
		}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return fd.Messages().Get(0)
}

func TestOrdinaryMessagesAreWithinTheBudget(t *testing.T) {
	t.Parallel()
	var values []any
	for i := range 5_000 {
		values = append(values, float64(i), "text", true, nil, []any{}, map[string]any{"a": float64(i)})
	}
	list, err := structpb.NewList(values)
	if err != nil {
		t.Fatal(err)
	}
	features := &descriptorpb.FeatureSet{FieldPresence: descriptorpb.FeatureSet_EXPLICIT.Enum()}
	proto.SetExtension(features, gofeaturespb.E_Go, &gofeaturespb.GoFeatures{LegacyUnmarshalJsonEnum: proto.Bool(true)})
	groups := dynamicpb.NewMessage(groupMessage(t))
	if err := proto.Unmarshal([]byte("\x0b\x10\x05\x0b\x0c\x0c\x0b\x0c"), groups); err != nil {
		t.Fatal(err)
	}
	for _, m := range []proto.Message{list, features, groups, protodesc.ToFileDescriptorProto(descriptorpb.File_google_protobuf_descriptor_proto)} {
		p, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got := m.ProtoReflect().New().Interface()
		if _, err := decode(p, got, cbor.Limits{}, false); err != nil || !proto.Equal(got, m) {
			t.Errorf("%s of %d bytes: %v", m.ProtoReflect().Descriptor().FullName(), len(p), err)
		}
	}
}

func TestBudgetOfProtobufIsAnOption(t *testing.T) {
	t.Parallel()
	p := bytes.Repeat([]byte("\x0a\x00"), 1<<17)
	for _, c := range []struct {
		budget int64
		ok     bool
	}{{0, true}, {16 << 20, true}, {-1, true}, {1 << 20, false}} {
		_, err := decode(p, new(structpb.ListValue), cbor.Limits{Budget: c.budget}, false)
		if c.ok && err != nil || !c.ok && !errors.Is(err, cbor.ErrBudget) {
			t.Errorf("budget %d: %v", c.budget, err)
		}
	}
	p = bytes.Repeat([]byte("\x22\x00"), 1<<20) // each a DescriptorProto
	if _, err := decode(p, new(descriptorpb.FileDescriptorProto), cbor.Limits{}, false); !errors.Is(err, cbor.ErrBudget) {
		t.Errorf("the default: %v", err)
	}
}

// FuzzDecode bounds memory for any input; what is accepted can be sent.
func FuzzDecode(f *testing.F) {
	for _, p := range []string{"\x0a\x05hello", "\x0a\x00\x0a\x02\x32\x00\x22\x00", "\x0b\x10\x05\x0b\x0c\x0c\x0b\x0c", "\xd2\x3e\x00"} {
		f.Add([]byte(p))
	}
	groups := dynamicpb.NewMessage(groupMessage(f))
	codec := protobuf.Message[proto.Message]()
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, m := range []proto.Message{new(descriptorpb.FileDescriptorProto), new(structpb.Struct), new(structpb.Value), new(descriptorpb.FeatureSet), groups} {
			proto.Reset(m)
			got, err := decode(p, m, cbor.Limits{}, false)
			if most := 4<<20 + 200*uint64(len(p)); got > most {
				t.Fatalf("%T: %d bytes allocated for %d", m, got, len(p))
			}
			if err != nil {
				continue
			}
			if err := proto.Unmarshal(p, m.ProtoReflect().New().Interface()); err != nil {
				t.Fatalf("%T: accepted, protobuf says %v", m, err)
			}
			if _, err := codec.Append(nil, m); err != nil {
				t.Fatal(err)
			}
		}
	})
}
