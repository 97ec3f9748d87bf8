package gen_test

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/gen/gentest"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/evo"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/hostile"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/kinds"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/oracle"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/sparse"
)

func variants[U any](vs ...U) (reflect.Type, []reflect.Value) {
	var out []reflect.Value
	for _, v := range vs {
		out = append(out, reflect.ValueOf(v))
	}
	return reflect.TypeFor[U](), out
}

// TestFieldWhatIsEncodedIsTaken tries random values of the golden contracts.
func TestFieldWhatIsEncodedIsTaken(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r := &gentest.Filler{Rand: rand.New(rand.NewPCG(1, 2)), Variants: map[reflect.Type][]reflect.Value{}}
	add := func(u reflect.Type, vs []reflect.Value) { r.Variants[u] = vs }
	add(variants[sparse.Shape](&sparse.Block{}, sparse.Group{}))
	add(variants[hostile.U](hostile.Big{}))
	add(variants[kinds.Answer](kinds.AnswerText{}, &kinds.AnswerNumber{}, kinds.AnswerMany{}, kinds.AnswerNothing{}))
	for name, c := range map[string]struct {
		call func(rpcnet.Transport)
		msg  any
	}{
		"table":     {func(tr rpcnet.Transport) { sparse.NewSparseClient(tr).Rows(ctx, nil) }, new(sparse.Table)},
		"tree":      {func(tr rpcnet.Transport) { sparse.NewSparseClient(tr).Tree(ctx, nil) }, new(sparse.Tree)},
		"shape":     {func(tr rpcnet.Transport) { sparse.NewSparseClient(tr).Shape(ctx, nil) }, new(sparse.Shape)},
		"hostile":   {func(tr rpcnet.Transport) { hostile.NewSClient(tr).M(ctx, nil) }, new(hostile.H)},
		"wide":      {func(tr rpcnet.Transport) { hostile.NewSClient(tr).Wide(ctx, nil) }, new(hostile.Wide)},
		"oracle":    {func(tr rpcnet.Transport) { oracle.NewSClient(tr).M(ctx, nil) }, new(oracle.Value)},
		"all kinds": {func(tr rpcnet.Transport) { kinds.NewKindsClient(tr).Unary(ctx, nil) }, new(kinds.All)},
		"union":     {func(tr rpcnet.Transport) { kinds.NewKindsClient(tr).Union(ctx, nil) }, new(kinds.Answer)},
		"evolution": {func(tr rpcnet.Transport) { evo.NewSClient(tr).Str(ctx, nil) }, new(evo.Str)},
	} {
		m := gentest.Specs(c.call)[0].Request
		var tally gentest.Tally
		for range 600 {
			v := reflect.New(reflect.TypeOf(c.msg).Elem())
			if r.Fill(v.Elem()); v.Elem().Kind() == reflect.Interface && v.Elem().IsNil() {
				continue
			}
			if err := tally.Fits(m, v.Interface()); err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
		}
		t.Logf("%s: %+v", name, tally)
		if tally.Taken == 0 || tally.Values < 300 {
			t.Errorf("%s: nothing was tried: %+v", name, tally)
		}
	}
}

// TestFieldEmptyRowsAreTaken: 5000 rows that are nearly empty need more than
// 32 bytes of memory for each on the wire; what no receiver takes by default is
// refused by its sender.
func TestFieldEmptyRowsAreTaken(t *testing.T) {
	t.Parallel()
	m := gentest.Specs(func(tr rpcnet.Transport) { sparse.NewSparseClient(tr).Rows(t.Context(), nil) })[0].Request
	for n, ok := range map[int]bool{5_000: true, 20_000: true, 500_000: false} {
		in := &sparse.Table{Rows: make([]sparse.Row, n)}
		in.Rows[0].ID = n
		b := mustAppend(t, m, in)
		out := new(sparse.Table)
		fits, err := m.Fits(in, b, cbor.Limits{}), decode(m, b, out)
		t.Logf("%d rows in %d bytes: %v", n, len(b), err)
		if (fits == nil) != ok || (err == nil) != ok || ok && (len(out.Rows) != n || out.Rows[0].ID != n) {
			t.Errorf("%d rows: the sender says %v, the receiver %v", n, fits, err)
		}
	}
}
