package gen_test

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/gen/gentest"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/evo"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/hostile"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/kinds"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/oracle"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/sparse"
)

// A goldenMessage is a message of the golden contracts.
type goldenMessage struct {
	name  string
	codec codegen.Message
	empty func() any
}

// goldenMessages returns messages with everything that a contract can have.
func goldenMessages(t testing.TB) []goldenMessage {
	ctx := t.Context()
	request := func(call func(rpcnet.Transport)) codegen.Message { return gentest.Specs(call)[0].Request }
	return []goldenMessage{
		{"table", request(func(tr rpcnet.Transport) { sparse.NewSparseClient(tr).Rows(ctx, nil) }), func() any { return new(sparse.Table) }},
		{"tree", request(func(tr rpcnet.Transport) { sparse.NewSparseClient(tr).Tree(ctx, nil) }), func() any { return new(sparse.Tree) }},
		{"shape", request(func(tr rpcnet.Transport) { sparse.NewSparseClient(tr).Shape(ctx, nil) }), func() any { return new(sparse.Shape) }},
		{"hostile", request(func(tr rpcnet.Transport) { hostile.NewSClient(tr).M(ctx, nil) }), func() any { return new(hostile.H) }},
		{"wide", request(func(tr rpcnet.Transport) { hostile.NewSClient(tr).Wide(ctx, nil) }), func() any { return new(hostile.Wide) }},
		{"oracle", request(func(tr rpcnet.Transport) { oracle.NewSClient(tr).M(ctx, nil) }), func() any { return new(oracle.Value) }},
		{"all kinds", request(func(tr rpcnet.Transport) { kinds.NewKindsClient(tr).Unary(ctx, nil) }), func() any { return new(kinds.All) }},
		{"union", request(func(tr rpcnet.Transport) { kinds.NewKindsClient(tr).Union(ctx, nil) }), func() any { return new(kinds.Answer) }},
		{"evolution", request(func(tr rpcnet.Transport) { evo.NewSClient(tr).Str(ctx, nil) }), func() any { return new(evo.Str) }},
	}
}

// goldenFiller returns what fills them.
func goldenFiller(seed uint64) *gentest.Filler {
	r := &gentest.Filler{Rand: rand.New(rand.NewPCG(seed, 2)), Variants: map[reflect.Type][]reflect.Value{}}
	add := func(u reflect.Type, vs []reflect.Value) { r.Variants[u] = vs }
	add(variants[sparse.Shape](&sparse.Block{}, sparse.Group{}))
	add(variants[hostile.U](hostile.Big{}))
	add(variants[kinds.Answer](kinds.AnswerText{}, &kinds.AnswerNumber{}, kinds.AnswerMany{}, kinds.AnswerNothing{}))
	return r
}

// encodings returns the encodings of n random messages.
func (g *goldenMessage) encodings(r *gentest.Filler, n int) (all [][]byte) {
	for len(all) < n {
		v := reflect.ValueOf(g.empty()).Elem()
		if r.Fill(v); v.Kind() == reflect.Interface && v.IsNil() {
			continue
		}
		if b, err := gentest.Encode(g.codec, v.Addr().Interface()); err == nil { // not so for a random length above a limit
			all = append(all, b)
		}
	}
	return all
}

// TestDecodersAgree: a message is the same however its memory was come by.
func TestDecodersAgree(t *testing.T) {
	t.Parallel()
	r := goldenFiller(5)
	for _, g := range goldenMessages(t) {
		all := g.encodings(r, 100)
		for i, b := range all {
			if err := gentest.Memory(g.codec, g.empty, b, all[(i+1)%len(all)]); err != nil {
				t.Errorf("%s: %v", g.name, err)
				break
			}
		}
	}
}

// FuzzDecodersAgree is TestDecodersAgree for any bytes.
func FuzzDecodersAgree(f *testing.F) {
	all := goldenMessages(f)
	r := goldenFiller(6)
	for i, g := range all {
		e := g.encodings(r, 6)
		for j := range 3 {
			f.Add(uint8(i), e[j], e[3+j])
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, in, before []byte) {
		g := all[int(which)%len(all)]
		if err := gentest.Memory(g.codec, g.empty, in, before); err != nil {
			t.Fatalf("%s: %v", g.name, err)
		}
	})
}
