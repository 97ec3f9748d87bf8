package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	fxcbor "github.com/fxamacker/cbor/v2"
	"google.golang.org/protobuf/proto"

	"github.com/rpcnet-go/rpcnet/bench/codec/pb"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// A codec encodes one message into dst and decodes it into a fresh value.
type codec struct {
	name   string
	encode func(dst []byte) ([]byte, error)
	decode func(b []byte) (any, error)
	equal  func(any) bool
}

// vtMessage is what vtprotobuf generates.
type vtMessage interface {
	proto.Message
	SizeVT() int
	MarshalToSizedBufferVT([]byte) (int, error)
	UnmarshalVT([]byte) error
}

// codecs returns every codec for one message, in its Go and its protobuf form.
func codecs[T any, P interface {
	vtMessage
	*M
}, M any](v *T, enc func(cbor.Buffer, *T) (cbor.Buffer, error), dec func(*cbor.Decoder, *T), p P) []codec {
	det, err := fxcbor.CoreDetEncOptions().UserBufferEncMode()
	if err != nil {
		panic(err)
	}
	same := func(got any) bool { return reflect.DeepEqual(got, v) }
	sameProto := func(got any) bool { return proto.Equal(got.(proto.Message), p) }
	var buf bytes.Buffer
	var d cbor.Decoder // a session has one and uses it again
	return []codec{
		{"rpcnet", func(dst []byte) ([]byte, error) { return enc(dst, v) }, func(b []byte) (any, error) {
			w := new(T)
			d.Reset(b, cbor.Limits{})
			dec(&d, w)
			return w, d.Finish()
		}, same},
		{"fxamacker", func(dst []byte) ([]byte, error) {
			buf.Reset()
			err := det.MarshalToBuffer(v, &buf)
			return append(dst, buf.Bytes()...), err
		}, func(b []byte) (any, error) { w := new(T); return w, fxcbor.Unmarshal(b, w) }, same},
		{"protobuf", func(dst []byte) ([]byte, error) { return proto.MarshalOptions{}.MarshalAppend(dst, p) },
			func(b []byte) (any, error) { w := P(new(M)); return w, proto.Unmarshal(b, w) }, sameProto},
		{"vtprotobuf", func(dst []byte) ([]byte, error) {
			n := p.SizeVT()
			dst = append(dst, make([]byte, n)...)
			_, err := p.MarshalToSizedBufferVT(dst[len(dst)-n:])
			return dst, err
		}, func(b []byte) (any, error) { w := P(new(M)); return w, w.UnmarshalVT(b) }, sameProto},
		{"json", func(dst []byte) ([]byte, error) { b, err := json.Marshal(v); return append(dst, b...), err },
			func(b []byte) (any, error) { w := new(T); return w, json.Unmarshal(b, w) }, same},
	}
}

type message struct {
	name   string
	codecs []codec
}

func messages() []message {
	r := rand.New(rand.NewPCG(1, 2))
	vector := make([]float32, 64)
	for i := range vector {
		vector[i] = r.Float32()
	}
	image := bytes.Repeat([]byte{1, 2, 3, 4}, 256)
	attributes := map[string]string{}
	for i := range 8 {
		attributes[fmt.Sprintf("attribute-%d", i)] = strings.Repeat("v", 5+i)
	}
	order := &Order{ID: "order-0001", Attributes: attributes}
	orderPB := &pb.Order{Id: order.ID, Attributes: attributes}
	for i := range 10 {
		it := Item{SKU: fmt.Sprintf("sku-%05d", i), Qty: i * 10, Price: float64(i) * 1.1, Labels: []string{"red", "large", "fragile"}}
		order.Items = append(order.Items, it)
		orderPB.Items = append(orderPB.Items, &pb.Item{Sku: it.SKU, Qty: int64(it.Qty), Price: it.Price, Labels: it.Labels})
	}
	id, prompt := "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "Why is the sky blue? Answer shortly."
	return []message{
		{"req", codecs(&Req{id, prompt, 3}, appendReqCBOR, decodeReqCBOR, &pb.Req{ConnectionId: id, Prompt: prompt, Priority: 3})},
		{"token", codecs(&Token{"token-7", 7, -0.25, false}, appendTokenCBOR, decodeTokenCBOR, &pb.Token{Text: "token-7", Sequence: 7, Logprob: -0.25})},
		{"embed", codecs(&Embed{id, vector, image}, appendEmbedCBOR, decodeEmbedCBOR, &pb.Embed{Id: id, Vector: vector, Image: image})},
		{"order", codecs(order, appendOrderCBOR, decodeOrderCBOR, orderPB)},
	}
}

// TestCodecsKeepTheMessage checks what the benchmarks measure.
func TestCodecsKeepTheMessage(t *testing.T) {
	for _, m := range messages() {
		for _, c := range m.codecs {
			if m.name == "embed" && c.name == "fxamacker" {
				continue // has no typed arrays; it reads its own plain ones
			}
			b, err := c.encode([]byte{})
			if err != nil {
				t.Fatalf("%s %s: %v", m.name, c.name, err)
			}
			v, err := c.decode(b)
			if err != nil || !c.equal(v) {
				t.Errorf("%s %s: %+v, %v", m.name, c.name, v, err)
			}
			t.Logf("%-6s %-10s %5d bytes", m.name, c.name, len(b))
		}
	}
}

// TestEncodingDoesNotAllocate holds for every message.
func TestEncodingDoesNotAllocate(t *testing.T) {
	for _, m := range messages() {
		if n := encodeAllocs(m); n != 0 {
			t.Errorf("%s: %v allocations", m.name, n)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, m := range messages() {
		for _, c := range m.codecs {
			b.Run(m.name+"/"+c.name, func(b *testing.B) {
				buf := make([]byte, 0, 8192)
				b.ReportAllocs()
				for b.Loop() {
					buf, _ = c.encode(buf[:0])
				}
			})
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, m := range messages() {
		for _, c := range m.codecs {
			b.Run(m.name+"/"+c.name, func(b *testing.B) {
				in, err := c.encode(nil)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c.decode(in); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
