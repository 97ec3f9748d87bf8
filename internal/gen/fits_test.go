package gen_test

import (
	"reflect"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/gen/gentest"
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
	r := goldenFiller(1)
	for _, g := range goldenMessages(t) {
		var tally gentest.Tally
		for range 600 {
			v := reflect.ValueOf(g.empty())
			if r.Fill(v.Elem()); v.Elem().Kind() == reflect.Interface && v.Elem().IsNil() {
				continue
			}
			if err := tally.Fits(g.codec, v.Interface()); err != nil {
				t.Errorf("%s: %v", g.name, err)
				break
			}
		}
		t.Logf("%s: %+v", g.name, tally)
		if tally.Taken == 0 || tally.Values < 300 {
			t.Errorf("%s: nothing was tried: %+v", g.name, tally)
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
