package gen_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/evo"
)

// messages returns the codec of each message of the contract, by type.
func messages(t *testing.T) map[reflect.Type]rpcnet.Message {
	t.Helper()
	out := map[reflect.Type]rpcnet.Message{}
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
	const fails = "error: "
	wide, half, small := int64(1)<<40, 2.5, int32(5)
	for _, row := range []struct {
		change  string
		written any
		read    any // what the reader makes of it, or its zero value when it fails
		err     string
	}{
		{"add field, old reader", &evo.Add{"a", 5, "c", "d"}, &evo.V1{"a", 5, "c"}, ""},
		{"add field, new reader", &evo.V1{"a", 5, "c"}, &evo.Add{"a", 5, "c", ""}, ""},
		{"add field, old reader, numbered", &evo.KAdd{"a", 5, "c", "d"}, &evo.KV1{"a", 5, "c"}, ""},
		{"add field, new reader, numbered", &evo.KV1{"a", 5, "c"}, &evo.KAdd{"a", 5, "c", ""}, ""},
		{"remove field, old reader", &evo.Rem{"a", "c"}, &evo.V1{"a", 0, "c"}, ""},
		{"remove field, new reader", &evo.V1{"a", 5, "c"}, &evo.Rem{"a", "c"}, ""},
		{"remove field, old reader, numbered", &evo.KRem{"a", "c"}, &evo.KV1{"a", 0, "c"}, ""},
		{"remove field, new reader, numbered", &evo.KV1{"a", 5, "c"}, &evo.KRem{"a", "c"}, ""},
		{"rename, old reader", &evo.Ren{"a", 5, "c"}, &evo.V1{"a", 5, ""}, ""},
		{"rename, new reader", &evo.V1{"a", 5, "c"}, &evo.Ren{"a", 5, ""}, ""},
		{"rename that keeps the wire name, old reader", &evo.Kept{"a", 5, "c"}, &evo.V1{"a", 5, "c"}, ""},
		{"rename that keeps the wire name, new reader", &evo.V1{"a", 5, "c"}, &evo.Kept{"a", 5, "c"}, ""},
		{"rename, old reader, numbered", &evo.KRen{"a", 5, "c"}, &evo.KV1{"a", 5, "c"}, ""},
		{"rename, new reader, numbered", &evo.KV1{"a", 5, "c"}, &evo.KRen{"a", 5, "c"}, ""},
		{"reorder, old reader", &evo.Reo{"c", 5, "a"}, &evo.V1{"a", 5, "c"}, ""},
		{"reorder, new reader", &evo.V1{"a", 5, "c"}, &evo.Reo{"c", 5, "a"}, ""},
		{"reorder, old reader, numbered", &evo.KReo{"c", 5, "a"}, &evo.KV1{"a", 5, "c"}, ""},
		{"reorder, new reader, numbered", &evo.KV1{"a", 5, "c"}, &evo.KReo{"c", 5, "a"}, ""},
		{"int32 to string, old reader", &evo.Str{"a", "b", "c"}, &evo.V1{}, "b: want integer, got text"},
		{"int32 to string, new reader", &evo.V1{"a", 5, "c"}, &evo.Str{}, "b: want text, got unsigned integer"},
		{"int32 to string, old reader, numbered", &evo.KStr{"a", "b", "c"}, &evo.KV1{}, "#2: want integer, got text"},
		{"int32 to string, new reader, numbered", &evo.KV1{"a", 5, "c"}, &evo.KStr{}, "#2: want text, got unsigned integer"},
		{"int32 to int64, old reader, it fits", &evo.Wid{"a", 5, "c"}, &evo.V1{"a", 5, "c"}, ""},
		{"int32 to int64, old reader, it does not", &evo.Wid{"a", wide, "c"}, &evo.V1{}, "b: number out of range"},
		{"int32 to int64, new reader", &evo.V1{"a", -5, "c"}, &evo.Wid{"a", -5, "c"}, ""},
		{"int32 to int64, old reader, numbered", &evo.KWid{"a", wide, "c"}, &evo.KV1{}, "#2: number out of range"},
		{"int32 to int64, new reader, numbered", &evo.KV1{"a", -5, "c"}, &evo.KWid{"a", -5, "c"}, ""},
		{"int32 to float64, old reader", &evo.Flt{"a", half, "c"}, &evo.V1{}, "b: want integer, got float"},
		{"int32 to float64, new reader", &evo.V1{"a", 5, "c"}, &evo.Flt{"a", 5, "c"}, ""},
		{"int32 to float64, old reader, numbered", &evo.KFlt{"a", half, "c"}, &evo.KV1{}, "#2: want integer, got float"},
		{"int32 to float64, new reader, numbered", &evo.KV1{"a", 5, "c"}, &evo.KFlt{"a", 5, "c"}, ""},
		{"int32 to *int32, old reader, nil", &evo.Opt{"a", nil, "c"}, &evo.V1{"a", 0, "c"}, ""},
		{"int32 to *int32, old reader, set", &evo.Opt{"a", &small, "c"}, &evo.V1{"a", 5, "c"}, ""},
		{"int32 to *int32, new reader", &evo.V1{"a", 5, "c"}, &evo.Opt{"a", &small, "c"}, ""},
		{"int32 to *int32, old reader, nil, numbered", &evo.KOpt{"a", nil, "c"}, &evo.KV1{"a", 0, "c"}, ""},
		{"int32 to *int32, new reader, numbered", &evo.KV1{"a", 5, "c"}, &evo.KOpt{"a", &small, "c"}, ""},
	} {
		w, r := reflect.TypeOf(row.written), reflect.TypeOf(row.read)
		got := reflect.New(r.Elem()).Interface()
		err := decode(codecs[r], mustAppend(t, codecs[w], row.written), got)
		switch {
		case row.err != "":
			if err == nil || !strings.Contains(err.Error(), row.err) {
				t.Errorf("%s: %v, want %s%s", row.change, err, fails, row.err)
			}
		case err != nil || !reflect.DeepEqual(got, row.read):
			t.Errorf("%s: %+v, %v; want %+v", row.change, got, err, row.read)
		}
	}
}
