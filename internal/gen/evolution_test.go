package gen_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/evo"
)

// messages returns the codec of each message of the contract, by type.
func messages(t *testing.T) map[reflect.Type]codegen.Message {
	t.Helper()
	out := map[reflect.Type]codegen.Message{}
	client := reflect.TypeFor[*evo.SClient]()
	for i := range client.NumMethod() {
		m := client.Method(i)
		spec := specOf(t, func(tr rpcnet.Transport) {
			req := reflect.New(m.Type.In(2).Elem())
			m.Func.Call([]reflect.Value{reflect.ValueOf(evo.NewSClient(tr)), reflect.ValueOf(context.Background()), req})
		})
		out[m.Type.In(2)], out[m.Type.Out(0)] = spec.Request, spec.Response
	}
	return out
}

// TestEvolution is the table of what a change of a message does: each form
// written by one version and read by another. It is docs/contracts.md in code.
func TestEvolution(t *testing.T) {
	t.Parallel()
	codecs := messages(t)
	wide, half, small := int64(1)<<40, 2.5, int32(5)
	for _, row := range []struct {
		change  string
		written any
		read    any // what the reader makes of it, or its zero value when it fails
		err     string
	}{
		{"add field, old reader", &evo.Add{A: "a", B: 5, C: "c", D: "d"}, &evo.V1{A: "a", B: 5, C: "c"}, ""},
		{"add field, new reader", &evo.V1{A: "a", B: 5, C: "c"}, &evo.Add{A: "a", B: 5, C: "c", D: ""}, ""},
		{"add field, old reader, numbered", &evo.KAdd{A: "a", B: 5, C: "c", D: "d"}, &evo.KV1{A: "a", B: 5, C: "c"}, ""},
		{"add field, new reader, numbered", &evo.KV1{A: "a", B: 5, C: "c"}, &evo.KAdd{A: "a", B: 5, C: "c", D: ""}, ""},
		{"remove field, old reader", &evo.Rem{A: "a", C: "c"}, &evo.V1{A: "a", B: 0, C: "c"}, ""},
		{"remove field, new reader", &evo.V1{A: "a", B: 5, C: "c"}, &evo.Rem{A: "a", C: "c"}, ""},
		{"remove field, old reader, numbered", &evo.KRem{A: "a", C: "c"}, &evo.KV1{A: "a", B: 0, C: "c"}, ""},
		{"remove field, new reader, numbered", &evo.KV1{A: "a", B: 5, C: "c"}, &evo.KRem{A: "a", C: "c"}, ""},
		{"rename, old reader", &evo.Ren{A: "a", B: 5, C2: "c"}, &evo.V1{A: "a", B: 5, C: ""}, ""},
		{"rename, new reader", &evo.V1{A: "a", B: 5, C: "c"}, &evo.Ren{A: "a", B: 5, C2: ""}, ""},
		{"rename that keeps the wire name, old reader", &evo.Kept{A: "a", B: 5, C2: "c"}, &evo.V1{A: "a", B: 5, C: "c"}, ""},
		{"rename that keeps the wire name, new reader", &evo.V1{A: "a", B: 5, C: "c"}, &evo.Kept{A: "a", B: 5, C2: "c"}, ""},
		{"rename, old reader, numbered", &evo.KRen{A: "a", B: 5, C2: "c"}, &evo.KV1{A: "a", B: 5, C: "c"}, ""},
		{"rename, new reader, numbered", &evo.KV1{A: "a", B: 5, C: "c"}, &evo.KRen{A: "a", B: 5, C2: "c"}, ""},
		{"reorder, old reader", &evo.Reo{C: "c", B: 5, A: "a"}, &evo.V1{A: "a", B: 5, C: "c"}, ""},
		{"reorder, new reader", &evo.V1{A: "a", B: 5, C: "c"}, &evo.Reo{C: "c", B: 5, A: "a"}, ""},
		{"reorder, old reader, numbered", &evo.KReo{C: "c", B: 5, A: "a"}, &evo.KV1{A: "a", B: 5, C: "c"}, ""},
		{"reorder, new reader, numbered", &evo.KV1{A: "a", B: 5, C: "c"}, &evo.KReo{C: "c", B: 5, A: "a"}, ""},
		{"int32 to string, old reader", &evo.Str{A: "a", B: "b", C: "c"}, &evo.V1{}, "b: want integer, got text"},
		{"int32 to string, new reader", &evo.V1{A: "a", B: 5, C: "c"}, &evo.Str{}, "b: want text, got unsigned integer"},
		{"int32 to string, old reader, numbered", &evo.KStr{A: "a", B: "b", C: "c"}, &evo.KV1{}, "#2: want integer, got text"},
		{"int32 to string, new reader, numbered", &evo.KV1{A: "a", B: 5, C: "c"}, &evo.KStr{}, "#2: want text, got unsigned integer"},
		{"int32 to int64, old reader, it fits", &evo.Wid{A: "a", B: 5, C: "c"}, &evo.V1{A: "a", B: 5, C: "c"}, ""},
		{"int32 to int64, old reader, it does not", &evo.Wid{A: "a", B: wide, C: "c"}, &evo.V1{}, "b: number out of range"},
		{"int32 to int64, new reader", &evo.V1{A: "a", B: -5, C: "c"}, &evo.Wid{A: "a", B: -5, C: "c"}, ""},
		{"int32 to int64, old reader, numbered", &evo.KWid{A: "a", B: wide, C: "c"}, &evo.KV1{}, "#2: number out of range"},
		{"int32 to int64, new reader, numbered", &evo.KV1{A: "a", B: -5, C: "c"}, &evo.KWid{A: "a", B: -5, C: "c"}, ""},
		{"int32 to float64, old reader", &evo.Flt{A: "a", B: half, C: "c"}, &evo.V1{}, "b: want integer, got float"},
		{"int32 to float64, new reader", &evo.V1{A: "a", B: 5, C: "c"}, &evo.Flt{A: "a", B: 5, C: "c"}, ""},
		{"int32 to float64, old reader, numbered", &evo.KFlt{A: "a", B: half, C: "c"}, &evo.KV1{}, "#2: want integer, got float"},
		{"int32 to float64, new reader, numbered", &evo.KV1{A: "a", B: 5, C: "c"}, &evo.KFlt{A: "a", B: 5, C: "c"}, ""},
		{"int32 to *int32, old reader, nil", &evo.Opt{A: "a", B: nil, C: "c"}, &evo.V1{A: "a", B: 0, C: "c"}, ""},
		{"int32 to *int32, old reader, set", &evo.Opt{A: "a", B: &small, C: "c"}, &evo.V1{A: "a", B: 5, C: "c"}, ""},
		{"int32 to *int32, new reader", &evo.V1{A: "a", B: 5, C: "c"}, &evo.Opt{A: "a", B: &small, C: "c"}, ""},
		{"int32 to *int32, old reader, nil, numbered", &evo.KOpt{A: "a", B: nil, C: "c"}, &evo.KV1{A: "a", B: 0, C: "c"}, ""},
		{"int32 to *int32, new reader, numbered", &evo.KV1{A: "a", B: 5, C: "c"}, &evo.KOpt{A: "a", B: &small, C: "c"}, ""},
	} {
		w, r := reflect.TypeOf(row.written), reflect.TypeOf(row.read)
		got := reflect.New(r.Elem()).Interface()
		err := decode(codecs[r], mustAppend(t, codecs[w], row.written), got)
		switch {
		case row.err != "":
			if err == nil || !strings.Contains(err.Error(), row.err) {
				t.Errorf("%s: %v, want %s", row.change, err, row.err)
			}
		case err != nil || !reflect.DeepEqual(got, row.read):
			t.Errorf("%s: %+v, %v; want %+v", row.change, got, err, row.read)
		}
	}
}
